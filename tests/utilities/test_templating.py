"""Placeholders."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.logging import LogEavesdropper
from prefect.utilities.annotations import NotSet
from prefect.utilities.templating import (
    Placeholder,
    PlaceholderType,
    apply_values,
    determine_placeholder_type,
    find_placeholders,
)

VALUES = {"a": 1, "b": {"c": 2, "d": None}, "s": "str", "n": None, "l": [1, {"q": "w"}], "ns": NotSet}


@pytest.mark.parametrize(
    ("template", "removed", "kept"),
    [
        ("{{ a }}", 1, 1),
        ("x{{a}}y", "x1y", "x1y"),
        ("{{ b.c }}", 2, 2),
        ("{{ b }}", {"c": 2, "d": None}, {"c": 2, "d": None}),
        ("{{ l[1].q }}", "w", "w"),
        ("{{ b.d }}", None, None),
        ("{{ zz }}", NotSet, NotSet),
        ("{{ b.zz }}", NotSet, NotSet),
        ("{{ ns }}", NotSet, NotSet),
        ("x {{ zz }} y", "x  y", "x {{ zz }} y"),
        ("x{{n}}y", "xNoney", "xNoney"),
        ("{{ a }} {{ s }}", "1 str", "1 str"),
        ({"k": "{{ zz }}", "j": "{{ a }}", "{{a}}": 1}, {"j": 1, "{{a}}": 1}, {"k": "{{ zz }}", "j": 1, "{{a}}": 1}),
        ({"d": {"e": "{{ zz }}"}}, {"d": {}}, {"d": {"e": "{{ zz }}"}}),
        (["{{ zz }}", "{{ a }}"], [1], [1]),
        ("{{ prefect.variables.v }}", "{{ prefect.variables.v }}", "{{ prefect.variables.v }}"),
        ("{{ prefect.blocks.secret.v }}", "{{ prefect.blocks.secret.v }}", "{{ prefect.blocks.secret.v }}"),
        ("{{ s | upper }}", "{{ s | upper }}", "{{ s | upper }}"),
        ("{{ $NO_SUCH_VARIABLE }}", "", "{{ $NO_SUCH_VARIABLE }}"),
        ("q{{ $NO_SUCH_VARIABLE }}", "q", "q{{ $NO_SUCH_VARIABLE }}"),
        (None, None, None),
        (1.5, 1.5, 1.5),
    ],
)
def test_values_are_put_in(template: Any, removed: Any, kept: Any) -> None:
    assert apply_values(template, VALUES) == removed
    assert apply_values(template, VALUES, remove_notset=False) == kept


def test_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_HOME", "/h")
    assert apply_values({"p": "{{ $SOME_HOME }}/x"}, {}) == {"p": "/h/x"}


def test_prefixes_can_be_skipped() -> None:
    template = {"j": "{{ ctx.a }}", "q": "{{ctx}}", "r": "{{ ctxa }}"}
    assert apply_values(template, {"ctxa": 1}, skip_prefixes=["ctx"]) == {"j": "{{ ctx.a }}", "q": "{{ctx}}", "r": 1}


def test_missing_values_can_be_told() -> None:
    with LogEavesdropper("prefect.utilities.templating", logging.WARNING) as heard:
        apply_values({"k": "{{ zz }}"}, {}, warn_on_notset=True)
    assert "'zz' not found" in heard.text()


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="Unexpected template type 'tuple'"):
        apply_values(("{{ a }}",), {})


def test_placeholders_are_found() -> None:
    template = {"x": ["{{ a }}", 1, "{{ $E }}-{{ prefect.blocks.t.n }}"], "y": "{{ prefect.variables.v }}"}
    assert find_placeholders(template) == {
        Placeholder("{{ a }}", "a", PlaceholderType.STANDARD),
        Placeholder("{{ $E }}", "$E", PlaceholderType.ENV_VAR),
        Placeholder("{{ prefect.blocks.t.n }}", "prefect.blocks.t.n", PlaceholderType.BLOCK_DOCUMENT),
        Placeholder("{{ prefect.variables.v }}", "prefect.variables.v", PlaceholderType.VARIABLE),
    }
    assert find_placeholders(5) == set()
    assert determine_placeholder_type("prefect.x") is PlaceholderType.STANDARD


_plain = st.recursive(
    st.none() | st.integers() | st.text(alphabet=st.characters(exclude_characters="{}")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(_plain)
def test_without_placeholders_nothing_changes(template: Any) -> None:
    assert apply_values(template, VALUES) == template


@given(_plain)
def test_a_placeholder_alone_gives_the_value_itself(value: Any) -> None:
    assert apply_values({"k": ["{{ v }}"]}, {"v": value}) == {"k": [value]}
