"""The list of all commands, as a page of the documentation has it.

`python -m prefect.cli._reference --write docs/cli.md` writes it between the two marks of that page; without `--write`
the program ends with status 1 when the page is not current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from prefect.cli._app import Command, grouped

BEGIN = "<!-- commands: made by `python -m prefect.cli._reference --write docs/cli.md` -->"
END = "<!-- end of commands -->"

# those of every command
_COMMON = {"--output", "--yes", "--accept-yes"}


class Leaf(NamedTuple):
    """A command that does something.

    Attributes:
        path: its words, such as `deployment schedule create`.
        usage: what stands behind them.
        help: what it does, in a line.
    """

    path: str
    usage: str
    help: str


def leaves(command: Command) -> list[Leaf]:
    """All commands of a noun."""
    app: Any = import_module(command.module).app
    return list(_walk(app, command.name))


def _walk(app: Any, path: str) -> Iterator[Leaf]:
    if app.default_command is not None:
        yield Leaf(path, _usage(app), _first_line(app.help))
    seen: list[Any] = []
    for name in app:
        inner = app[name]
        if name.startswith("-") or inner in seen:
            continue
        seen.append(inner)
        yield from _walk(inner, f"{path} {name}")


def _usage(app: Any) -> str:
    """The arguments, and the names of the options."""
    words: list[str] = []
    for argument in app.assemble_argument_collection():
        long = [name for name in argument.names if name.startswith("--")]
        if not argument.show or not long or set(long) & _COMMON:
            continue
        keyword_only = argument.field_info.kind is argument.field_info.KEYWORD_ONLY
        shown = long[0] if keyword_only else long[0].removeprefix("--").upper()
        words.append(shown if argument.required else f"[{shown}]")
    return " ".join(words)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text else ""


def text() -> str:
    """The list in Markdown."""
    lines = [BEGIN, ""]
    for title, commands in grouped():
        lines += [f"### {title}", ""]
        for command in commands:
            names = " or ".join(f"`prefect {name}`" for name in (command.name, *command.aliases))
            lines += [f"**{names}**: {command.help}", "", "| command | what it does |", "|---|---|"]
            for leaf in leaves(command):
                usage = f" {leaf.usage}" if leaf.usage else ""
                lines.append(f"| `prefect {leaf.path}{usage}` | {leaf.help.replace('|', chr(92) + '|')} |")
            lines.append("")
    return "\n".join([*lines, END])


def in_page(page: str) -> str:
    """A page with its list made anew.

    Raises:
        ValueError: the page lacks the marks between which the list stands.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page has no place for the commands: it needs {BEGIN!r} and {END!r}.")
    return before + text() + after


def main() -> None:
    """Write the list into a page, or check that it is current."""
    *options, name = sys.argv[1:]
    file = Path(name)
    page = file.read_text(encoding="utf-8")
    current = in_page(page)
    if "--write" in options:
        file.write_text(current, encoding="utf-8")
    elif current != page:
        raise SystemExit(f"{name} is not current: python -m prefect.cli._reference --write {name}")


if __name__ == "__main__":
    main()
