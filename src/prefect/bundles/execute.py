"""`python -m prefect.bundles.execute --key FILE`: carry out the run of a bundle."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from prefect._bridge import run_coro_as_sync
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    from prefect import bundles
    from prefect.bundles import SerializedBundle
    from prefect.runner import runner as runners
else:
    bundles = lazy_module("prefect.bundles")
    runners = lazy_module("prefect.runner.runner")

__all__ = ["execute_bundle", "execute_bundle_from_file"]


async def execute_bundle(bundle: SerializedBundle) -> None:
    """Carry out the run of a bundle in a process of its own, and see to it that the run ends.

    Args:
        bundle: the bundle.
    """
    async with runners.Runner(pause_on_shutdown=False) as runner:
        await runner.execute_bundle(bundle)


def execute_bundle_from_file(key: str) -> None:
    """Carry out the run of a bundle that is in a file.

    Args:
        key: path of the file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    run_coro_as_sync(execute_bundle(bundles.read_bundle(key)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m prefect.bundles.execute", description="Carry out the run of a bundle."
    )
    parser.add_argument("--key", required=True, help="path of the file that the bundle is in")
    execute_bundle_from_file(parser.parse_args().key)
