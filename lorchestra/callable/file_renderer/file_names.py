"""Values of records as names of files.

A value that is no good name is made one, and marked with a hash of what it was: so values that differ have names that
differ. What a value holds never leads to another folder.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lorchestra.callable.file_renderer.unfit import Unfit

MOST_BYTES = 80
"""Of a value in a name."""
_LONGEST_PART = 200
_LONGEST_PATH = 800
_HASH_DIGITS = 10

# Of file systems, and of links in vaults of notes.
_FORBIDDEN = frozenset('/\\:*?"<>|#^[]')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "_smoke", *(f"{name}{number}" for name in ("com", "lpt") for number in range(10))}
)

_FIELD = re.compile(r"\{([^{}]*)\}")
_SUFFIX = re.compile(r"[^/{}.]*\.[A-Za-z0-9]{1,10}", re.ASCII)


def file_name(value: str) -> str:
    text = unicodedata.normalize("NFC", value)
    text = "".join(character if _is_fine(character) else "_" for character in text)
    text = _cut(text.lstrip(" .-~").rstrip(" .")).rstrip(" .")
    if text == value and text.partition(".")[0].casefold() not in _RESERVED:
        return text
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text or '_'}-{digest[:_HASH_DIGITS]}"


def _is_fine(character: str) -> bool:
    return character.isprintable() and character not in _FORBIDDEN


def _cut(text: str) -> str:
    return text.encode()[:MOST_BYTES].decode("utf-8", "ignore")


def folded(path: str) -> str:
    """The same for paths that some file system takes for one."""
    return unicodedata.normalize("NFC", path.casefold())


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path with fields of a record in it, such as `{year}/{email}.md`."""

    text: str

    def __post_init__(self) -> None:
        """Raises ValueError."""
        literals = _FIELD.split(self.text)[::2]
        if not self.fields or not all(self.fields):
            raise ValueError("found no field of the record; expected a pattern such as '{email}.md'")
        if not _SUFFIX.fullmatch(literals[-1].rpartition("/")[2]):
            raise ValueError("found no suffix; expected a pattern such as '{email}.md'")
        if any(not _is_fine(one) and one != "/" for one in "".join(literals)) or any(
            part == "" or part.startswith(".") for part in self.text.split("/")
        ):
            raise ValueError("found what no path has; expected a relative path with fields in it")

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(_FIELD.findall(self.text))

    def path_of(self, record: Mapping[str, Any]) -> str:
        """Raises Unfit for a record without the fields."""
        path = _FIELD.sub(lambda found: _named(record, found[1]), self.text)
        if len(path) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_PART for part in path.split("/")):
            raise Unfit("path_too_long")
        return path

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)


def _named(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    match value:
        case None:
            raise Unfit("required", field)
        case bool():
            raise Unfit("type", field)
        case int():
            return str(value)
        case str():
            if not value.strip():
                raise Unfit("minLength", field)
            return file_name(value)
        case _:
            raise Unfit("type", field)
