"""A group of commands whose modules are imported when they are used: `lorchestra --help` needs only their names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from lorchestra.errors import did_you_mean


class LazyGroup(TyperGroup):
    commands_by_name: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """The module of each command, and what `--help` says of it. Its typer app is called `app`, or `<command>_app`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands_by_name)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands_by_name:
            return None
        module = import_module(self.commands_by_name[cmd_name][0])
        app = getattr(module, f"{cmd_name}_app", None) or module.app
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands_by_name:
            hint = did_you_mean(args[0], self.commands_by_name) or f"expected one of {', '.join(self.commands_by_name)}"
            ctx.fail(f"no such command '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in self.commands_by_name.items()])
