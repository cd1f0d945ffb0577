"""The types of blocks and workers that come with this package, as a server tells of them without loading their classes.

`python -m prefect.blocks._system_types --write` writes them down; `--check` says whether they are current.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import prefect._operations
from prefect import filesystems
from prefect.blocks import notifications, redis, system, webhook
from prefect.blocks.core import Block
from prefect.workers.process import ProcessWorker

_FOLDER = Path(prefect._operations.__path__[0])

_PROTECTED: tuple[type[Block], ...] = (filesystems.LocalFileSystem, system.Secret, webhook.Webhook)
"""Those that other parts of the package rely on: their types cannot be deleted."""
_OTHERS: tuple[type[Block], ...] = (
    filesystems.RemoteFileSystem,
    filesystems.SMB,
    redis.RedisStorageContainer,
    notifications.CustomWebhookNotificationBlock,
    notifications.DiscordWebhook,
    notifications.MattermostWebhook,
    notifications.MicrosoftTeamsWebhook,
    notifications.OpsgenieWebhook,
    notifications.PagerDutyWebHook,
    notifications.SendgridEmail,
    notifications.SlackWebhook,
    notifications.TwilioSMS,
)


def entry(cls: type[Block]) -> dict[str, Any]:
    """A block type and its schema, as the API keeps them."""
    of_type = cls._to_block_type().model_dump(
        mode="json", include={"name", "slug", "logo_url", "documentation_url", "description", "code_example"}
    )
    schema = cls._to_block_schema().model_dump(mode="json", include={"checksum", "fields", "capabilities", "version"})
    return {"block_type": {**of_type, "is_protected": cls in _PROTECTED}, "block_schema": schema}


def worker(cls: Any) -> dict[str, Any]:
    """A type of workers, as the API tells of it."""
    return {
        "type": cls.type,
        "display_name": cls.type.replace("-", " ").title(),
        "description": cls.get_description(),
        "documentation_url": cls.get_documentation_url() or None,
        "logo_url": cls.get_logo_url() or None,
        "install_command": "pip install prefect",
        "is_beta": False,
        "default_base_job_configuration": cls.get_default_base_job_template(),
    }


def rendered() -> dict[Path, str]:
    """What the files are to hold."""
    blocks = sorted(map(entry, (*_PROTECTED, *_OTHERS)), key=lambda one: one["block_type"]["slug"])
    workers = {ProcessWorker.type: worker(ProcessWorker)}
    return {
        _FOLDER / name: json.dumps(content, indent=1) + "\n"
        for name, content in {"system_block_types.json": blocks, "worker_types.json": workers}.items()
    }


def main(arguments: list[str]) -> int:
    if arguments not in (["--write"], ["--check"]):
        print("usage: python -m prefect.blocks._system_types --write | --check", file=sys.stderr)
        return 2
    stale = 0
    for file, text in rendered().items():
        if arguments == ["--write"]:
            file.write_text(text, encoding="utf-8")
        elif file.read_text("utf-8") != text:
            print(f"{file} is stale; run `python -m prefect.blocks._system_types --write`", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
