"""File systems: what is written comes back, in both worlds; nothing leads out of the base path."""

import asyncio
import inspect
import os
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import ValidationError

from prefect._results.files import resolve_within
from prefect.filesystems import (
    SMB,
    LocalFileSystem,
    NullFileSystem,
    ReadableDeploymentStorage,
    ReadableFileSystem,
    RemoteFileSystem,
    WritableDeploymentStorage,
    WritableFileSystem,
)


@pytest.fixture(params=["dispatched", "async", "sync"])
def call(request):
    """`await call(fs, "read_path", ...)`: by the name that looks for a running loop, by its twin, or synchronously."""

    async def call_(fs, method, *args, **kwargs):
        if request.param == "sync":
            return await asyncio.to_thread(getattr(fs, method), *args, **kwargs)
        result = getattr(fs, method if request.param == "dispatched" else f"a{method}")(*args, **kwargs)
        assert inspect.isawaitable(result)
        return await result

    return call_


@pytest.fixture
def local(tmp_path):
    return LocalFileSystem(basepath=str(tmp_path / "base"))


@pytest.fixture
def remote(request, tmp_path):
    return RemoteFileSystem(basepath=f"memory://{tmp_path.name}/base")


@pytest.fixture(params=["local", "remote"])
def fs(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def tree(tmp_path):
    """A folder with files, one of them hidden, in folders."""
    for name in ("a.txt", "b.log", "s/c.txt", "s/t/d.log", ".hidden"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "ignore").write_text("*.log\n")
    return tmp_path / "tree"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


EVERYTHING = [".hidden", "a.txt", "b.log", "s/c.txt", "s/t/d.log"]


# ── both ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_write_and_read(call, fs):
    full = await call(fs, "write_path", "a/b.bin", b"\x00\xff")
    assert full.endswith("base/a/b.bin")
    assert await call(fs, "read_path", "a/b.bin") == b"\x00\xff"
    await call(fs, "write_path", "a/b.bin", b"again")
    assert await call(fs, "read_path", full) == b"again"


def test_without_a_loop(fs):
    fs.write_path("x", b"1")
    assert fs.read_path("x") == b"1"


async def test_synchronously_in_a_loop(fs):
    fs.write_path("x", b"1", _sync=True)
    assert fs.read_path("x", _sync=True) == b"1"


async def test_missing_file(call, fs):
    with pytest.raises((ValueError, FileNotFoundError), match=r"nope does not exist"):
        await call(fs, "read_path", "nope")


async def test_put_and_get_folder(call, fs, tree, tmp_path):
    await call(fs, "put_directory", str(tree), "copy")
    await call(fs, "get_directory", "copy", str(tmp_path / "out"))
    assert names(tmp_path / "out") == EVERYTHING
    await call(fs, "get_directory", "copy/s", str(tmp_path / "part"))
    assert names(tmp_path / "part") == ["c.txt", "t/d.log"]
    assert (tmp_path / "part/t/d.log").read_text() == "s/t/d.log"


async def test_put_without_what_is_ignored(call, fs, tree, tmp_path):
    await call(fs, "put_directory", str(tree), "copy", ignore_file=str(tmp_path / "ignore"))
    await call(fs, "get_directory", "copy", str(tmp_path / "out"))
    assert names(tmp_path / "out") == [".hidden", "a.txt", "s/c.txt"]


async def test_put_a_folder_that_is_not_there(call, fs, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        await call(fs, "put_directory", str(tmp_path / "nowhere"), "x")


async def test_defaults_are_the_working_directory_and_everything(call, fs, tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tree)
    await call(fs, "put_directory")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    await call(fs, "get_directory")
    assert names(tmp_path / "out") == EVERYTHING


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "a/../../base2/x"])
async def test_paths_stay_inside(call, fs, path, tree):
    for method, args in (("read_path", [path]), ("write_path", [path, b""]), ("get_directory", [path, "out"])):
        with pytest.raises(ValueError, match="outside of the base path"):
            await call(fs, method, *args)
    with pytest.raises(ValueError, match="outside of the base path"):
        await call(fs, "put_directory", str(tree), path)


# ── local ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_local_absolute_paths(local, tmp_path):
    assert local.write_path(tmp_path / "base/x", b"1") == str(tmp_path / "base/x")
    with pytest.raises(ValueError, match="outside of the base path"):
        local.write_path("/etc/x", b"")


def test_local_links_are_followed_before_the_check(local, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "base/link").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="outside of the base path"):
        local.read_path("link")


def test_local_base_that_is_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    local = LocalFileSystem(basepath=str(tmp_path / "link"))
    local.write_path("x", b"1")
    assert (tmp_path / "real/x").read_bytes() == local.read_path(str(tmp_path / "link/x")) == b"1"


def test_local_folder_is_no_file(local):
    local.write_path("folder/x", b"")
    with pytest.raises(ValueError, match="is not a file"):
        local.read_path("folder")


def test_local_without_base_is_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LocalFileSystem().write_path("x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"
    with pytest.raises(ValueError, match="outside of the base path"):
        LocalFileSystem().read_path("/etc/passwd")


def test_local_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    local = LocalFileSystem(basepath="~/data")
    assert local.basepath == "~/data"
    assert local.write_path("x", b"1") == str(tmp_path / "data/x")


def test_local_base_as_path():
    assert LocalFileSystem(basepath=Path("/z")).basepath == "/z"


def test_local_failed_write_leaves_the_old_content(local, tmp_path):
    local.write_path("x", b"old")
    with pytest.raises(TypeError):
        local.write_path("x", "text")
    assert local.read_path("x") == b"old"
    assert names(tmp_path / "base") == ["x"]


def test_local_put_into_itself(tree, monkeypatch):
    local = LocalFileSystem(basepath=str(tree))
    local.put_directory(str(tree), "inner")
    assert names(tree / "inner") == EVERYTHING


path_parts = st.lists(st.sampled_from(["..", ".", "a", "b", "", "~", "link"]), max_size=8)


@given(path_parts)
def test_resolved_paths_are_always_inside(tmp_path_factory, parts):
    base = tmp_path_factory.getbasetemp() / "base-of-paths"
    base.mkdir(exist_ok=True)
    if not (base / "link").is_symlink():
        (base / "link").symlink_to("/")
    try:
        resolved = resolve_within(base, "/".join(parts))
    except ValueError:
        return
    assert resolved.resolve() == base or base in resolved.resolve().parents


# ── remote ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("basepath", "words"),
    [
        ("x", "must start with a scheme"),
        ("://x", "must start with a scheme"),
        ("memory://", "must include a location"),
        ("file:///x", "must include a location"),
        ("file://x", "LocalFileSystem"),
    ],
)
def test_remote_bad_base(basepath, words):
    with pytest.raises(ValidationError, match=words):
        RemoteFileSystem(basepath=basepath)


def test_remote_urls(remote):
    base = remote.basepath
    assert remote.write_path(f"{base}/x", b"1") == f"{base}/x"
    for path in ("memory://elsewhere/x", f"{base}2/x"):
        with pytest.raises(ValueError, match="outside of the base path"):
            remote.read_path(path)
    with pytest.raises(ValueError, match="same scheme"):
        remote.read_path("s3://bucket/x")


def test_remote_put_counts_and_can_keep(remote, tree):
    assert remote.put_directory(str(tree), "copy") == 5
    remote.write_path("copy/a.txt", b"kept")
    os.unlink(tree / "b.log")
    assert remote.put_directory(str(tree), "copy", overwrite=False) == 0
    assert remote.read_path("copy/a.txt") == b"kept"
    assert remote.put_directory(str(tree), "copy") == 4
    assert remote.read_path("copy/a.txt") == b"a.txt"


def test_remote_passes_settings():
    remote = RemoteFileSystem(basepath="memory://x", settings={"skip_instance_cache": True})
    assert remote.filesystem is remote.filesystem
    with pytest.raises(RuntimeError, match="smb"):
        SMB(smb_host="h", share_path="/s").read_path("x")


def test_smb():
    share = SMB(smb_host="h", share_path="/s/x", smb_username="u", smb_password="p", smb_port=446)
    assert share.basepath == "smb://h/s/x"
    assert "'u'" not in repr(share) and "'p'" not in repr(share)
    assert share._resolve_path("a") == "smb://h/s/x/a"


# ── nowhere, and what is abstract ───────────────────────────────────────────────────────────────────────────────────


async def test_null():
    null = NullFileSystem()
    await null.write_path("x", b"1")
    assert await null.read_path("x") is None
    await null.put_directory("a", "b")
    await null.get_directory("a", "b")


@pytest.mark.parametrize(
    ("cls", "capabilities"),
    [
        (ReadableFileSystem, {"read-path"}),
        (WritableFileSystem, {"read-path", "write-path"}),
        (ReadableDeploymentStorage, {"get-directory"}),
        (WritableDeploymentStorage, {"get-directory", "put-directory"}),
    ],
)
def test_abstract_bases(cls, capabilities):
    assert cls.get_block_capabilities() == capabilities
    with pytest.raises(TypeError, match="abstract"):
        cls()


def test_local_has_all_capabilities():
    everything = {"read-path", "write-path", "get-directory", "put-directory"}
    for cls in (LocalFileSystem, RemoteFileSystem, SMB):
        assert cls.get_block_capabilities() == everything
