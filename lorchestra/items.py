"""What flows between steps: records, rejections, checkpoints and markers, in one ordered stream.

Progress, quarantine and cursors ride with the data, so that each lands together with the rows it speaks of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import orjson

from lorchestra import code_names
from lorchestra.errors import PermanentError
from lorchestra.json_value import JSONObject, JSONValue, canonical_bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object that is to be written.

    `method` overrides the plan's method for this record; records in a row with the same `group` are applied
    together or not at all.
    """

    data: JSONObject
    method: str | None = None
    group: str | None = None
    content_hash: str | None = None
    """Of a record that was read as unprocessed: what a marker says it was. It is not written."""

    @property
    def idem_key(self) -> str | None:
        key = self.data.get("idem_key")
        return key if isinstance(key, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record that cannot be processed. It says where and by which rule, never with what value."""

    idem_key: str
    schema: str
    pointer: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A cursor that is safe to store once everything before it has landed.

    `expected` is the stored cursor this progress started from; storing compares it first. One that is `never_back`
    is for backfills: it expects nothing, and where what is stored is beyond it, that is kept.
    """

    key: str
    cursor: JSONValue
    expected: JSONValue = None
    never_back: bool = False


class MarkerResult(StrEnum):
    OK = "ok"
    EMPTY = "empty"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A source record that a stage is done with, as it was (content_hash), with the code it ran (code_hash)."""

    stage: str
    idem_key: str
    content_hash: str
    code_hash: str
    result: MarkerResult


Item: TypeAlias = Record | Rejected | Checkpoint | Marker

KINDS: Mapping[type, str] = {Record: "record", Rejected: "rejected", Checkpoint: "checkpoint", Marker: "marker"}


def as_item(value: object) -> Item:
    """What a callable yielded, as an item: plain JSON objects are records."""
    kind = type(value)
    if kind in KINDS:
        return value  # type: ignore[return-value]  # the keys of KINDS are the members of Item
    # Nearly everything is a plain dict, and the check for the abstract class costs more than the rest.
    if kind is dict or isinstance(value, Mapping):
        return Record(value)  # type: ignore[arg-type]  # a Mapping with keys that are no strings fails in encode
    found = code_names.plain_name(value)
    raise PermanentError(
        f"a callable yielded a {found}; items are JSON objects, Record, Rejected, Checkpoint or Marker"
    )


def encode(item: Item) -> bytes:
    """One item as one canonical line of JSON, without the newline. Raises PermanentError for what JSON cannot hold."""
    try:
        match item:
            case Record(data, None, None):
                return b'{"record":' + canonical_bytes(data) + b"}"
            case Record(data, method, group):
                return canonical_bytes({"record": data, "method": method, "group": group})
            case _:
                kind = KINDS[type(item)]
                return canonical_bytes({kind: {name: getattr(item, name) for name in item.__slots__}})
    except TypeError:
        # orjson quotes nothing of the value, but a TypeError from a mapping of the callable's might.
        raise PermanentError(f"a {KINDS[type(item)]} holds a value that JSON cannot represent") from None


def decode(line: bytes) -> Item:
    value = orjson.loads(line)
    if "record" in value:
        return Record(value["record"], value.get("method"), value.get("group"))
    if "rejected" in value:
        return Rejected(**value["rejected"])
    if "checkpoint" in value:
        return Checkpoint(**value["checkpoint"])
    fields = value["marker"]
    return Marker(**{**fields, "result": MarkerResult(fields["result"])})


class Tally:
    """Counts and a running keyed digest of what has passed. The digest shows nothing of the values without the key."""

    __slots__ = ("_counts", "_digest")

    def __init__(self, key: bytes) -> None:
        self._counts: dict[type, int] = dict.fromkeys(KINDS, 0)
        self._digest = hashlib.blake2b(digest_size=16, key=key)

    def add(self, item: Item, encoded: bytes) -> None:
        self._counts[type(item)] += 1
        self._digest.update(encoded)
        self._digest.update(b"\n")

    def counts(self) -> dict[str, int]:
        return {KINDS[kind]: count for kind, count in self._counts.items() if count}

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
