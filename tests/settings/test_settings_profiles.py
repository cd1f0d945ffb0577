"""Profiles and the file they are kept in."""

from __future__ import annotations

import os
import stat

import pytest

from prefect.exceptions import ProfileSettingsValidationError
from prefect.settings import (
    DEFAULT_PROFILES_PATH,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_LOGGING_LEVEL,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    PREFECT_TEST_SETTING,
    Profile,
    ProfilesCollection,
    Settings,
    SettingsError,
    load_current_profile,
    load_profile,
    load_profiles,
    save_profiles,
    update_current_profile,
)

FILE = """\
# settings of the team
active = "mine"

[profiles.mine]
PREFECT_LOGGING_LEVEL = "DEBUG"  # until it works
PREFECT_CLIENT_MAX_RETRIES = 3

# another
[profiles.local]
PREFECT_TEST_SETTING = "x"
"""


@pytest.fixture
def file(place):
    path = place / "home" / "profiles.toml"
    path.write_text(FILE)
    return path


def test_without_a_file_the_built_in_profile_is_active():
    assert load_current_profile().name == "ephemeral"
    settings = Settings()
    assert settings.server.ephemeral.enabled is True
    assert settings.source_of("server.ephemeral.enabled").kind == "profile"
    assert load_profiles().names == {"ephemeral", "local", "test", "cloud"}
    assert len(load_profiles(include_defaults=False)) == 0


def test_the_active_profile_gives_settings(file):
    settings = Settings()
    assert (settings.logging.level, settings.client.max_retries) == ("DEBUG", 3)
    assert settings.server.ephemeral.enabled is False
    assert load_current_profile() == load_profile("mine")
    assert load_current_profile().source == file


def test_prefect_profile_chooses(file, monkeypatch, place):
    monkeypatch.setenv("PREFECT_PROFILE", "test")
    assert Settings().reveal("server.database.connection_url") == "sqlite+aiosqlite:///:memory:"
    monkeypatch.delenv("PREFECT_PROFILE")
    (place / ".env").write_text("PREFECT_PROFILE=local\n")
    assert load_current_profile().name == "local"


def test_what_the_built_in_profile_of_the_same_name_says_shines_through(file, monkeypatch):
    monkeypatch.setenv("PREFECT_PROFILE", "local")
    settings = Settings()
    assert (settings.testing.test_setting, settings.api.url) == ("x", "http://127.0.0.1:4200/api")
    assert str(settings.source_of("api.url")) == "PREFECT_API_URL of the built-in profile 'local'"
    assert load_profile("local").settings == {PREFECT_API_URL: settings.api.url, PREFECT_TEST_SETTING: "x"}


def test_an_older_name_in_the_file_holds_over_the_built_in_profile(place):
    path = place / "home" / "profiles.toml"
    path.write_text("[profiles.ephemeral]\nPREFECT_SERVER_ALLOW_EPHEMERAL_MODE = false\n")
    assert Settings().server.ephemeral.enabled is False


def test_a_profile_that_is_not_there_is_an_error_that_says_who_wants_it(file, monkeypatch):
    file.write_text('active = "gone"\n')
    for use in (Settings, load_profiles, load_current_profile):
        with pytest.raises(SettingsError, match=r"'gone' \(active in .*profiles\.toml\); there are cloud, ephemeral"):
            use()
    monkeypatch.setenv("PREFECT_PROFILE", "nope")
    with pytest.raises(SettingsError, match="'nope' \\(environment variable PREFECT_PROFILE\\)"):
        Settings()
    with pytest.raises(ValueError, match="'nope' not found"):
        load_profile("nope")


@pytest.mark.parametrize("text", ["active = 1", "profiles = 1", "[profiles]\nx = 1"])
def test_a_file_of_another_shape_is_an_error(file, text):
    file.write_text(text + "\n")
    with pytest.raises(SettingsError, match=r"profiles\.toml"):
        Settings()


def test_saving_what_was_loaded_changes_nothing(file):
    save_profiles(load_profiles())
    assert file.read_text() == FILE


def test_a_change_keeps_comments_order_and_types(file):
    changed = update_current_profile({PREFECT_CLIENT_MAX_RETRIES: 4, PREFECT_API_URL: "http://a/api"})
    assert changed.settings[PREFECT_API_URL] == "http://a/api"
    expected = FILE.replace("RETRIES = 3\n", 'RETRIES = 4\nPREFECT_API_URL = "http://a/api"\n')
    assert file.read_text() == expected
    assert load_current_profile() == changed
    update_current_profile({PREFECT_API_URL: None, PREFECT_CLIENT_MAX_RETRIES: 3})
    assert file.read_text() == FILE


def test_changing_a_built_in_profile_makes_it_the_users(place):
    changed = update_current_profile({PREFECT_TEST_SETTING: "x"})
    assert (changed.name, changed.source) == ("ephemeral", None)
    assert load_profiles(include_defaults=False).names == {"ephemeral"}
    assert Settings().testing.test_setting == "x"
    assert Settings().server.ephemeral.enabled is True


def test_a_value_that_is_not_allowed_is_not_saved(file):
    with pytest.raises(ProfileSettingsValidationError):
        update_current_profile({PREFECT_CLIENT_MAX_RETRIES: "many"})
    assert file.read_text() == FILE


def test_names_that_are_no_settings_stay_in_the_file(file):
    text = FILE.replace("[profiles.mine]\n", '[profiles.mine]\nPREFECT_INTEGRATIONS_X_Y = "1"\nPREFECT_FUTURE = "2"\n')
    file.write_text(text)
    with pytest.warns(UserWarning, match="PREFECT_FUTURE") as caught:
        profiles = load_profiles()
    assert len(caught) == 1  # those of integrations are expected
    save_profiles(profiles)
    assert file.read_text() == text


def test_the_file_is_for_its_owner_only_and_never_half_written(place):
    path = place / "home" / "profiles.toml"
    update_current_profile({PREFECT_API_KEY: "secret"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    os.chmod(path, 0o640)
    update_current_profile({PREFECT_API_KEY: "other"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in path.parent.iterdir()] == ["profiles.toml"]


def test_a_link_to_the_file_stays_a_link(place):
    path = place / "home" / "profiles.toml"
    (place / "dotfiles").mkdir()
    target = place / "dotfiles" / "p.toml"
    target.write_text(FILE)
    path.symlink_to(target)
    update_current_profile({PREFECT_CLIENT_MAX_RETRIES: 4})
    assert path.is_symlink()
    assert "RETRIES = 4" in target.read_text()


def test_profile():
    profile = Profile(
        name="p", settings={"PREFECT_API_URL": "u", PREFECT_CLIENT_MAX_RETRIES: 3, PREFECT_LOGGING_LEVEL: None}
    )
    assert profile.settings[PREFECT_API_URL] == "u"
    assert profile == Profile("p", {PREFECT_API_URL: "u", PREFECT_CLIENT_MAX_RETRIES: 3, PREFECT_LOGGING_LEVEL: None})
    assert profile != Profile("q", profile.settings)
    assert profile.to_environment_variables() == {"PREFECT_API_URL": "u", "PREFECT_CLIENT_MAX_RETRIES": "3"}
    older = Profile("p", {PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True})
    assert older.to_environment_variables() == {"PREFECT_SERVER_EPHEMERAL_ENABLED": "True"}
    with pytest.warns(UserWarning, match="PREFECT_NOPE"):
        assert Profile("p", {"PREFECT_NOPE": 1}).settings == {}
    assert "sesame" not in repr(Profile("p", {PREFECT_API_KEY: "sesame"}))


def test_validation_tells_every_bad_value():
    profile = Profile("p", {PREFECT_CLIENT_MAX_RETRIES: "x", PREFECT_LOGGING_LEVEL: "y", PREFECT_API_URL: "http://a"})
    with pytest.raises(ProfileSettingsValidationError) as caught:
        profile.validate_settings()
    assert [setting for setting, _ in caught.value.errors] == [PREFECT_CLIENT_MAX_RETRIES, PREFECT_LOGGING_LEVEL]


def test_collection():
    one, two = Profile("one", {PREFECT_API_URL: "u"}), Profile("two", source=DEFAULT_PROFILES_PATH)
    profiles = ProfilesCollection([one, two], active="one")
    assert (profiles.names, profiles.active_name, profiles.active_profile) == ({"one", "two"}, "one", one)
    assert (profiles["two"], list(profiles), "one" in profiles, len(profiles)) == (two, ["one", "two"], True, 2)
    assert profiles.items() == [("one", one), ("two", two)]
    assert profiles.to_dict() == {"active": "one", "profiles": {"one": {"PREFECT_API_URL": "u"}, "two": {}}}
    assert profiles.without_profile_source(DEFAULT_PROFILES_PATH) == ProfilesCollection([one], "one")
    with pytest.raises(ValueError, match="'one'"):
        profiles.add_profile(one)
    with pytest.raises(ValueError, match="'nope'"):
        profiles.set_active("nope")
    changed = profiles.update_profile("one", {"PREFECT_API_URL": None, PREFECT_TEST_SETTING: "x"})
    assert changed.settings == {PREFECT_TEST_SETTING: "x"}
    profiles.remove_profile("one")
    assert (profiles.active_name, profiles.names) == (None, {"two"})
    with pytest.raises(KeyError):
        profiles.remove_profile("one")
