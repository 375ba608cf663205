"""Errors as the command line tells them: one message that says what is wrong, where, and what to do."""

from __future__ import annotations

import re
from typing import Any

import typer

from lorchestra.errors import CompileError, LorchestraError

# typer gives this class no public name: what all mistakes in a command line are.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

# Words that fell out of a command line may be parts of a payload.
_STRAY_WORDS = re.compile(r"(unexpected extra arguments?)(?:\(s\))? \(.*\)", re.DOTALL)


def of_usage(mistake: Any) -> str:
    text: str = mistake.format_message()
    if text.startswith("Usage:"):
        # Not even a command was given: the text is the whole help.
        return text
    if mistake.ctx is None:
        return f"error: {_sentence(text)}"
    usage = mistake.ctx.get_usage().removeprefix("Usage: ")
    return f"error: {_sentence(text)}\nusage: {usage}; more with `{mistake.ctx.command_path} --help`"


def of_error(error: LorchestraError) -> str:
    text = str(error)
    lines = text.split("\n")
    said = f"error: {len(lines)} mistakes\n{text}" if len(lines) > 1 else f"error: {text}"
    if isinstance(error, CompileError) and any(problem.found.startswith(("'@p", "'@c")) for problem in error.problems):
        said += "\nvalues are given with --payload and --ctx, such as --payload name=Ada"
    return said


def _sentence(text: str) -> str:
    text = _STRAY_WORDS.sub(r"\1", " ".join(text.replace("Value error, ", "").split())).rstrip(".")
    text = text.replace(". Did you mean", "; did you mean")
    return text[:1].lower() + text[1:]
