"""Blocks: types, schemas and their checksums, secrets, dispatch, saving and loading."""

import inspect
import pickle
import warnings
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import cloudpickle
import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from prefect.blocks import abstract
from prefect.blocks.core import (
    Block,
    BlockNotSavedError,
    InvalidBlockRegistration,
    UnknownBlockType,
    block_schema_to_key,
    schema_extra,
)
from prefect.filesystems import LocalFileSystem, RemoteFileSystem, WritableFileSystem
from prefect.types import SecretDict

from ._client import AsyncBlockClient, SyncBlockClient

warnings.filterwarnings("ignore", message="Type .* has the dispatch key")


class Inner(Block):
    """Inner thing.

    Example:
        Use it:
        ```python
        Inner(a=1)
        ```
    """

    a: int = 1
    s: SecretStr = SecretStr("q")


class Sub(BaseModel):
    tok: SecretStr = SecretStr("a")


class Outer(Block):
    _block_type_name = "My Outer"
    _block_type_slug = "my-outer"
    _description = "An outer."
    _logo_url = "https://x/y.png"
    _documentation_url = "https://x/doc"
    _block_schema_capabilities = ["zap"]
    _code_example = "code!"

    inner: Inner
    opt: Inner | None = None
    un: Inner | LocalFileSystem | None = None
    lst: list[Inner] = []
    sd: SecretDict = Field(default_factory=lambda: SecretDict({"k": "v"}))
    sub: Sub = Sub()

    def block_initialization(self):
        self._prepared = True

    _prepared: bool = False


# ── the type ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_type_says_about_itself():
    assert Outer.get_block_type_name() == "My Outer"
    assert Outer.get_block_type_slug() == "my-outer"
    assert Outer.get_block_capabilities() == {"zap"}
    assert Outer.get_description() == "An outer."
    assert Outer.get_code_example() == "code!"
    assert Outer.get_block_schema_version() == "non-versioned"


def test_what_is_made_from_the_class():
    assert Inner.get_block_type_name() == "Inner"
    assert Inner.get_block_type_slug() == "inner"
    assert Inner.get_block_capabilities() == frozenset()
    assert Inner.get_description() == "Inner thing."
    assert Inner.get_code_example() == "Use it:\n```python\nInner(a=1)\n```"


def test_plain_class():
    class HTTPThing_x(Block):
        pass

    assert HTTPThing_x.get_block_type_slug() == "httpthing-x"
    assert HTTPThing_x.get_description() is None
    assert HTTPThing_x.get_code_example() == (
        f'```python\nfrom {__name__} import HTTPThing_x\n\nhttpthing_x_block = HTTPThing_x.load("BLOCK_NAME")\n```'
    )


def test_own_version():
    class Versioned(Block):
        _block_schema_version = "7"

    assert Versioned.get_block_schema_version() == "7"
    assert LocalFileSystem.get_block_schema_version() == "3.8.4"


def test_is_block_class():
    assert Block.is_block_class(Inner)
    assert not Block.is_block_class(Sub)
    assert not Block.is_block_class(Inner())
    answers = [Block.annotation_refers_to_block_class(a) for a in (Inner, Inner | None, int | str, list[Inner], int)]
    assert answers == [True, True, False, False, False]


# ── the schema ──────────────────────────────────────────────────────────────────────────────────────────────────────

INNER_CHECKSUM = "sha256:391f9619c19a9219b5c948b9edc156f7ba02efb5a80477e736722645adf6d31a"


def test_schema():
    schema = Outer.model_json_schema()
    assert schema["title"] == "Outer"
    assert schema["description"] == "An outer."
    assert schema["block_type_slug"] == "my-outer"
    assert schema["secret_fields"] == ["inner.s", "opt.s", "un.s", "lst.s", "sd.*", "sub.tok"]
    inner = {"block_schema_checksum": INNER_CHECKSUM, "block_type_slug": "inner"}
    references = schema["block_schema_references"]
    assert references["inner"] == references["opt"] == references["lst"] == inner
    assert [reference["block_type_slug"] for reference in references["un"]] == ["inner", "local-file-system"]
    assert [prop["position"] for prop in schema["properties"].values()] == list(range(6))
    assert schema["properties"]["inner"] == {"$ref": "#/definitions/Inner", "position": 0}
    assert set(schema["definitions"]) == {"Inner", "LocalFileSystem", "Sub"}
    assert "additionalProperties" not in schema


def test_schema_of_a_block():
    assert Inner.model_json_schema() == {
        "block_schema_references": {},
        "block_type_slug": "inner",
        "description": "Inner thing.",
        "properties": {
            "a": {"default": 1, "position": 0, "title": "A", "type": "integer"},
            "s": {
                "default": "**********",
                "format": "password",
                "position": 1,
                "title": "S",
                "type": "string",
                "writeOnly": True,
            },
        },
        "secret_fields": ["s"],
        "title": "Inner",
        "type": "object",
    }


def test_schema_extra():
    schema = {"properties": {"a": {}}, "additionalProperties": True}
    schema_extra(schema, Inner)
    assert (schema["block_type_slug"], schema["properties"]["a"]["position"]) == ("inner", 0)


class Deep(BaseModel):
    z: int = 0


class Nested(BaseModel):
    d: Deep = Deep()


class Only(BaseModel):
    o: SecretStr


class Col(Enum):
    R = "r"


def checksum_of(name, *bases, **namespace):
    annotations = namespace.pop("annotations")
    cls = type(name, bases or (Block,), {"__module__": __name__, "__annotations__": annotations, **namespace})
    return cls, cls._calculate_schema_checksum()


def test_checksums():
    """A checksum identifies a schema for every client and server of the API: it must not change."""
    plain, checksum = checksum_of("Inner", annotations={"a": int}, a=1)
    assert checksum == "sha256:95c8d2edfba92f37506c504a18b25793251436b840cc75fcf59515bdf3274659"
    holder, checksum = checksum_of("O1", annotations={"inner": plain})
    assert checksum == "sha256:bd7a7ace77db18b6543cf58f37d0abc8f78a10b385052ff8ea3c8942f559caa1"
    open_mappings = {"x": dict[str, Any], "y": dict[str, Any] | None}
    _, checksum = checksum_of("O3", annotations=open_mappings, x={}, y=None)
    assert checksum == "sha256:730bc357a5adb5a6c336bc4a20672e0d0b7b4df845db33194983c45b57d29e3a"
    _, checksum = checksum_of("O4", annotations={"fs": WritableFileSystem, "o": holder})
    assert checksum == "sha256:736281d27421ce8662bf57d1fb5478f854b54c0af726fa7000f0b0dd5dd17e7d"
    collections = {"m": dict[str, plain], "t": tuple[plain, int], "u": plain | holder}
    _, checksum = checksum_of("O5", annotations=collections, m={}, t=None)
    assert checksum == "sha256:67647be2cf3d816f8721e2c1cf763e27f817849d63aa26718b3f531df7492475"
    assert Inner._calculate_schema_checksum() == INNER_CHECKSUM


def test_checksum_with_other_models():
    sub = type("Sub", (BaseModel,), {"__annotations__": {"d": Deep}, "d": Deep(), "__module__": __name__})
    bb, checksum = checksum_of("BB", annotations={"only": Only, "sub": sub | None}, sub=None, __doc__="A bb.")
    assert checksum == "sha256:8db2d507509cc5fe8fae7c51f9e76b25c8fdd3928fa69f5149b7f1be779420db"
    fields = {
        "bb": bb, "sub": sub, "many": list[Deep], "c": Col, "al": int, "m": dict[str, sub], "lit": Literal["a", "b"],
        "opt": bb | None,
    }  # fmt: skip
    alias = Field(1, alias="alias_x", description="desc", title="ttl")
    _, checksum = checksum_of("AA", annotations=fields, many=[], c=Col.R, al=alias, m={}, lit="a", opt=None)
    assert checksum == "sha256:d90d558d56bddddf850243eda57134e01410777b212077c05f9928c6b12d918c"


def test_forms_for_the_api():
    block_type, schema = Outer._to_block_type(), Outer._to_block_schema()
    assert (block_type.slug, block_type.name, str(block_type.logo_url)) == ("my-outer", "My Outer", "https://x/y.png")
    assert schema.checksum == Outer._calculate_schema_checksum()
    assert schema.capabilities == ["zap"]
    assert block_schema_to_key(schema) == "my-outer"
    assert Block.get_block_class_from_schema(schema) is Outer


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_initialization_is_called_once_there_are_values():
    assert Outer(inner=Inner())._prepared
    assert Outer.model_validate({"inner": {}})._prepared


def test_secrets_are_not_shown():
    outer = Outer(inner=Inner(s="hush"), lst=[Inner(s="hush")], sub=Sub(tok="hush"), sd={"k": "hush"})
    assert "hush" not in repr(outer)
    assert "hush" not in outer.model_dump_json()
    assert "hush" not in str(outer.model_dump())


def test_secrets_are_shown_when_asked_for():
    outer = Outer(inner=Inner(s="1"), lst=[Inner(s="2")], sub=Sub(tok="3"), sd={"k": "4"})
    for mode in ("python", "json"):
        dumped = outer.model_dump(mode=mode, context={"include_secrets": True})
        assert dumped == {
            "inner": {"a": 1, "s": "1", "block_type_slug": "inner"},
            "opt": None,
            "un": None,
            "lst": [{"a": 1, "s": "2", "block_type_slug": "inner"}],
            "sd": {"k": "4"},
            "sub": {"tok": "3"},
            "block_type_slug": "my-outer",
        }


def test_slug_in_dumps():
    inner = Inner(a=2)
    assert inner.model_dump(exclude={"s"}) == {"a": 2, "block_type_slug": "inner"}
    assert inner.model_dump(include={"a"}) == {"a": 2}
    assert inner.model_dump(exclude={"block_type_slug", "s"}) == {"a": 2}
    assert Inner().model_dump(exclude_unset=True) == {"block_type_slug": "inner"}


def test_values_without_a_field_are_kept_but_not_shown():
    inner = Inner(old_token="hush")
    assert inner.old_token == "hush"
    assert "hush" not in repr(inner)


def test_where_it_comes_from_survives_copies():
    inner = Inner()
    inner._block_document_name = "n"
    for copy in (inner.model_copy(), pickle.loads(pickle.dumps(inner)), cloudpickle.loads(cloudpickle.dumps(inner))):
        assert copy._block_document_name == "n"
        assert copy == inner


# ── choosing the class ──────────────────────────────────────────────────────────────────────────────────────────────


def test_class_by_slug():
    assert Block.get_block_class_from_key("my-outer") is Outer
    with pytest.raises(UnknownBlockType, match="'nope'"):
        Block.get_block_class_from_key("nope")


def test_base_makes_the_class_of_a_slug():
    assert Block(block_type_slug="my-outer", inner={}) == Outer(inner=Inner())
    assert Block.model_validate({"block_type_slug": "my-outer", "inner": {}}) == Outer(inner=Inner())
    with pytest.raises(UnknownBlockType):
        Block(block_type_slug="nope")


def test_field_of_an_abstract_class():
    class Holder(Block):
        fs: WritableFileSystem

    assert Holder(fs={"block_type_slug": "local-file-system", "basepath": "/x"}).fs == LocalFileSystem(basepath="/x")
    with pytest.raises(ValidationError, match="WritableFileSystem"):
        Holder(fs=Inner())


def test_field_with_the_slug_of_another_class():
    with pytest.raises(ValidationError, match="expected 'inner', got 'local-file-system'"):
        Outer(inner={"block_type_slug": "local-file-system"})
    with pytest.raises(ValidationError, match="expected 'inner', got 'my-outer'"):
        Inner(block_type_slug="my-outer")


def test_union_field():
    for value in (LocalFileSystem(basepath="/x"), Inner(a=5)):
        dumped = Outer(inner=Inner(), un=value).model_dump(context={"include_secrets": True})
        assert Outer.model_validate(dumped).un == value


def test_slug_of_another_class_is_taken_with_a_warning():
    class First(Block):
        _block_type_slug = "test-taken"

    with pytest.warns(UserWarning, match="test-taken"):

        class Second(Block):
            _block_type_slug = "test-taken"

    assert Block.get_block_class_from_key("test-taken") is Second


# ── saving and loading ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["sync", "async"])
def api(request):
    return SyncBlockClient() if request.param == "sync" else AsyncBlockClient()


@pytest.fixture
def call(api):
    """`await call(owner, "save", ...)` with the client, by the synchronous or asynchronous method."""

    async def call_(owner, method, *args, **kwargs):
        if isinstance(api, AsyncBlockClient):
            return await getattr(owner, f"a{method}")(*args, client=api, **kwargs)
        return getattr(owner, method)(*args, client=api, _sync=True, **kwargs)

    return call_


async def test_save_and_load(call):
    outer = Outer(inner=Inner(s="hush"), sd={"k": "hush"})
    document_id = await call(outer, "save", "mine")
    assert isinstance(document_id, UUID)
    loaded = await call(Outer, "load", "mine")
    assert loaded == outer
    assert loaded.inner.s.get_secret_value() == "hush"
    for block in (outer, loaded):
        assert (block._block_document_id, block._block_document_name) == (document_id, "mine")
        assert block._is_anonymous is False
        assert block.get_block_placeholder() == "prefect.blocks.my-outer.mine"
    for found in (
        await call(Block, "load", "my-outer/mine"),
        await call(Outer, "load_from_ref", document_id),
        await call(Outer, "load_from_ref", str(document_id)),
        await call(Block, "load_from_ref", {"block_document_id": document_id}),
        await call(Block, "load_from_ref", {"block_document_slug": "my-outer/mine"}),
    ):
        assert found == outer


async def test_save_again(call):
    await call(Inner(a=1), "save", "mine")
    with pytest.raises(ValueError, match=r"'mine'.*overwrite=True"):
        await call(Inner(a=2), "save", "mine")
    again = Inner(a=2)
    await call(again, "save", "mine", overwrite=True)
    assert (await call(Inner, "load", "mine")).a == 2
    again.a = 3
    await call(again, "save", overwrite=True)
    assert (await call(Inner, "load", "mine")).a == 3


async def test_save_needs_a_name(call):
    with pytest.raises(ValueError, match="a-name"):
        await call(Inner(), "save")


async def test_saved_block_inside_a_block_is_a_reference(call, api):
    inner = Inner(a=5)
    inner_id = await call(inner, "save", "inside")
    outer_id = await call(Outer(inner=inner), "save", "around")
    assert api.documents[outer_id].data["inner"] == {"$ref": {"block_document_id": inner_id}}
    await call(Inner(a=6), "save", "inside", overwrite=True)
    loaded = await call(Outer, "load", "around")
    assert loaded.inner.a == 6
    assert (loaded.inner._block_document_id, loaded.inner._block_document_name) == (inner_id, "inside")


async def test_missing_block(call):
    with pytest.raises(ValueError, match="named nope for block type inner"):
        await call(Inner, "load", "nope")
    with pytest.raises(ValueError, match="'type/name'"):
        await call(Block, "load", "just-a-name")
    with pytest.raises(ValueError, match="00000000-0000-0000-0000-000000000001"):
        await call(Inner, "load_from_ref", UUID(int=1))
    with pytest.raises(ValueError, match="block_document_slug"):
        await call(Inner, "load_from_ref", {"other": 1})


async def test_delete(call):
    await call(Inner(), "save", "mine")
    await call(Block, "delete", "inner/mine")
    with pytest.raises(ValueError, match="mine"):
        await call(Inner, "delete", "mine")


async def test_register(call, api):
    await call(Outer, "register_type_and_schema")
    created = set(api.calls)
    assert {"create type my-outer", "create type inner", "create type local-file-system"} <= created
    assert {"create schema my-outer", "create schema inner", "create schema local-file-system"} <= created
    api.calls.clear()
    await call(Outer, "register_type_and_schema")
    assert api.calls == []
    with pytest.raises(InvalidBlockRegistration):
        await call(Block, "register_type_and_schema")


async def test_register_updates_what_the_type_says(call, api, monkeypatch):
    await call(Inner, "register_type_and_schema")
    monkeypatch.setattr(Inner, "_code_example", "new example")
    api.calls.clear()
    await call(Inner, "register_type_and_schema")
    assert "update type inner" in api.calls
    assert api.types["inner"].code_example == "new example"


async def test_values_that_no_longer_fit(call, api):
    document_id = await call(Inner(), "save", "mine")
    api.documents[document_id].data["a"] = "not a number"
    with pytest.raises(RuntimeError, match=r"(?s)'mine'.*validate=False"):
        await call(Inner, "load", "mine")
    assert (await call(Inner, "load", "mine", validate=False)).a == "not a number"


def test_unsaved_block_has_no_placeholder():
    with pytest.raises(BlockNotSavedError, match="save"):
        Inner().get_block_placeholder()


async def test_dispatch_by_loop():
    client = AsyncBlockClient()
    saving = Inner(a=7).save("mine", client=client)
    assert inspect.isawaitable(saving)
    await saving
    assert (await Inner.load("mine", client=client)).a == 7


# ── the bases of integrations ───────────────────────────────────────────────────────────────────────────────────────


def test_abstract_bases():
    for name in ("Credentials", "Notification", "Job", "Database", "ObjectStorage", "Secret"):
        cls = getattr(abstract, f"{name}Block")
        with pytest.raises(TypeError, match="abstract"):
            cls()
    with pytest.raises(TypeError, match="abstract"):
        abstract.JobRun()


class Login(abstract.CredentialsBlock):
    token: SecretStr

    def get_client(self):
        return self.token.get_secret_value()


def test_credentials():
    login = Login(token="t")
    assert login.get_client() == "t"
    assert login.logger.name == "prefect.Login"


class Shout(abstract.NotificationBlock):
    async def notify(self, body, subject=None):
        if self._raise_on_failure:
            raise abstract.NotificationError("log")


async def test_notification():
    shout = Shout()
    assert Shout.get_block_capabilities() == {"notify"}
    await shout.notify("x")
    with shout.raise_on_failure(), pytest.raises(abstract.NotificationError) as caught:
        await shout.notify("x")
    assert caught.value.log == "log"
    await shout.notify("x")


class Table(abstract.DatabaseBlock):
    async def fetch_one(self, operation, parameters=None, **execution_kwargs): ...
    async def fetch_many(self, operation, parameters=None, size=None, **execution_kwargs): ...
    async def fetch_all(self, operation, parameters=None, **execution_kwargs): ...
    async def execute(self, operation, parameters=None, **execution_kwargs): ...
    async def execute_many(self, operation, seq_of_parameters, **execution_kwargs): ...


async def test_database_that_is_no_context_manager():
    with pytest.raises(NotImplementedError, match="Table"), Table():
        pass
    with pytest.raises(NotImplementedError, match="Table"):
        async with Table():
            pass


def test_filesystem_blocks_are_known():
    for cls, slug in ((LocalFileSystem, "local-file-system"), (RemoteFileSystem, "remote-file-system")):
        assert Block.get_block_class_from_key(slug) is cls
