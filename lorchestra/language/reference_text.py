r"""How a reference is written: `@ctx.a.b`, `@payload.rows[0]["odd key"]`, `@run.<step>.<output>`.

reference = "@ctx" part*  |  "@payload" part*  |  "@run." step output part*
part      = "." name  |  "[" index "]"  |  '["' any text, with \" and \\ '"]'
name      = a letter or _, then letters, digits, _ and -
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from lorchestra.errors import DefinitionError, Path, Problem, did_you_mean

_ROOTS = ("@ctx", "@payload", "@run")
_HEAD = re.compile(r"@[A-Za-z_][A-Za-z0-9_-]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PART = re.compile(rf'\.({_NAME.pattern})|\[(0|[1-9][0-9]{{0,8}})\]|\["((?:[^"\\]|\\["\\])*)"\]')
_STEP = re.compile(r"[a-z][a-z0-9_]*")
_QUOTED_LENGTH = 60


@dataclass(frozen=True, slots=True)
class CtxRef:
    path: Path = ()

    def __str__(self) -> str:
        return "@ctx" + _path_text(self.path)


@dataclass(frozen=True, slots=True)
class PayloadRef:
    path: Path = ()

    def __str__(self) -> str:
        return "@payload" + _path_text(self.path)


@dataclass(frozen=True, slots=True)
class RunRef:
    """`path` begins with the name of an output."""

    step: str
    path: Path

    def __str__(self) -> str:
        return f"@run.{self.step}" + _path_text(self.path)


StaticRef: TypeAlias = CtxRef | PayloadRef
Reference: TypeAlias = CtxRef | PayloadRef | RunRef


def read(text: str, start: int = 0) -> tuple[Reference, int]:
    """The reference that begins at `start`, as far as it goes, and where it ends. Raises DefinitionError."""
    head = _HEAD.match(text, start)
    root = head.group() if head else "@"
    if head is None or root not in _ROOTS:
        raise DefinitionError(
            Problem(
                found=f"'{clip(root)}' begins no reference",
                expected="expected @ctx, @payload or @run.<step>.<output>; '@@' begins a text with one '@'",
                hint=did_you_mean(clip(root), _ROOTS),
            )
        )
    path, end = _read_parts(text, head.end())
    if root == "@ctx":
        return CtxRef(path), end
    if root == "@payload":
        return PayloadRef(path), end
    match path:
        case (str(step), str(), *_) if _STEP.fullmatch(step):
            return RunRef(step, path[1:]), end
    raise DefinitionError(
        Problem(found=f"'{clip(text[start:end])}' names no output of a step", expected="expected @run.<step>.<output>")
    )


def read_whole(text: str) -> Reference:
    """The reference that a text is from its first character to its last. Raises DefinitionError."""
    ref, end = read(text)
    if end < len(text):
        raise DefinitionError(
            Problem(
                found=f"'{clip(text[:end])}' goes on with '{clip(text[end:])}'",
                expected='expected .name, [0], ["any key"] or the end there',
            )
        )
    return ref


def clip(text: str) -> str:
    """A text of a definition, short enough to be quoted in a message."""
    return text if len(text) <= _QUOTED_LENGTH else text[: _QUOTED_LENGTH - 1] + "…"


def _read_parts(text: str, start: int) -> tuple[Path, int]:
    parts: list[str | int] = []
    while part := _PART.match(text, start):
        name, index, key = part.groups()
        if name is not None:
            parts.append(name)
        else:
            parts.append(int(index) if index is not None else re.sub(r"\\(.)", r"\1", key))
        start = part.end()
    return tuple(parts), start


def _path_text(path: Path) -> str:
    return "".join(map(_part_text, path))


def _part_text(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _NAME.fullmatch(part):
        return "." + part
    return '["' + re.sub(r'(["\\])', r"\\\1", part) + '"]'
