"""Which program uploads and carries out bundles: see `prefect.bundles`."""

from prefect.bundles.launchers import (
    BundleLauncher,
    BundleLauncherOverride,
    BundleLauncherSide,
    get_launcher_for_side,
    normalize_launcher,
    resolve_bundle_step_with_launcher,
)

__all__ = [
    "BundleLauncher",
    "BundleLauncherOverride",
    "BundleLauncherSide",
    "get_launcher_for_side",
    "normalize_launcher",
    "resolve_bundle_step_with_launcher",
]
