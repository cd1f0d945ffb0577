"""The base for settings classes of integrations."""

from __future__ import annotations

import pydantic
import pytest

pytest.importorskip("pydantic_settings")

from prefect.settings.base import PrefectBaseSettings, build_settings_config


class WorkerSettings(PrefectBaseSettings):
    model_config = build_settings_config(("integrations", "kite", "worker"))

    strings: int = 1
    colour: str = "red"


class KiteSettings(PrefectBaseSettings):
    model_config = build_settings_config(("integrations", "kite"))

    cluster: str | None = pydantic.Field(
        default=None,
        validation_alias=pydantic.AliasChoices("cluster", "PREFECT_INTEGRATIONS_KITE_CLUSTER", "PREFECT_OLD_CLUSTER"),
    )
    name: str = "n"
    password: pydantic.SecretStr | None = None
    labels: dict[str, str] = {}
    worker: WorkerSettings = pydantic.Field(default_factory=WorkerSettings)


def test_every_source_in_order(place, monkeypatch):
    def name() -> str:
        return KiteSettings().name

    assert name() == "n"
    (place / "home" / "profiles.toml").write_text(
        'active = "p"\n[profiles.p]\nPREFECT_INTEGRATIONS_KITE_NAME = "profile"\nPREFECT_INTEGRATIONS_KITE_LABELS = \'{"a": "b"}\'\n'
    )
    assert name() == "profile"
    assert KiteSettings().labels == {"a": "b"}
    (place / "pyproject.toml").write_text('[tool.prefect.integrations.kite]\nname = "pyproject"\n')
    assert name() == "pyproject"
    (place / "prefect.toml").write_text('[integrations.kite]\nname = "toml"\n')
    assert name() == "toml"
    (place / ".env").write_text("PREFECT_INTEGRATIONS_KITE_NAME=dotenv\n")
    assert name() == "dotenv"
    monkeypatch.setenv("PREFECT_INTEGRATIONS_KITE_NAME", "env")
    assert name() == "env"
    assert KiteSettings(name="argument").name == "argument"


def test_aliases(place, monkeypatch):
    (place / "prefect.toml").write_text('[integrations.kite]\ncluster = "toml"\n')
    assert KiteSettings().cluster == "toml"
    monkeypatch.setenv("PREFECT_OLD_CLUSTER", "old")
    assert KiteSettings().cluster == "old"


def test_the_environment_wins_over_the_table_of_an_inner_class(place, monkeypatch):
    (place / "prefect.toml").write_text('[integrations.kite.worker]\nstrings = 3\ncolour = "blue"\n')
    monkeypatch.setenv("PREFECT_INTEGRATIONS_KITE_WORKER_STRINGS", "4")
    assert KiteSettings().worker.model_dump() == {"strings": 4, "colour": "blue"}


def test_environment_variables():
    settings = KiteSettings(cluster="c", password="p", labels={"a": "b"})
    assert settings.to_environment_variables() == {
        "PREFECT_INTEGRATIONS_KITE_CLUSTER": "c",
        "PREFECT_INTEGRATIONS_KITE_NAME": "n",
        "PREFECT_INTEGRATIONS_KITE_PASSWORD": "p",
        "PREFECT_INTEGRATIONS_KITE_LABELS": '{"a": "b"}',
        "PREFECT_INTEGRATIONS_KITE_WORKER_STRINGS": "1",
        "PREFECT_INTEGRATIONS_KITE_WORKER_COLOUR": "red",
    }
    shown = settings.to_environment_variables(exclude_unset=True, include_secrets=False, include_aliases=True)
    assert shown == {
        "PREFECT_INTEGRATIONS_KITE_CLUSTER": "c",
        "PREFECT_OLD_CLUSTER": "c",
        "PREFECT_INTEGRATIONS_KITE_PASSWORD": "**********",
        "PREFECT_INTEGRATIONS_KITE_LABELS": '{"a": "b"}',
    }
