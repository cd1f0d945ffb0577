"""Packages that extend this one.

A package may bring blocks and workers (entry points of the group `prefect.collections`: they are imported when a block or
a worker of a kind that is not known is asked for), and hooks that run when a program starts (`prefect.plugins`, when the
setting `plugins.enabled` is on).

```python
# my_package/hooks.py, registered as the entry point `my-package = "my_package.hooks"` of the group `prefect.plugins`
from prefect.plugins import HookContext, SetupResult, register_hook

@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    return SetupResult(env={"MY_TOKEN": fetch_token()}, required=True)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect._lazy import lazy_attributes

if TYPE_CHECKING:
    from prefect.plugins._collections import load_prefect_collections, safe_load_entrypoints
    from prefect.plugins._hooks import (
        PREFECT_PLUGIN_API_VERSION,
        HookContext,
        HookSpec,
        SetupResult,
        SetupSummary,
        database_connection_params,
        register_hook,
        run_startup_hooks,
    )

__getattr__, __dir__, _ = lazy_attributes(
    __name__,
    {
        "HookContext": "prefect.plugins._hooks",
        "HookSpec": "prefect.plugins._hooks",
        "PREFECT_PLUGIN_API_VERSION": "prefect.plugins._hooks",
        "SetupResult": "prefect.plugins._hooks",
        "SetupSummary": "prefect.plugins._hooks",
        "database_connection_params": "prefect.plugins._hooks",
        "load_prefect_collections": "prefect.plugins._collections",
        "register_hook": "prefect.plugins._hooks",
        "run_startup_hooks": "prefect.plugins._hooks",
        "safe_load_entrypoints": "prefect.plugins._collections",
    },
)

__all__ = [
    "PREFECT_PLUGIN_API_VERSION",
    "HookContext",
    "HookSpec",
    "SetupResult",
    "SetupSummary",
    "database_connection_params",
    "load_prefect_collections",
    "register_hook",
    "run_startup_hooks",
    "safe_load_entrypoints",
]
