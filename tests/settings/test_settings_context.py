"""The settings in force: temporary changes, profiles, threads, tasks."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from prefect.settings import (
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_LOGGING_LEVEL,
    PREFECT_TEST_SETTING,
    Profile,
    Settings,
    SettingsError,
    get_current_settings,
    temporary_settings,
)
from prefect.settings.context import refresh_settings
from prefect.settings.profiles import load_current_profile, use_profile


def test_settings_are_read_once(monkeypatch):
    first = get_current_settings()
    monkeypatch.setenv("PREFECT_TEST_SETTING", "later")
    assert get_current_settings() is first
    assert refresh_settings().testing.test_setting == "later"
    assert get_current_settings().testing.test_setting == "later"


def test_temporary_settings_nest_and_end():
    before = get_current_settings()
    with temporary_settings({PREFECT_TEST_SETTING: "outer", PREFECT_API_KEY: "k"}) as outer:
        assert get_current_settings() is outer
        with temporary_settings({PREFECT_TEST_SETTING: "inner"}):
            assert PREFECT_TEST_SETTING.value() == "inner"
            assert PREFECT_API_KEY.value() == "k"
        assert PREFECT_TEST_SETTING.value() == "outer"
        with temporary_settings(restore_defaults={PREFECT_TEST_SETTING}):
            assert PREFECT_TEST_SETTING.value() == "FOO"
    assert get_current_settings() is before


def test_temporary_settings_end_after_an_error():
    before = get_current_settings()
    with pytest.raises(ZeroDivisionError), temporary_settings({PREFECT_TEST_SETTING: "x"}):
        raise ZeroDivisionError
    assert get_current_settings() is before


def test_set_defaults_yields_to_what_is_given(monkeypatch):
    monkeypatch.setenv("PREFECT_TEST_SETTING", "given")
    with temporary_settings(set_defaults={PREFECT_TEST_SETTING: "default", PREFECT_CLIENT_MAX_RETRIES: 9}) as settings:
        assert (settings.testing.test_setting, settings.client.max_retries) == ("given", 9)
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}, set_defaults={PREFECT_CLIENT_MAX_RETRIES: 9}) as settings:
        assert settings.client.max_retries == 1


def test_restored_defaults_hold_over_the_environment(monkeypatch):
    monkeypatch.setenv("PREFECT_TEST_SETTING", "given")
    with temporary_settings(restore_defaults=[PREFECT_TEST_SETTING]) as settings:
        assert settings.testing.test_setting == "FOO"


def test_keys_may_be_names():
    with temporary_settings({"PREFECT_TEST_MODE": True, "api.url": "http://a/api"}) as settings:
        assert settings.testing.test_mode is True
        assert settings.api.url == "http://a/api"


def test_what_derives_from_a_changed_setting_changes(place):
    assert Settings().results.local_storage_path == place / "home" / "storage"
    with temporary_settings({"PREFECT_HOME": place / "other"}) as settings:
        assert settings.results.local_storage_path == place / "other" / "storage"


@pytest.mark.parametrize(
    ("key", "value", "words"), [("PREFECT_NOPE", "x", "NOPE"), (PREFECT_LOGGING_LEVEL, "x", "DEBUG")]
)
def test_bad_changes_are_refused(key, value, words):
    with pytest.raises(SettingsError, match=words), temporary_settings({key: value}):
        pass


def test_a_thread_sees_the_changes_of_the_context_it_runs_in():
    seen = []
    with temporary_settings({PREFECT_TEST_SETTING: "changed"}):
        context = contextvars.copy_context()
        for target in (PREFECT_TEST_SETTING.value, lambda: context.run(PREFECT_TEST_SETTING.value)):
            thread = threading.Thread(target=lambda target=target: seen.append(target()))
            thread.start()
            thread.join()
    assert seen == ["FOO", "changed"]


def test_threads_that_race_to_read_agree_on_one_object():
    ready = threading.Barrier(8)
    seen = []

    def read():
        ready.wait()
        seen.append(get_current_settings())

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, seen))) == 1


async def test_tasks_do_not_see_each_others_changes():
    both = asyncio.Barrier(2)

    async def change(value: str) -> str:
        with temporary_settings({PREFECT_TEST_SETTING: value}):
            await both.wait()
            return PREFECT_TEST_SETTING.value()

    assert await asyncio.gather(change("a"), change("b")) == ["a", "b"]
    assert PREFECT_TEST_SETTING.value() == "FOO"


def test_use_profile(monkeypatch):
    monkeypatch.setenv("PREFECT_TEST_SETTING", "environment")
    profile = Profile("p", {PREFECT_API_URL: "http://p/api", PREFECT_TEST_SETTING: "profile"})
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 9}):
        with use_profile(profile) as used:
            assert used.profile is load_current_profile() is profile
            assert used.settings is get_current_settings()
            assert used.settings.api.url == "http://p/api"
            assert used.settings.testing.test_setting == "environment"
            assert used.settings.client.max_retries == 9
            assert str(used.settings.source_of("api.url")) == "PREFECT_API_URL of profile 'p'"
        with use_profile(profile, override_environment_variables=True) as used:
            assert used.settings.testing.test_setting == "profile"
        with use_profile(profile, include_current_context=False) as used:
            assert used.settings.client.max_retries == 5
            assert used.settings.testing.test_setting == "environment"
    with use_profile("local") as used:
        assert used.settings.api.url == "http://127.0.0.1:4200/api"
    with pytest.raises(ValueError, match="'nope'"), use_profile("nope"):
        pass
    assert load_current_profile().name == "ephemeral"
