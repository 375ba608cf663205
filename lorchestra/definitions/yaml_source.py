"""A definition file as plain values, each with its place in the file.

YAML is read with the meaning of the YAML 1.2 core schema, the one editors use with a JSON Schema: `true` and `false`
are the only booleans, so `yes`, `no`, `on` and `off` are text; `012` is twelve, `0o14` is octal; `1:30`, `1_000` and
dates are text. Files hold data only: what a value says is all that happens when it is read.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lorchestra import errors
from lorchestra.definitions import yaml_syntax
from lorchestra.definitions.yaml_scalar import quoted
from lorchestra.definitions.yaml_tree import Builder, Mark, Node
from lorchestra.errors import JobValidationError, Location, Problem

if TYPE_CHECKING:  # it brings pydantic, which listing definitions does without
    from lorchestra.json_value import JSONValue

MAX_BYTES = 1024 * 1024
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Source:
    """The value of a definition file. It knows where in the file each part of it stands."""

    file: str
    value: JSONValue
    _root: Node = field(repr=False, compare=False)

    def locate(self, path: errors.Path, *, key: bool = False) -> Location:
        """Where the value at `path` stands, or its key; for a path that is not there, the nearest enclosing value."""
        key_mark: Mark | None = None
        mark, node = self._root.mark, self._root
        for part in path:
            entry = node.child(part)
            if entry is None:
                key_mark = None
                break
            key_mark, mark, node = entry
        line, column = key_mark if key and key_mark else mark
        return Location(self.file, line, column)

    def written(self, path: errors.Path) -> str | None:
        """The text of an unquoted scalar as the author wrote it (`2.10`, where the value is 2.1)."""
        node = self._root
        for part in path:
            entry = node.child(part)
            if entry is None:
                return None
            node = entry[2]
        return node.written


class EmptyFile(JobValidationError):
    """The file holds nothing, or comments only."""


def refusal(problems: Iterable[Problem]) -> JobValidationError:
    """The error that reports these problems, in the order of the file."""
    ordered = sorted(problems, key=_place)
    if len(ordered) > MAX_PROBLEMS:
        rest = f"{len(ordered) - MAX_PROBLEMS} more problems"
        last = replace(ordered[MAX_PROBLEMS], found=rest, expected="expected the ones above mended first", hint=None)
        ordered = [*ordered[:MAX_PROBLEMS], last]
    return JobValidationError(*ordered)


def read(path: Path) -> Source:
    """Read a definition file. Raises JobValidationError with every mistake that can be found."""
    return parse(_read_bounded(path), file=str(path))


def parse(text: bytes | str, *, file: str) -> Source:
    """Read the text of a definition file. Raises JobValidationError with every mistake that can be found."""
    if len(text) > MAX_BYTES:
        raise _too_large(file)
    text = _decode(text, file) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    _refuse_unprintable(text, file)
    builder = Builder(file)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if not builder.take(event):
                break
    except yaml.YAMLError as error:
        builder.problems.append(yaml_syntax.explain(error, text, file))
    if builder.problems:
        raise refusal(builder.problems)
    if builder.root is None or builder.root.written == "":
        raise EmptyFile(_at(file, (1, 1), "the file is empty", "expected a definition"))
    return Source(file, builder.root.value(), builder.root)


def _read_bounded(path: Path) -> bytes:
    file = str(path)
    try:
        # Looked at before it is opened: opening a pipe would wait for its writer.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            found = "this is a folder" if stat.S_ISDIR(mode) else "this is no regular file"
            raise JobValidationError(_at(file, (1, 1), found, "expected a YAML file"))
        with path.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise JobValidationError(_at(file, (1, 1), "there is no such file", "expected a YAML file")) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise JobValidationError(
            _at(file, (1, 1), f"the file cannot be read ({reason})", "expected a readable YAML file")
        ) from error
    except ValueError as error:
        raise JobValidationError(_at(quoted(file), (1, 1), "this names no file", "expected a YAML file")) from error
    if len(data) > MAX_BYTES:
        raise _too_large(file)
    return data


def _decode(data: bytes, file: str) -> str:
    is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff")) and not data.startswith(b"\xff\xfe\0\0")
    try:
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if is_utf16:
            found, before = "found broken UTF-16", data[: error.start - error.start % 2].decode("utf-16", "replace")
        else:
            found = f"found the byte 0x{error.object[error.start]:02x}, which is not UTF-8"
            before = error.object[: error.start].decode("utf-8", "replace")
        raise JobValidationError(
            _at(file, _end_of(before), found, "expected UTF-8", "save the file as UTF-8")
        ) from error


# What YAML can hold unescaped; surrogates stand for characters that do not exist.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _refuse_unprintable(text: str, file: str) -> None:
    first = _UNPRINTABLE.search(text)
    if first is None:
        return
    code = ord(first[0])
    others = len(_UNPRINTABLE.findall(text)) - 1
    more = f" ({others} more such characters follow)" if others else ""
    if code == 0:
        hint: str | None = "save the file as UTF-8"
    else:
        hint = f'in double quotes it can be written "\\u{code:04x}"' if code < 0xD800 else None
    raise JobValidationError(
        _at(
            file,
            _end_of(text[: first.start()]),
            f"found the character U+{code:04X}, which YAML cannot hold{more}",
            "expected text",
            hint,
        )
    )


def _end_of(text: str) -> Mark:
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text)
    return len(lines), len(lines[-1]) + 1


def _too_large(file: str) -> JobValidationError:
    return JobValidationError(
        _at(file, (1, 1), "the file is too large", f"expected at most {MAX_BYTES // 1024} KiB of YAML")
    )


def _at(file: str, mark: Mark, found: str, expected: str, hint: str | None = None) -> Problem:
    return Problem(found=found, expected=expected, hint=hint, location=Location(file, *mark))


def _place(problem: Problem) -> tuple[str, int, int]:
    where = problem.location
    return (where.file, where.line, where.column) if where else ("", 0, 0)
