"""The table itself: names, defaults, what derives from what."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

import prefect.settings
from prefect.settings import Settings, SettingsError
from prefect.settings.fields import fields_by_env_name, fields_by_path
from prefect.settings.legacy import Setting

FIELDS = list(Settings.fields())


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
def test_every_default_is_a_value_the_setting_may_have(field):
    settings = Settings()
    value = field.value_in(settings)
    assert field.read(value, "the default") == value
    assert field.doc.strip().endswith((".", "?"))


def test_no_two_settings_share_a_name():
    names = [name for field in FIELDS for name in field.env_names]
    assert len(names) == len(set(names)) == len(fields_by_env_name(Settings))
    assert len(FIELDS) == len(fields_by_path(Settings))


def test_defaults_that_derive_from_home(place: Path):
    settings = Settings()
    home = place / "home"
    assert settings.home == home
    assert settings.profiles_path == home / "profiles.toml"
    assert settings.results.local_storage_path == home / "storage"
    assert settings.logging.config_path == home / "logging.yml"
    assert settings.server.memo_store_path == home / "memo_store.toml"
    assert settings.reveal("server.database.connection_url") == f"sqlite+aiosqlite:///{home}/pluperfect.db"


def test_home_is_below_the_users_by_default(monkeypatch):
    monkeypatch.delenv("PREFECT_HOME")
    assert Settings().home == Path("~/.prefect").expanduser()


def test_home_stays_when_the_working_directory_changes(place, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", "home")
    settings = Settings()
    monkeypatch.chdir(place / "home")
    assert settings.results.local_storage_path == place / "home" / "storage"


def test_some_defaults():
    settings = Settings()
    assert settings.api.url is None
    assert settings.api.request_timeout == 60.0
    assert settings.flows.heartbeat_frequency == 180
    assert settings.server.events.retention_period == timedelta(days=7)
    assert settings.client.retry_extra_codes == set()
    assert settings.client.custom_headers == {}
    assert settings.logging.extra_loggers == []
    assert settings.server.services.db_vacuum.enabled == {"events", "logs", "flow_runs"}
    assert settings.server.services.db_vacuum.enabled_vacuum_types == {"events", "logs", "flow_runs"}
    assert settings.server.services.db_vacuum.event_retention_overrides == {
        "prefect.flow-run.heartbeat": timedelta(days=7)
    }


def test_debug_mode_lowers_the_levels_that_are_not_set():
    quiet, loud = Settings(), Settings(debug_mode=True)
    assert (quiet.logging.level, quiet.internal.logging_level) == ("INFO", "ERROR")
    assert (loud.logging.level, loud.internal.logging_level) == ("DEBUG", "DEBUG")
    assert Settings(debug_mode=True, logging={"level": "warning"}).logging.level == "WARNING"


@pytest.mark.parametrize(
    ("api", "ui", "cloud"),
    [
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200", False),
        ("http://host:1/base/api/", "http://host:1/base", False),
        ("https://api.prefect.cloud/api/accounts/a/workspaces/w", "https://app.prefect.cloud", True),
    ],
)
def test_address_of_the_pages_follows_that_of_the_api(api, ui, cloud):
    settings = Settings(api={"url": api})
    assert (settings.ui_url, settings.connected_to_cloud) == (ui, cloud)
    assert Settings(api={"url": api}, ui_url="http://mine").ui_url == "http://mine"


def test_address_of_the_clouds_pages_follows_that_of_its_api():
    assert Settings(cloud={"api_url": "https://api.stg.prefect.dev/api"}).cloud.ui_url == "https://app.stg.prefect.dev"


def test_database_url_from_its_parts():
    parts = {
        "driver": "postgresql+asyncpg",
        "host": "db",
        "port": 5433,
        "user": "me",
        "name": "runs",
        "password": "p@/",
    }
    settings = Settings(server={"database": parts})
    assert settings.reveal("server.database.connection_url") == "postgresql+asyncpg://me:p%40%2F@db:5433/runs"
    file = Settings(server={"database": {"driver": "sqlite+aiosqlite", "name": "/data/runs.db"}})
    assert file.reveal("server.database.connection_url") == "sqlite+aiosqlite:////data/runs.db"


def test_values_may_refer_to_other_settings(place: Path):
    database = {"connection_url": "postgresql+asyncpg://u:${PREFECT_API_DATABASE_PASSWORD}@h/d", "password": "p"}
    settings = Settings(results={"local_storage_path": "$PREFECT_HOME/results"}, server={"database": database})
    assert settings.results.local_storage_path == place / "home" / "results"
    assert settings.reveal("server.database.connection_url") == "postgresql+asyncpg://u:p@h/d"


def test_secrets_are_wrapped_and_revealed_on_purpose():
    settings = Settings(api={"key": "sesame"})
    assert isinstance(settings.api.key, SecretStr)
    assert settings.api.key.get_secret_value() == settings.reveal("api.key") == "sesame"
    assert Settings(api={"key": SecretStr("sesame")}).reveal("api.key") == "sesame"
    assert Settings().api.key is None
    assert "sesame" not in repr(settings)
    assert settings.model_dump(mode="json", exclude_unset=True)["api"]["key"] == "**********"
    assert settings.model_dump(mode="json", context={"include_secrets": True})["api"]["key"] == "sesame"


def test_settings_cannot_be_changed_in_place():
    settings = Settings()
    with pytest.raises(AttributeError, match="temporary_settings"):
        settings.debug_mode = True
    with pytest.raises(AttributeError, match="temporary_settings"):
        settings.api.url = "http://x"
    with pytest.raises(AttributeError):
        del settings.home


def test_equality_is_by_content_and_survives_copies():
    settings = Settings(api={"url": "http://a/api"})
    other = Settings(api={"url": "http://b/api"})
    for twin in (Settings(api={"url": "http://a/api"}), copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert twin == settings
        assert hash(twin) == hash(settings)
        assert twin.hash_key() == settings.hash_key()
        assert twin.api == settings.api
        assert twin.source_of("api.url") == settings.source_of("api.url") == "the argument api.url"
        assert twin.source_of("api.url").kind == "init"
    assert settings != other
    assert settings.hash_key() != other.hash_key()
    assert settings.cli == other.cli


def test_a_group_can_be_made_by_itself(monkeypatch):
    monkeypatch.setenv("PREFECT_API_REQUEST_TIMEOUT", "5")
    group = prefect.settings.table.APISettings(url="http://a/api")
    assert (group.url, group.request_timeout) == ("http://a/api", 5.0)


def test_unknown_arguments_are_refused():
    with pytest.raises(SettingsError, match=r"'api\.urll'"):
        Settings(api={"urll": "x"})


def test_environment_variables_give_the_same_settings_again(monkeypatch):
    settings = Settings(
        api={"key": "k", "url": "http://a/api"},
        client={"retry_extra_codes": "500,404", "custom_headers": {"a": "b"}},
        flows={"default_retry_delay_seconds": [1, 2]},
        server={"events": {"retention_period": "P3DT2H"}, "services": {"db_vacuum": {"enabled": False}}},
    )
    variables = settings.to_environment_variables(exclude_unset=True)
    assert variables["PREFECT_CLIENT_RETRY_EXTRA_CODES"] == "404,500"
    assert variables["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == "P3DT2H"
    assert variables["PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS"] == "1.0,2.0"
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert Settings() == settings
    for name, text in settings.to_environment_variables().items():
        monkeypatch.setenv(name, text)
    assert Settings() == settings


def test_environment_variables_without_secrets_or_with_older_names():
    settings = Settings(api={"key": "k"}, server={"ephemeral": {"enabled": True}})
    assert settings.to_environment_variables(include_secrets=False)["PREFECT_API_KEY"] == "**********"
    with_old = settings.to_environment_variables(exclude_unset=True, include_aliases=True)
    assert with_old["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == with_old["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "True"
    assert settings.api.to_environment_variables(exclude_unset=True) == {"PREFECT_API_KEY": "k"}


def test_setting_objects():
    setting = prefect.settings.PREFECT_API_URL
    assert setting is prefect.settings.PREFECT_API_URL
    assert (setting.name, setting.accessor, setting.default(), setting.is_secret) == (
        "PREFECT_API_URL",
        "api.url",
        None,
        False,
    )
    assert not setting
    with prefect.settings.temporary_settings({setting: "http://a/api"}) as settings:
        assert setting.value() == setting.value_from(settings) == str(setting) == "http://a/api"
        assert setting
    assert prefect.settings.PREFECT_API_REQUEST_TIMEOUT.default() == 60.0
    with prefect.settings.temporary_settings({prefect.settings.PREFECT_API_KEY: "k"}):
        assert prefect.settings.PREFECT_API_KEY.value() == "k"


def test_setting_objects_by_older_names_are_the_same_setting():
    old, new = prefect.settings.PREFECT_MESSAGING_BROKER, prefect.settings.PREFECT_SERVER_EVENTS_MESSAGING_BROKER
    assert old.name == "PREFECT_MESSAGING_BROKER"
    assert old == new
    assert hash(old) == hash(new)
    assert pickle.loads(pickle.dumps(old)) == new
    assert Setting("PREFECT_HOME", None, "Path").accessor == "home"
    with pytest.raises(ValueError, match="PREFECT_NOPE"):
        Setting("PREFECT_NOPE", None, str)


def test_there_is_no_object_for_what_is_no_setting():
    with pytest.raises(AttributeError, match="PREFECT_NOPE"):
        _ = prefect.settings.PREFECT_NOPE
    with pytest.raises(AttributeError, match="nope"):
        _ = prefect.settings.nope


def test_a_log_line_must_fit_into_a_batch():
    with pytest.raises(SettingsError, match=r"MAX_LOG_SIZE.*BATCH_SIZE"):
        Settings(logging={"to_api": {"max_log_size": 5_000_000}})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"api": {"url": "localhost:4200/api"}}, "http://"),
        ({"api": {"url": "http://localhost:4200"}}, "ends with /api"),
        ({"api": {"url": "https://app.prefect.cloud/account/x"}}, "address of pages"),
        ({"server": {"database": {"password": "p", "connection_url": "postgresql://u@h/d"}}}, "not used"),
    ],
)
def test_warnings_about_values_hardly_meant(values, words):
    with pytest.warns(UserWarning, match=words):
        Settings(**values).emit_warnings()
