"""One public name for synchronous and asynchronous code: see `prefect._bridge`."""

from prefect._bridge import async_dispatch
from prefect._bridge import in_async_context as is_in_async_context

__all__ = ["async_dispatch", "is_in_async_context"]
