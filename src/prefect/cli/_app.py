"""The root of the command line: a table of commands, each in a module that is imported when it runs.

To add a command:
1. write `cli/<noun>.py` with a `cyclopts.App` named `app`: `app = cyclopts.App(name="flow-run", help="...")` and functions under
   `@app.command`, or `@app.default` for a command without sub-commands. It says things through `prefect.cli._console`
   and fails with `_console.fail("what happened, and what to do")`;
2. add a line to `COMMANDS`.

`prefect --help` prints this table and imports nothing else; options of the program itself are read here, by hand.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import prefect
from prefect._lazy import lazy_module

if TYPE_CHECKING:
    import asyncio

    import cyclopts

    from prefect import plugins
    from prefect.cli import _console
    from prefect.logging import loggers
    from prefect.settings import context as settings
    from prefect.settings import profiles
else:
    asyncio = lazy_module("asyncio")
    loggers = lazy_module("prefect.logging.loggers")
    plugins = lazy_module("prefect.plugins")
    settings = lazy_module("prefect.settings.context")
    cyclopts = lazy_module("cyclopts")
    _console = lazy_module("prefect.cli._console")
    profiles = lazy_module("prefect.settings.profiles")


_WITHOUT_PLUGINS = ("config", "profile", "version", "plugins")
"""Commands that must work when settings or plugins are broken, and the one that tells what plugins would do."""


class Command(NamedTuple):
    """A line of the table."""

    name: str
    help: str
    module: str
    aliases: tuple[str, ...] = ()


COMMANDS = (
    Command("api", "Send any request to the API.", "prefect.cli.api"),
    Command("artifact", "See what runs left for people.", "prefect.cli.artifact", ("artifacts",)),
    Command(
        "automation", "See and change what is done when something happens.", "prefect.cli.automation", ("automations",)
    ),
    Command("block", "Keep typed configuration, secrets among it.", "prefect.cli.block", ("blocks",)),
    Command("cloud", "Connect to a workspace of Prefect Cloud.", "prefect.cli.cloud"),
    Command(
        "concurrency-limit",
        "Limit task runs by tag.",
        "prefect.cli.concurrency_limit",
        ("concurrency-limits",),
    ),
    Command("config", "See and change settings.", "prefect.cli.config"),
    Command("dashboard", "Open the pages of the server.", "prefect.cli.dashboard"),
    Command("deploy", "Make deployments of flows.", "prefect.cli.deploy"),
    Command("deployment", "See, run and change deployments.", "prefect.cli.deployment", ("deployments",)),
    Command("event", "Tell that something happened, see what happens.", "prefect.cli.event", ("events",)),
    Command("experimental", "What may still change.", "prefect.cli.experimental"),
    Command("flow", "See flows.", "prefect.cli.flow", ("flows",)),
    Command("flow-run", "See flow runs and their logs.", "prefect.cli.flow_run", ("flow-runs",)),
    Command(
        "global-concurrency-limit",
        "Limit what runs at once, by name.",
        "prefect.cli.global_concurrency_limit",
        ("gcl",),
    ),
    Command("init", "Begin a project with a prefect.yaml.", "prefect.cli.init"),
    Command("plugins", "See which plugins there are, and whether they work.", "prefect.cli.plugins"),
    Command("profile", "Choose between sets of settings.", "prefect.cli.profile", ("profiles",)),
    Command("sdk", "Write typed Python code for deployments.", "prefect.cli.sdk"),
    Command("server", "Run the server.", "prefect.cli.server"),
    Command("shell", "Run commands of the shell as flows.", "prefect.cli.shell"),
    Command("task", "Serve tasks.", "prefect.cli.task", ("tasks",)),
    Command("task-run", "See task runs and their logs.", "prefect.cli.task_run", ("task-runs",)),
    Command("transfer", "Copy what one API keeps to another.", "prefect.cli.transfer"),
    Command("variable", "Keep values for flows to read.", "prefect.cli.variable", ("variables",)),
    Command("work-pool", "Groups of workers, and what they start.", "prefect.cli.work_pool", ("work-pools",)),
    Command("work-queue", "The queues of work pools.", "prefect.cli.work_queue", ("work-queues",)),
    Command("worker", "Carry out the runs of a work pool.", "prefect.cli.worker", ("workers",)),
    Command("version", "Show the version and what it runs on.", "prefect.cli.version"),
)

# in the order in which `prefect --help` shows them; a command that is in none of them comes last
GROUPS = (
    ("Flows and their runs", ("flow", "flow-run", "task-run", "task", "shell", "artifact", "event", "automation")),
    ("Deployments", ("init", "deploy", "deployment", "work-pool", "work-queue", "worker", "sdk")),
    ("What flows use", ("variable", "block", "global-concurrency-limit", "concurrency-limit")),
    ("The server", ("server", "dashboard", "api", "transfer", "cloud")),
    ("This program", ("config", "profile", "version", "plugins", "experimental")),
)

USAGE = "Usage: prefect [OPTIONS] COMMAND [ARGS]..."

OPTIONS = (
    ("-p, --profile NAME", "Use this profile, for this command."),
    ("--prompt, --no-prompt", "Ask questions, or never; by default only on a terminal."),
    ("-v, --version", "Show the version."),
    ("-h, --help", "Show this help; `prefect COMMAND --help` shows that of a command."),
)


class UsageError(Exception):
    """The command line is not one that can be understood."""


class Invocation(NamedTuple):
    """A command line, taken apart."""

    command: str | None
    rest: list[str]
    profile: str | None
    prompt: bool | None
    help: bool
    version: bool


def run(argv: Sequence[str]) -> int:
    """Run a command line (without the program's name).

    Returns:
        the exit status: 0; 1 after an error, 2 when the command line cannot be understood: both are told on standard
        error in one line.
    """
    try:
        return _dispatch(read_options(argv))
    except UsageError as problem:
        return _say_error(str(problem), 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # whoever read the output has seen enough; without this, closing it again at exit would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def read_options(argv: Sequence[str]) -> Invocation:
    """Take the options of the program out of a command line.

    The long ones may stand anywhere before `--`; the short ones only before the command, whose own they may be after it.
    """
    command: str | None = None
    rest: list[str] = []
    profile: str | None = None
    prompt: bool | None = None
    wants_help = wants_version = False
    tokens = iter(argv)
    for token in tokens:
        if token == "--":
            rest.extend([token, *tokens])
        elif token == "--profile" or (token == "-p" and command is None):
            profile = next(tokens, None)
            if profile is None:
                raise UsageError(f"{token} needs the name of a profile; `prefect profile ls` lists them.")
        elif token.startswith("--profile="):
            profile = token.partition("=")[2]
        elif token in ("--prompt", "--no-prompt"):
            prompt = token == "--prompt"
        elif command is not None:
            rest.append(token)
        elif token in ("--help", "-h"):
            wants_help = True
        elif token in ("--version", "-v"):
            wants_version = True
        elif token.startswith("-"):
            raise UsageError(f"There is no option {token}; `prefect --help` lists them.")
        else:
            command = token
    return Invocation(command, rest, profile, prompt, wants_help, wants_version)


def _dispatch(invocation: Invocation) -> int:
    if invocation.version:
        print(prefect.__version__)
        return 0
    if invocation.help or invocation.command is None:
        print(help_text(_columns()))
        return 0
    command = find_command(invocation.command)
    if invocation.prompt is not None:
        os.environ["PREFECT_CLI_PROMPT"] = str(invocation.prompt).lower()
    if invocation.profile is not None:
        # in the environment, so that it holds for processes that the command starts as well
        os.environ.pop("PREFECT_PROFILE", None)
        if not profiles.exists(invocation.profile):
            return _say_error(f"There is no profile {invocation.profile!r}; `prefect profile ls` lists them.")
        os.environ["PREFECT_PROFILE"] = invocation.profile
    if command.name not in _WITHOUT_PLUGINS:
        _set_up_plugins()
    return _run_command(command, invocation.rest)


def _set_up_plugins() -> None:
    """Let the plugins that the settings allow prepare the environment that the command runs in."""
    current = settings.get_current_settings()
    if current.plugins.enabled:
        context = plugins.HookContext(prefect.__version__, current.api.url, loggers.get_logger)
        asyncio.run(plugins.run_startup_hooks(context))
        settings.refresh_settings()


def find_command(name: str) -> Command:
    """The line of the table for a command's name.

    Raises:
        UsageError: there is no such command.
    """
    for command in COMMANDS:
        if name == command.name or name in command.aliases:
            return command
    known = [each for command in COMMANDS for each in (command.name, *command.aliases)]
    guesses = import_module("difflib").get_close_matches(name, known, 1)
    hint = f"did you mean {guesses[0]!r}?" if guesses else "`prefect --help` lists them."
    raise UsageError(f"There is no command {name!r}; {hint}")


def _run_command(command: Command, rest: list[str]) -> int:
    module: Any = import_module(command.module)
    root = cyclopts.App(name="prefect", version_flags=(), help_format="plaintext", result_action="return_value")
    _leave_version_to_commands(module.app)
    root.command(module.app, name=(command.name, *command.aliases))
    try:
        root([command.name, *rest], exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as problem:
        raise UsageError(_told(problem)) from problem
    except _console.expected_errors() as problem:
        return _say_error(_console.explain(problem), getattr(problem, "status", 1))
    return 0


def _leave_version_to_commands(app: cyclopts.App) -> None:
    """Let `--version` mean what a command says, or nothing: by itself it would show the version of `cyclopts`."""
    for each in list(app.subapps):
        _leave_version_to_commands(each)
    app.version_flags = ()


def show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Show a warning about settings in one line; others as Python does, with the line of code they are about."""
    if category.__name__ == "SettingsWarning":
        print(f"Warning: {message}", file=sys.stderr)
    else:
        _python_shows_warning(message, category, *where)


_python_shows_warning = warnings.showwarning


def _told(problem: cyclopts.CycloptsError) -> str:
    """What is wrong with a command line, and where to read how it is written."""
    said = " ".join(str(problem).split())
    if isinstance(problem, cyclopts.UnusedCliTokensError):
        said = f"There is no place for {' '.join(map(repr, problem.unused_tokens or ()))}."
    command = " ".join(("prefect", *(word for word in problem.command_chain or () if word != "prefect")))
    return f"{said} `{command} --help` explains it."


def _say_error(message: str, status: int = 1) -> int:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    return status


def grouped() -> list[tuple[str, list[Command]]]:
    """The commands under their headings."""
    left = {command.name: command for command in COMMANDS if find_spec(command.module) is not None}
    groups = [(title, [left.pop(name) for name in names if name in left]) for title, names in GROUPS]
    if left:
        groups.append(("More", list(left.values())))
    return [(title, commands) for title, commands in groups if commands]


def help_text(columns: int | None = None) -> str:
    """What `prefect --help` prints.

    Args:
        columns: of the terminal, to which texts are fitted; None leaves them in one line.
    """
    groups = [
        (title, [(", ".join((command.name, *command.aliases)), command.help) for command in commands])
        for title, commands in grouped()
    ]
    groups.append(("Options", list(OPTIONS)))
    width = max(len(left) for _, rows in groups for left, _ in rows) + 2
    lines = [USAGE, "", "Pluperfect: flows and tasks, run and recorded."]
    for title, rows in groups:
        lines += ["", f"{title}:"]
        for left, right in rows:
            first, *more = _fitted(right, columns - width - 2 if columns else None)
            lines += [f"  {left:{width}}{first}", *(" " * (width + 2) + line for line in more)]
    return "\n".join(lines)


_NARROWEST = 16
"""Columns that a text gets at least: beside that, a terminal that is too narrow breaks lines itself."""


def _fitted(text: str, columns: int | None) -> list[str]:
    """A text in lines of so many columns; not by `textwrap`, which costs as much as all else here."""
    if columns is None:
        return [text]
    columns = max(columns, _NARROWEST)
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > columns:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _columns() -> int | None:
    """The columns of the terminal, or None where the output goes elsewhere."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None
