"""`prefect config`, `prefect profile`, `prefect version`, and the root of the command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import prefect
from prefect.cli import main
from prefect.cli._app import COMMANDS, UsageError, read_options

from .conftest import Cli

FILE = """\
# mine
active = "mine"

[profiles.mine]
PREFECT_CLIENT_MAX_RETRIES = 3  # why
PREFECT_API_KEY = "sesame"
"""


@pytest.fixture
def home(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(clean_home)
    return clean_home


@pytest.fixture
def file(home) -> Path:
    path = home / "profiles.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def prefect_command(local_cli: Cli):
    """Run a command line as a new process would; gives status, output and errors."""
    return local_cli.run


def test_config_view(prefect_command, file, home):
    status, out, err = prefect_command("config", "view")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "PREFECT_PROFILE='mine'",
        "PREFECT_API_KEY='********' (from profile)",
        "PREFECT_CLIENT_MAX_RETRIES='3' (from profile)",
        f"PREFECT_HOME='{home}' (from env)",
    ]
    _, out, _ = prefect_command("config", "view", "--show-secrets", "--hide-sources")
    assert "PREFECT_API_KEY='sesame'\n" in out


def test_config_view_with_defaults(prefect_command, file):
    _, out, _ = prefect_command("config", "view", "--show-defaults")
    assert "PREFECT_LOGGING_LEVEL='INFO' (from defaults)\n" in out
    assert "PREFECT_API_URL=None (from defaults)\n" in out
    assert "PREFECT_SERVER_EVENTS_RETENTION_PERIOD='P7D' (from defaults)\n" in out


def test_config_view_as_json(prefect_command, file, monkeypatch):
    monkeypatch.setenv("PREFECT_CLIENT_RETRY_EXTRA_CODES", "500,404")
    _, out, _ = prefect_command("config", "view", "-o", "json")
    shown = json.loads(out)
    assert shown["profile"] == "mine"
    assert {"name": "PREFECT_API_KEY", "value": "********", "source": "profile"} in shown["settings"]
    assert {"name": "PREFECT_CLIENT_RETRY_EXTRA_CODES", "value": [404, 500], "source": "env"} in shown["settings"]


def test_config_set_and_unset(prefect_command, file):
    status, out, _ = prefect_command("config", "set", "PREFECT_API_URL=http://a=b/api", "PREFECT_CLIENT_MAX_RETRIES=4")
    assert status == 0
    assert "Set 'PREFECT_API_URL' to 'http://a=b/api'." in out
    assert "Updated profile 'mine'." in out
    assert 'PREFECT_CLIENT_MAX_RETRIES = "4"  # why' in file.read_text()
    assert "PREFECT_API_URL='http://a=b/api' (from profile)" in prefect_command("config", "view")[1]
    status, out, _ = prefect_command("config", "unset", "PREFECT_API_URL", "-y")
    assert (status, "Unset 'PREFECT_API_URL'." in out) == (0, True)
    assert "PREFECT_API_URL" not in file.read_text()


def test_config_set_does_not_show_secrets(prefect_command, file):
    _, out, _ = prefect_command("config", "set", "PREFECT_API_KEY=hush")
    assert "hush" not in out
    assert "hush" in file.read_text()


def test_config_set_tells_what_holds_over_the_profile(prefect_command, file, monkeypatch):
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "loud")  # even when it is wrong
    status, out, _ = prefect_command("config", "set", "PREFECT_LOGGING_LEVEL=DEBUG")
    assert status == 0
    assert "environment variable PREFECT_LOGGING_LEVEL holds over the profile" in out


NOT_UNDERSTOOD = ("requires an argument", "--nonsense", "nonsense", "needs the name", "did you mean 'config'?")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["config", "set", "PREFECT_CLIENT_MAX_RETRIE=1"], "did you mean PREFECT_CLIENT_MAX_RETRIES?"),
        (["config", "set", "PREFECT_CLIENT_MAX_RETRIES=many"], "a whole number"),
        (["config", "set", "PREFECT_HOME=/x"], "in the environment"),
        (["config", "set", "PREFECT_API_URL"], "NAME=VALUE"),
        (["config", "set"], "requires an argument"),
        (["config", "unset", "PREFECT_API_URL"], "not set in profile 'mine'"),
        (["config", "unset", "NOPE_NOPE"], "no setting 'NOPE_NOPE'"),
        (["config", "view", "--nonsense"], "--nonsense"),
        (["config", "nonsense"], "nonsense"),
        (["profile", "create", "mine"], "already"),
        (["profile", "create", "local"], "already"),
        (["profile", "create", "x", "--from", "nope"], "no profile 'nope'"),
        (["profile", "use", "nope"], "no profile 'nope'"),
        (["profile", "delete", "nope"], "no profile 'nope'"),
        (["profile", "delete", "mine"], "is active"),
        (["profile", "delete", "cloud"], "built in"),
        (["profile", "rename", "mine", "local"], "already"),
        (["profile", "rename", "nope", "x"], "no profile 'nope'"),
        (["profile", "inspect", "nope"], "no profile 'nope'"),
        (["--profile", "nope", "config", "view"], "no profile 'nope'"),
        (["-p"], "needs the name"),
        (["--nonsense"], "--nonsense"),
        (["confg"], "did you mean 'config'?"),
    ],
)
def test_errors_are_one_line_on_standard_error_and_change_nothing(prefect_command, file, argv, words):
    status, out, err = prefect_command(*argv)
    assert (status, out) == (2 if words in NOT_UNDERSTOOD else 1, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert file.read_text() == FILE


def test_bad_settings_are_told_in_one_line(prefect_command, file, monkeypatch):
    monkeypatch.setenv("PREFECT_DEBUG_MODE", "ja")
    status, _, err = prefect_command("config", "view")
    assert status == 1
    assert err.startswith("PREFECT_DEBUG_MODE: 'ja', from environment variable PREFECT_DEBUG_MODE")


def test_config_validate(prefect_command, file, home, monkeypatch):
    assert prefect_command("config", "validate") == (0, "All settings are valid.\n", "")
    monkeypatch.setenv("PREFECT_DEBUG_MODE", "ja")
    monkeypatch.setenv("PREFECT_FOO", "1")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_AWS_X", "1")
    (home / "prefect.toml").write_text("[api]\nurrl = 'x'\nrequest_timeout = 'soon'\n[integrations.x]\ny = 1\n")
    file.write_text(FILE + 'PREFECT_NOPE = "1"\n')
    status, out, err = prefect_command("config", "validate")
    assert status == 1
    assert len(err.splitlines()) == 2
    assert "PREFECT_DEBUG_MODE: 'ja'" in err
    assert f"api.request_timeout in {home}/prefect.toml" in err
    assert out.splitlines() == [
        "Warning: Environment variable PREFECT_FOO is not a setting.",
        f"Warning: PREFECT_NOPE of profile 'mine' in {file} is not a setting.",
        f"Warning: api.urrl in {home}/prefect.toml is not a setting.",
    ]


def test_config_tells_of_settings_without_effect(prefect_command, file, home, monkeypatch):
    name = "PREFECT_SERVER_ANALYTICS_ENABLED"
    monkeypatch.setenv(name, "false")
    status, out, _ = prefect_command("config", "validate")
    assert (status, out.splitlines()) == (
        0, [f"Warning: {name} has no effect: nothing is ever sent to anybody.", "All settings are valid."]
    )  # fmt: skip
    assert f"{name}='False' (from env) (has no effect)" in prefect_command("config", "view")[1]
    shown = json.loads(prefect_command("config", "view", "--output", "json")[1])["settings"]
    assert {each["name"]: each.get("without_effect") for each in shown}[name] == "nothing is ever sent to anybody"
    assert f"  {name} has no effect" in prefect_command("config", "set", f"{name}=true")[1]
    assert "no effect" not in prefect_command("config", "set", "PREFECT_CLIENT_MAX_RETRIES=2")[1]


def test_profile_ls(prefect_command, file):
    _, out, _ = prefect_command("profile", "ls")
    assert out.splitlines()[1:] == ["  cloud", "  ephemeral", "  local", "* mine", "  test"]
    _, out, _ = prefect_command("-p", "local", "profiles", "ls", "-o", "json")
    assert {"name": "local", "active": True} in json.loads(out)


def test_life_of_a_profile(prefect_command, file):
    assert prefect_command("profile", "create", "new", "--from", "mine")[0] == 0
    assert (
        prefect_command("profile", "use", "new")[1]
        == "Profile 'new' is active: runs are recorded in the local database.\n"
    )
    assert prefect_command("profile", "rename", "new", "newer")[0] == 0
    assert json.loads(prefect_command("profile", "inspect", "-o", "json")[1]) == {
        "PREFECT_API_KEY": "********",
        "PREFECT_CLIENT_MAX_RETRIES": 3,
    }
    assert prefect_command("profile", "use", "local")[1] == (
        "Profile 'local' is active: runs use the API at http://127.0.0.1:4200/api.\n"
    )
    assert prefect_command("profile", "delete", "newer")[0] == 0
    assert file.read_text() == FILE.replace('active = "mine"', 'active = "local"')


def test_profile_use_mends_a_file_whose_active_profile_is_gone(prefect_command, file):
    file.write_text(FILE.replace('"mine"', '"gone"'))
    assert prefect_command("config", "view")[0] == 1
    assert prefect_command("profile", "use", "mine")[0] == 0
    assert prefect_command("config", "view")[0] == 0
    assert file.read_text() == FILE


def test_profile_populate_defaults(prefect_command, file):
    status, out, _ = prefect_command("profile", "populate-defaults")
    assert (status, "Added cloud, ephemeral, local, test" in out) == (0, True)
    assert file.read_text().startswith(FILE)
    assert '[profiles.local]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"' in file.read_text()
    assert "already" in prefect_command("profile", "populate-defaults")[1]


def test_version(prefect_command, file):
    assert prefect_command("--version") == (0, prefect.__version__ + "\n", "")
    status, out, _ = prefect_command("version")
    assert status == 0
    assert "Pluperfect" in out
    assert "embedded" in out
    facts = json.loads(prefect_command("version", "-o", "json", "--omit-integrations")[1])
    assert facts["Version"] == prefect.__version__
    assert facts["Profile"] == "mine"
    assert facts["Database"]["Kind"] == "sqlite"


def test_version_of_what_it_is_connected_to(prefect_command, file, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://a/api")
    facts = json.loads(prefect_command("version", "-o", "json")[1])
    assert (facts["Server type"], facts["API URL"]) == ("server", "http://a/api")
    assert "Database" not in facts


def test_no_prompt_reaches_the_command(prefect_command, file, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    status, _, err = prefect_command("--prompt", "config", "unset", "PREFECT_CLIENT_MAX_RETRIES")
    assert (status, err) == (1, "Nothing was changed.\n")  # asked, and nobody answered
    assert prefect_command("config", "unset", "PREFECT_CLIENT_MAX_RETRIES", "--no-prompt")[0] == 0


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-p", "a", "config", "view", "-p", "b"], ("config", ["view", "-p", "b"], "a", None)),
        (["config", "view", "--profile=a", "--no-prompt"], ("config", ["view"], "a", False)),
        (["config", "set", "--", "--profile"], ("config", ["set", "--", "--profile"], None, None)),
        (["--prompt", "version", "-v"], ("version", ["-v"], None, True)),
        ([], (None, [], None, None)),
    ],
)
def test_options_of_the_program(argv, expected):
    assert tuple(read_options(argv))[:4] == expected
    with pytest.raises(UsageError):
        read_options([*argv[:0], "-x", *argv])


def test_a_warning_about_settings_is_one_line(home):
    command = [sys.executable, "-m", "prefect", "config", "view"]
    env = {**os.environ, "PREFECT_API_URL": "localhost"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stderr == "Warning: PREFECT_API_URL is 'localhost', which does not start with http:// or https://.\n"


def test_main_exits_with_the_status(home, capsys, monkeypatch):
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
    with pytest.raises(SystemExit) as caught:
        main(["nonsense"])
    assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 0
    assert "Usage: prefect" in capsys.readouterr().out


def test_help_imports_no_command_and_nothing_heavy(home):
    heavy = ("pydantic", "sqlalchemy", "asyncio", "rich", "cyclopts", "tomlkit", *(each.module for each in COMMANDS))
    code = (
        "import sys\nfrom prefect.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "config" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_entry_point(home):
    done = subprocess.run([sys.executable, "-m", "prefect", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == prefect.__version__


def test_a_reader_that_stops_early_is_no_error(home):
    command = [sys.executable, "-m", "prefect", "config", "view", "--show-defaults"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
