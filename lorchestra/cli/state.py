"""What the options before the command say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorchestra.registry import JobRegistry
    from lorchestra.workspace import Workspace


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class Finished(Exception):
    """Ends a command with an exit code of its own."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    profile: str | None = None
    log_level: str | None = None
    log_format: LogFormat | None = None
    show_values: bool = False
    debug: bool = False

    def workspace(self, **options: Any) -> Workspace:
        # Imported here because `--help` must not pay for the executor.
        from lorchestra.workspace import Workspace

        return Workspace.open(profile=self.profile, **options)

    def registry(self, definitions_dir: Path | None = None) -> JobRegistry:
        from lorchestra import built_in_content, settings
        from lorchestra.registry import JobRegistry

        loaded = settings.load(start=Path.cwd(), profile=self.profile, environ=os.environ)
        folder = definitions_dir or loaded.definitions_path
        behind = built_in_content.definitions_behind(folder, is_named=definitions_dir is not None)
        return JobRegistry(folder, built_in=behind)

    def configure_logging(self) -> None:
        from lorchestra import settings
        from lorchestra.reporting import log, process_hooks

        loaded = settings.load(start=Path.cwd(), profile=self.profile, environ=os.environ)
        log.configure(
            format=self.log_format or loaded.log.format,
            level=self.log_level or loaded.log.level,
            show_values=self.show_values,
            root=loaded.root,
        )
        process_hooks.install()
