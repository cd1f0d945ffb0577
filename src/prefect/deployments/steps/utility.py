"""Steps that run commands."""

from __future__ import annotations

from typing import TypedDict

from prefect._deploying import scripts

__all__ = ["RunShellScriptResult", "pip_install_requirements", "run_shell_script"]


class RunShellScriptResult(TypedDict):
    """What the commands printed, without the white space around it."""

    stdout: str
    stderr: str


async def run_shell_script(
    script: str,
    directory: str | None = None,
    env: dict[str, str] | None = None,
    stream_output: bool = True,
    expand_env_vars: bool = False,
    shell: bool = False,
) -> RunShellScriptResult:
    """Run commands, one a line, until one fails.

    Args:
        script: the commands. Without `shell` each line is a command of its own: no pipes, no redirections.
        directory: to run them in; the working directory unless given.
        env: environment variables beside those of this process.
        stream_output: print what they print, too.
        expand_env_vars: put environment variables in the place of `$NAME` in the script.
        shell: give the whole script to the platform's shell.

    Returns:
        `stdout` and `stderr`.

    Raises:
        RuntimeError: a command failed or cannot be run.
    """
    if expand_env_vars:
        script = scripts.expand(script, env)
    every = [scripts.shell_command(script)] if shell else list(scripts.commands(script))
    return RunShellScriptResult(**await scripts.run_commands("run_shell_script", every, directory, env, stream_output))


async def pip_install_requirements(
    directory: str | None = None, requirements_file: str = "requirements.txt", stream_output: bool = True
) -> RunShellScriptResult:
    """Install the packages that a requirements file lists.

    Args:
        directory: the one the file is in; the working directory unless given.
        requirements_file: its name.
        stream_output: print what the installer prints, too.

    Returns:
        `stdout` and `stderr` of the installer.

    Raises:
        RuntimeError: the installation failed.
    """
    command = scripts.install_command(requirements_file)
    return RunShellScriptResult(
        **await scripts.run_commands("pip_install_requirements", [command], directory, None, stream_output)
    )
