"""Which version of its code a deployment is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from prefect._schemas.deployments import VersionInfo
from prefect._storage.credentials import without_login

SIMPLE = "prefect:simple"
GIT = "vcs:git"
_FIELDS = "%H%n%h%n%s"


def version_info(
    folder: Path | None, version: str | None, version_type: str | None, default: str | None = None
) -> VersionInfo | None:
    """What is known of the version of the code in a folder.

    Args:
        folder: where the code is; None if it is not here.
        version: of the flow or deployment, as the user calls it.
        default: what it is called where the user does not say, and there is no commit.
        version_type: the kind wanted: `vcs:git`, or `prefect:simple`; the commit if there is one, unless given.

    Raises:
        ValueError: the commit is wanted, and the folder is in no repository; or the kind is not known.
    """
    if version_type not in (None, SIMPLE, GIT, "vcs:github", "vcs:gitlab", "vcs:bitbucket", "vcs:azuredevops"):
        raise ValueError(f"{version_type!r} is not a kind of version; there are 'prefect:simple' and 'vcs:git'.")
    if version_type != SIMPLE:
        commit = git_commit(folder) if folder is not None else None
        if commit is not None:
            number = version or commit["commit_sha"][:8]
            return VersionInfo(type=version_type or GIT, version=number, **commit)
        if version_type is not None:
            raise ValueError(f"A version by {version_type!r} is wanted, but {folder} is in no git repository.")
    number = version or default
    return VersionInfo(type=SIMPLE, version=number) if number else None


def git_commit(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out where a folder is, with its message, branch and repository."""
    if shutil.which("git") is None:
        return None
    log = _git(folder, "log", "-1", f"--format={_FIELDS}")
    if not log:
        return None
    sha, _, message = [*log.split("\n", 2), "", ""][:3]
    url = without_login(_git(folder, "config", "--get", "remote.origin.url") or "")
    return {
        "commit_sha": sha,
        "message": message,
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD") or "",
        "repository": url.rstrip("/").rpartition("/")[2].removesuffix(".git"),
        "url": url,
    }


def _git(folder: Path, *arguments: str) -> str | None:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
