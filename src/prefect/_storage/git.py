"""Commands of git, run so that nothing of what they are given is taken for an option, and no secret is seen.

A token reaches git by its environment, through a credential helper for one host: it stands neither in the arguments, nor
in the address, nor in the clone's configuration, and a redirect to another host does not get it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from prefect._storage.credentials import Login, without_login

_HELPER = '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$_GIT_USERNAME" "$_GIT_PASSWORD"; }; f'
_SHA = re.compile(r"[0-9a-fA-F]{4,64}")
_TOO_SLOW = {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "60"}
# set by git for its hooks; they would make our commands work on the repository whose hook calls us
_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


# what git says when the network, or the server, had a bad moment
_PASSING = re.compile(
    r"returned error: (429|5\d\d)|Could not resolve host|Temporary failure in name resolution|timed out|early EOF"
    r"|Connection (refused|reset|was reset)|RPC failed|unexpected disconnect|Empty reply|remote end hung up",
    re.IGNORECASE,
)


class GitError(RuntimeError):
    """A command of git failed; the message has what git said, without secrets."""

    @property
    def may_pass(self) -> bool:
        """Whether it may work when it is tried again."""
        return _PASSING.search(str(self)) is not None


class MissingRefError(GitError):
    """The repository has no such branch or tag."""


def check_url(url: str) -> str:
    """An address that git may be given.

    Raises:
        ValueError: it would be taken for an option or for a command to run.
    """
    if not url or url.startswith("-") or "::" in url.partition("/")[0] or _has_control(url):
        raise ValueError(f"{without_login(url)!r} is not the address of a git repository.")
    return url


def check_ref(ref: str, what: str) -> str:
    """The name of a branch or tag that git may be given.

    Raises:
        ValueError: it would be taken for an option, or no ref can have this name.
    """
    if not ref or ref.startswith(("-", "/")) or ref.endswith(("/", ".lock", ".")) or ".." in ref:
        raise ValueError(f"{ref!r} cannot be the name of a {what}.")
    if _has_control(ref) or any(character in ref for character in " ~^:?*[\\") or "@{" in ref:
        raise ValueError(f"{ref!r} cannot be the name of a {what}.")
    return ref


def check_sha(sha: str) -> str:
    """The id of a commit.

    Raises:
        ValueError: it is none.
    """
    if not _SHA.fullmatch(sha):
        raise ValueError(f"{sha!r} cannot be the id of a commit: 4 to 64 hexadecimal digits.")
    return sha


def check_directory(path: str) -> str:
    """A folder inside of a repository.

    Raises:
        ValueError: it would be taken for an option, or leads out of the repository.
    """
    if not path or path.startswith("-") or _has_control(path) or ".." in Path(path).parts:
        raise ValueError(f"{path!r} is not a folder of a repository.")
    return path


def _has_control(text: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in text)


class Git:
    """Runs git for one repository address.

    Args:
        url: the address, without a login.
        login: what to tell its server.
    """

    def __init__(self, url: str, login: Login | None = None) -> None:
        self.url = check_url(url)
        self._login = login

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in _INHERITED}
        # a question that nobody sees would wait for ever, and so would a server that has gone silent
        env["GIT_TERMINAL_PROMPT"] = "0"
        for name, value in _TOO_SLOW.items():
            env.setdefault(name, value)
        parts = urlsplit(self.url)
        if self._login is not None and parts.scheme in ("http", "https"):
            self._add_config(env, ("credential.helper", ""))
            self._add_config(env, (f"credential.{parts.scheme}://{parts.netloc}.helper", _HELPER))
            env |= {"_GIT_USERNAME": self._login.username, "_GIT_PASSWORD": self._login.password}
            env |= {"GIT_ASKPASS": "", "SSH_ASKPASS": ""}  # no windows that ask for another
        return env

    @staticmethod
    def _add_config(env: dict[str, str], entry: tuple[str, str]) -> None:
        count = int(env.get("GIT_CONFIG_COUNT") or 0)
        env[f"GIT_CONFIG_KEY_{count}"], env[f"GIT_CONFIG_VALUE_{count}"] = entry
        env["GIT_CONFIG_COUNT"] = str(count + 1)

    def run(self, *arguments: str, cwd: Path | None = None, stdin: str | None = None) -> str:
        """Run a command.

        Args:
            arguments: of git; none of them may hold a secret.
            cwd: the folder to run it in.
            stdin: what it reads.

        Returns:
            What it printed.

        Raises:
            GitError: it failed, or there is no git.
        """
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=cwd,
                env=self._environment(),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except FileNotFoundError as error:
            if cwd is not None and not cwd.exists():
                raise GitError(f"There is no folder {cwd}.") from error
            raise GitError("There is no program `git` on this machine; install it to fetch code from git.") from error
        if done.returncode != 0:
            raise GitError(
                f"`git {arguments[0]}` for {without_login(self.url)} failed with exit code {done.returncode}: "
                f"{self.redact(done.stderr.strip() or done.stdout.strip())}"
            )
        return done.stdout

    def works(self, *arguments: str, cwd: Path | None = None) -> bool:
        """Whether a command succeeds."""
        try:
            self.run(*arguments, cwd=cwd)
        except GitError:
            return False
        return True

    def redact(self, text: str) -> str:
        """A text without this repository's secrets."""
        text = without_login(text)
        for secret in self._login or ():
            if len(secret) > 3:
                text = text.replace(secret, "***")
        return text

    def refs(self, wanted: Sequence[str]) -> dict[str, str]:
        """The commits of some refs at the server, and under `symref` the name of the branch that is its HEAD.

        Args:
            wanted: full names, such as `HEAD` and `refs/heads/main`.
        """
        found: dict[str, str] = {}
        for line in self.run("ls-remote", "--symref", "--", self.url, *wanted).splitlines():
            left, _, name = line.partition("\t")
            if left.startswith("ref: "):
                found["symref"] = left.removeprefix("ref: ")
            else:
                found[name] = left
        return found
