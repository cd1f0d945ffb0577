"""Where values come from, and which place wins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefect.settings import Settings, SettingsError

PLACES = ["init", "env", ".env", "prefect.toml", "pyproject.toml", "profile"]


def give(place: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Have one source give `api.url`, as `http://<kind>/api`."""
    url = f"http://{kind}/api"
    if kind == "env":
        monkeypatch.setenv("PREFECT_API_URL", url)
    elif kind == ".env":
        (place / ".env").write_text(f"PREFECT_API_URL={url}\n")
    elif kind == "prefect.toml":
        (place / "prefect.toml").write_text(f'[api]\nurl = "{url}"\n')
    elif kind == "pyproject.toml":
        (place / "pyproject.toml").write_text(f'[project]\nname = "x"\n[tool.prefect.api]\nurl = "{url}"\n')
    elif kind == "profile":
        (place / "home" / "profiles.toml").write_text(f'active = "p"\n[profiles.p]\nPREFECT_API_URL = "{url}"\n')


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_stronger_source_wins(place, monkeypatch, first):
    for kind in PLACES[first:]:
        give(place, monkeypatch, kind)
    settings = Settings(api={"url": "http://init/api"}) if first == 0 else Settings()
    assert settings.api.url == f"http://{PLACES[first]}/api"
    assert settings.source_of("api.url").kind == PLACES[first]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("env", "environment variable PREFECT_API_REQUEST_TIMEOUT"),
        (".env", "PREFECT_API_REQUEST_TIMEOUT in {place}/.env"),
        ("prefect.toml", "api.request_timeout in {place}/prefect.toml"),
        ("pyproject.toml", "tool.prefect.api.request_timeout in {place}/pyproject.toml"),
        ("profile", "PREFECT_API_REQUEST_TIMEOUT of profile 'p' in {place}/home/profiles.toml"),
    ],
)
def test_a_bad_value_is_an_error_that_names_where_it_is(place, monkeypatch, kind, words):
    give(place, monkeypatch, kind)
    for path in (place / ".env", place / "prefect.toml", place / "pyproject.toml", place / "home" / "profiles.toml"):
        if path.exists():
            text = path.read_text().replace("PREFECT_API_URL", "PREFECT_API_REQUEST_TIMEOUT")
            path.write_text(text.replace("\nurl", "\nrequest_timeout"))
    if kind == "env":
        monkeypatch.setenv("PREFECT_API_REQUEST_TIMEOUT", "soon")
    with pytest.raises(SettingsError) as caught:
        Settings()
    assert str(caught.value).startswith("PREFECT_API_REQUEST_TIMEOUT: ")
    assert words.format(place=place) in str(caught.value)
    assert "a number" in str(caught.value)


def test_only_the_value_that_wins_must_be_allowed(place, monkeypatch):
    give(place, monkeypatch, "env")
    (place / "prefect.toml").write_text("[api]\nurl = 5\n")
    assert Settings().api.url == "http://env/api"


def test_import_does_not_read_settings(place):
    env = {**os.environ, "PREFECT_DEBUG_MODE": "ja"}
    code = "import prefect.settings\ntry: prefect.settings.get_current_settings()\nexcept ValueError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("PREFECT_DEBUG_MODE: 'ja', from environment variable PREFECT_DEBUG_MODE")


def test_names_in_the_environment_in_either_case(monkeypatch):
    monkeypatch.setenv("prefect_logging_log_prints", "1")
    assert Settings().logging.log_prints is True


def test_older_names_and_the_current_one_wins(monkeypatch):
    monkeypatch.setenv("PREFECT_TEST_SETTING", "old")
    assert Settings().testing.test_setting == "old"
    monkeypatch.setenv("PREFECT_TESTING_TEST_SETTING", "new")
    assert Settings().testing.test_setting == "new"
    monkeypatch.delenv("PREFECT_TEST_SETTING")
    monkeypatch.setenv("PREFECT_TEST_SETTING", "old again")  # now after the current name
    assert Settings().testing.test_setting == "new"


def test_an_empty_variable_is_unset_unless_empty_text_is_a_value(monkeypatch):
    monkeypatch.setenv("PREFECT_API_REQUEST_TIMEOUT", "")
    monkeypatch.setenv("PREFECT_HOME", "")
    monkeypatch.setenv("PREFECT_TEST_SETTING", "")
    settings = Settings()
    assert settings.api.request_timeout == 60.0
    assert settings.home == Path("~/.prefect").expanduser()
    assert settings.testing.test_setting == ""


def test_dotenv_syntax(place, monkeypatch):
    monkeypatch.setenv("MACHINE", "m1")
    (place / ".env").write_text(
        "# a comment\n"
        "BASE=http://h\n"
        "export PREFECT_API_URL = ${BASE}/api   # where\n"
        "PREFECT_API_KEY='a#b $x'\n"
        'PREFECT_TEST_SETTING="two\\nlines ${MACHINE} ${NONE:-none}"\n'
        "PREFECT_UI_URL=http://h/#/x\n"
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH=${PREFECT_HOME}/r\r\n"
        "not a line\n"
    )
    settings = Settings()
    assert settings.api.url == "http://h/api"
    assert settings.reveal("api.key") == "a#b $x"
    assert settings.testing.test_setting == "two\nlines m1 none"
    assert settings.ui_url == "http://h/#/x"
    assert settings.results.local_storage_path == place / "home" / "r"


def test_toml_files_have_types_and_tables(place):
    (place / "prefect.toml").write_text(
        "debug_mode = true\n[client]\ncustom_headers = {a = 'b'}\nretry_extra_codes = [429]\n"
        "[flows]\ndefault_retry_delay_seconds = [1, 2.5]\n[server.database]\ntimeout = 3\n"
    )
    settings = Settings()
    assert settings.debug_mode is True
    assert settings.client.custom_headers == {"a": "b"}
    assert settings.client.retry_extra_codes == {429}
    assert settings.flows.default_retry_delay_seconds == [1.0, 2.5]
    assert settings.server.database.timeout == 3.0


@pytest.mark.parametrize(
    "text",
    [
        "[tool.prefect]\ndebug_mode = true",
        "[tool]\nprefect.debug_mode = true",
        "[tool]\nprefect = {debug_mode = true}",
        "tool.prefect.debug_mode = true",
        'tool = {prefect = {"debug_mode" = true}}',
        "[ tool . 'prefect' ]\ndebug_mode = true",
    ],
)
def test_every_way_to_write_the_table_of_pyproject_is_found(place, text):
    (place / "pyproject.toml").write_text(text + "\n")
    assert Settings().debug_mode is True


def test_a_pyproject_of_others_is_not_even_parsed(place):
    (place / "pyproject.toml").write_text("[tool.other]\nthis is not TOML\n")
    assert Settings().debug_mode is False


@pytest.mark.parametrize("name", ["prefect.toml", "home/profiles.toml"])
def test_a_file_that_is_no_toml_is_an_error_that_names_it(place, name):
    (place / name).write_text("this is not TOML\n")
    with pytest.raises(SettingsError, match=name):
        Settings()


def test_a_file_that_cannot_be_read_is_an_error(place, monkeypatch):
    (place / "prefect.toml").symlink_to("prefect.toml")  # a link to itself: not missing, not readable, for root too
    with pytest.raises(SettingsError, match=r"prefect\.toml cannot be read"):
        Settings()


def test_home_and_profiles_path_may_come_from_files(place, monkeypatch):
    monkeypatch.delenv("PREFECT_HOME")
    (place / "prefect.toml").write_text(f"home = '{place}/home'\nprofiles_path = '$PREFECT_HOME/mine.toml'\n")
    (place / "home" / "mine.toml").write_text('active = "x"\n[profiles.x]\nPREFECT_DEBUG_MODE = true\n')
    settings = Settings()
    assert settings.debug_mode is True
    assert settings.profiles_path == place / "home" / "mine.toml"


def test_a_subclass_chooses_its_sources(monkeypatch):
    class OnlyArguments(Settings):
        @staticmethod
        def settings_customise_sources(cls, init, env, dotenv, secrets):
            return (init,)

    monkeypatch.setenv("PREFECT_DEBUG_MODE", "true")
    assert Settings().debug_mode is True
    assert OnlyArguments().debug_mode is False
    assert OnlyArguments(api={"url": "http://a/api"}).api.url == "http://a/api"


def test_nothing_heavy_is_imported():
    heavy = (
        "pydantic",
        "sqlalchemy",
        "asyncio",
        "rich",
        "jinja2",
        "yaml",
        "httpx",
        "cyclopts",
        "cloudpickle",
        "tomlkit",
    )
    code = (
        "import sys, prefect.settings as s; c = s.get_current_settings(); c.api.url, c.logging.level, c.home;"
        f"c.reveal('server.database.connection_url'); print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
