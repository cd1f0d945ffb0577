"""Where the websocket of workers is: a server knows its routes before it has anything of them loaded."""

from __future__ import annotations

WORK_POOL_WORKER_CHANNEL_ROUTE = "/work_pools/{work_pool_name}/workers/connect"
