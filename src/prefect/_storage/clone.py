"""A clone of a repository, brought to what is wanted of it.

Making a clone and bringing one up to date are the same steps on a folder that is new or is there: fetch the wanted commit,
check it out. A folder that git cannot read, or that these steps fail on, is replaced by a new clone, which is made
beside it and takes its place when it is complete.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prefect._storage.credentials import without_login
from prefect._storage.git import Git, GitError, MissingRefError

_log = logging.getLogger("prefect.storage")
_FETCHED = "FETCH_HEAD"


@dataclass(frozen=True)
class Wanted:
    """What of a repository is wanted."""

    branch: str | None = None
    """A branch or a tag; None for the default branch of the server."""
    commit: str | None = None
    submodules: bool = False
    directories: Sequence[str] = field(default=())
    """Only these folders (and the files beside them), if there are any."""


class Clone:
    """A folder that is to hold a clone.

    Args:
        git: runs git for the repository.
        folder: where the clone is, or is to be.
    """

    def __init__(self, git: Git, folder: Path) -> None:
        self.git = git
        self.folder = folder

    def pull(self, wanted: Wanted) -> None:
        """Make the folder hold what is wanted.

        Changes that were made in it are discarded. The caller holds the destination's lock.

        Raises:
            GitError: the repository, branch or commit cannot be had.
            ValueError: the folder is there and is not a clone of the repository.
        """
        if self._is_free():
            self._replace(wanted)
            return
        if not (self.folder / ".git").exists():
            raise ValueError(
                f"{self.folder} is there already and is no clone of {without_login(self.git.url)}. "
                "Move it away, or pull to another folder."
            )
        origin = self.origin()
        if origin is not None and _same_url(origin, self.git.url) is False:
            raise ValueError(
                f"The existing repository at {self.folder} does not match the configured repository "
                f"{without_login(self.git.url)}: it is a clone of {without_login(origin)}."
            )
        try:
            if origin is None:
                raise GitError("git cannot read it")
            self._bring_up(self.folder, wanted)
        except GitError as problem:
            if problem.may_pass or isinstance(problem, MissingRefError):
                raise  # a new clone would not fare better
            _log.warning("The clone in %s cannot be brought up to date (%s); making a new one.", self.folder, problem)
            self._replace(wanted)

    def origin(self) -> str | None:
        """The address that the folder is a clone of; None when git cannot read it."""
        try:
            return self.git.run("-C", str(self.folder), "config", "--get", "remote.origin.url").strip() or None
        except GitError:
            return None

    def commit(self) -> str | None:
        """The commit that is checked out; None when there is none."""
        try:
            return self.git.run("rev-parse", "--verify", "--quiet", "HEAD", cwd=self.folder).strip()
        except GitError:
            return None

    def is_sparse(self) -> bool:
        """Whether only some folders are checked out."""
        with contextlib.suppress(GitError):
            return self.git.run("config", "--get", "core.sparseCheckout", cwd=self.folder).strip() == "true"
        return False

    def is_shallow(self) -> bool:
        """Whether the history was left out."""
        with contextlib.suppress(GitError):
            return self.git.run("rev-parse", "--is-shallow-repository", cwd=self.folder).strip() == "true"
        return False

    def _is_free(self) -> bool:
        return not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir()))

    def _replace(self, wanted: Wanted) -> None:
        """Make a new clone and put it in the folder's place."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        for left in self.folder.parent.glob(f".{glob.escape(self.folder.name)}.{'[0-9a-f]' * 12}*"):
            shutil.rmtree(left, ignore_errors=True)  # by a pull that was killed: whoever holds the lock is alone
        new = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex[:12]}")
        old = new.with_name(f"{new.name}.old")
        try:
            new.mkdir()
            self.git.run("init", "--quiet", cwd=new)
            self.git.run("config", "remote.origin.url", self.git.url, cwd=new)
            self.git.run("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*", cwd=new)
            self._bring_up(new, wanted)
            if self.folder.exists():
                os.replace(self.folder, old)
            os.replace(new, self.folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)

    def _bring_up(self, folder: Path, wanted: Wanted) -> None:
        for lock in ("index.lock", "shallow.lock"):  # left by a pull that was killed; ours is the only one
            (folder / ".git" / lock).unlink(missing_ok=True)
        self._choose_directories(folder, wanted)
        if wanted.commit is not None:
            self._fetch_commit(folder, wanted)
            self._check_out(folder, wanted.commit)
        else:
            self._check_out(folder, *self._fetch_branch(folder, wanted))
        if wanted.submodules:
            self._update_submodules(folder)

    def _choose_directories(self, folder: Path, wanted: Wanted) -> None:
        if wanted.directories:
            self.git.run("config", "remote.origin.promisor", "true", cwd=folder)
            self.git.run("config", "remote.origin.partialclonefilter", "blob:none", cwd=folder)
            self.git.run("sparse-checkout", "init", "--cone", cwd=folder)
            self.git.run("sparse-checkout", "set", "--stdin", cwd=folder, stdin="\n".join(wanted.directories) + "\n")
        elif self.git.works("config", "--get", "core.sparseCheckout", cwd=folder):
            self.git.run("sparse-checkout", "disable", cwd=folder)

    def _fetch(self, folder: Path, refspec: str, *options: str, wanted: Wanted) -> None:
        filters = ["--filter=blob:none"] if wanted.directories else []
        self.git.run(
            "fetch", "--quiet", "--no-tags", "--force", *filters, *options, "--", "origin", refspec, cwd=folder
        )

    def _fetch_branch(self, folder: Path, wanted: Wanted) -> tuple[str, str | None]:
        """Fetch the branch or tag; returns what to check out, and the name of the branch to be on."""
        name = wanted.branch
        refs = ["HEAD"] if name is None else [f"refs/heads/{name}", f"refs/tags/{name}"]
        found = self.git.refs(refs)
        ref = next((ref for ref in refs if ref in found), None)
        if ref is None:
            what = "is empty" if name is None else f"has no branch or tag {name!r}"
            raise MissingRefError(f"The repository {without_login(self.git.url)} {what}.")
        if ref == "HEAD":
            ref = found.get("symref", ref)
        branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None
        target = f"+{ref}:refs/remotes/origin/{branch}" if branch else f"+{ref}"
        self._fetch(folder, target, "--depth=1", wanted=wanted)
        return _FETCHED, branch

    def _fetch_commit(self, folder: Path, wanted: Wanted) -> None:
        commit = str(wanted.commit)
        if self.git.works("cat-file", "-e", f"{commit}^{{commit}}", cwd=folder):
            return
        try:
            self._fetch(folder, commit, "--depth=1", wanted=wanted)
        except GitError:
            # a short id, or a server that gives only the ends of branches: take the whole history
            deepen = ["--unshallow"] if (folder / ".git" / "shallow").exists() else []
            self._fetch(folder, "+refs/heads/*:refs/remotes/origin/*", "--tags", *deepen, wanted=wanted)

    def _check_out(self, folder: Path, commit: str, branch: str | None = None) -> None:
        place = ["-B", branch] if branch else ["--detach"]
        self.git.run("checkout", "--quiet", "--force", *place, commit, "--", cwd=folder)

    def _update_submodules(self, folder: Path) -> None:
        self.git.run("submodule", "sync", "--quiet", "--recursive", cwd=folder)
        update = ("submodule", "--quiet", "update", "--init", "--recursive", "--force")
        try:
            self.git.run(*update, "--depth=1", cwd=folder)
        except GitError:  # servers that do not give single commits
            self.git.run(*update, cwd=folder)


def _same_url(one: str, other: str) -> bool:
    return without_login(one).rstrip("/").removesuffix(".git") == without_login(other).rstrip("/").removesuffix(".git")
