"""Which program uploads and carries out bundles."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class BundleLauncherOverride(TypedDict, total=False):
    """A program for each side."""

    upload: list[str]
    execution: list[str]


BundleLauncher = list[str] | BundleLauncherOverride
BundleLauncherSide = Literal["upload", "execution"]

_SIDES = ("upload", "execution")


def normalize_launcher(launcher: BundleLauncher | None) -> BundleLauncherOverride | None:
    """A launcher as one program for each side.

    Raises:
        ValueError: it is not a list of texts, nor a dictionary of such for `upload` and `execution`.
    """
    if launcher is None:
        return None
    if isinstance(launcher, dict):
        unknown = sorted(set(launcher) - set(_SIDES))
        if unknown or not launcher:
            raise ValueError(
                f"launcher must have the keys 'upload' and 'execution', or one of them; not {unknown or 'none'}."
            )
        return {side: _checked(value) for side, value in launcher.items()}  # type: ignore[return-value]
    program = _checked(launcher)
    return {"upload": program, "execution": program}


def _checked(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(part, str) and part for part in value):
        raise ValueError("launcher must be a non-empty list[str], such as ['python'].")
    return list(value)


def get_launcher_for_side(launcher: BundleLauncher | None, side: BundleLauncherSide) -> list[str] | None:
    """The program for a side; None where the usual one is to be used."""
    normalized = normalize_launcher(launcher)
    return None if normalized is None else normalized.get(side)


def resolve_bundle_step_with_launcher(
    step: dict[str, Any], launcher: BundleLauncher | None, side: BundleLauncherSide
) -> dict[str, Any]:
    """A step with the program that a launcher has for its side; that program has what the step would require installed.

    Args:
        step: `{"package.module.function": inputs}`.
        launcher: the launcher.
        side: of the step.
    """
    program = get_launcher_for_side(launcher, side)
    if program is None:
        return step
    return {
        name: {**{key: value for key, value in inputs.items() if key != "requires"}, "launcher": program}
        for name, inputs in step.items()
    }
