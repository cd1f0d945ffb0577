"""A PostgreSQL server of our own, from the binaries of the system, where it has them."""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

_numbers = itertools.count()


def _binary(name: str) -> str | None:
    found = shutil.which(name)
    if found:
        return found
    # Debian keeps the server's programs outside PATH
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(candidates[-1]) if candidates else None


@dataclass(frozen=True)
class PostgreSQL:
    """A server that listens on a Unix socket in its own folder."""

    folder: Path
    restart: Callable[[], None] = lambda: None
    """Ends it, those that are connected first, and starts it again."""

    def database(self, what: str, sql: str = "", driver: str = "postgresql") -> str:
        """Make a database that nobody else has, run statements in it, and give its address.

        Args:
            what: the beginning of its name.
            sql: the statements.
            driver: the scheme of the address.
        """
        name = f"{what}_{next(_numbers)}"  # a fixture of a module may be made twice, with other tests in between
        self._client("psql", "--dbname=postgres", f"--command=CREATE DATABASE {name}")
        if sql:
            self._client("psql", f"--dbname={name}", "--set=ON_ERROR_STOP=1", "--quiet", stdin=sql)
        return f"{driver}://test@/{name}?host={self.folder}"

    def dump(self, url: str) -> str:
        """The schema and the rows of a database as statements."""
        text = self._client("pg_dump", "--no-owner", make_url(url).database or "")
        return re.sub(r"(?m)^(--.*|\\(un)?restrict.*)?\n", "", text)

    def _client(self, program: str, *arguments: str, stdin: str | None = None) -> str:
        command = [program, f"--host={self.folder}", "--username=test", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
        return done.stdout


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    initdb, pg_ctl = _binary("initdb"), _binary("pg_ctl")
    if not (initdb and pg_ctl and shutil.which("psql") and shutil.which("pg_dump")):
        pytest.skip("no PostgreSQL server (initdb, pg_ctl, psql, pg_dump) is installed")
    user: dict[str, object] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder = Path(name)
        if user:
            os.chown(folder, account.pw_uid, account.pw_gid)
        data = folder / "data"

        def server(*command: str) -> None:
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)  # type: ignore[call-overload]

        server(initdb, f"--pgdata={data}", "--username=test", "--auth=trust", "--no-sync", "--encoding=UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"

        def start() -> None:
            server(pg_ctl, f"--pgdata={data}", f"--log={folder}/log", "--wait", f"--options={options}", "start")

        def restart() -> None:
            server(pg_ctl, f"--pgdata={data}", "--mode=fast", "--wait", "stop")
            start()

        start()
        try:
            yield PostgreSQL(folder, restart)
        finally:
            server(pg_ctl, f"--pgdata={data}", "--mode=immediate", "--wait", "stop")
