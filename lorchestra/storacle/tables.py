"""The tables that every storacle has, declared once: both backends make theirs from this.

Of the columns of a table, some are content: what a row says. The others are provenance: who wrote it and when. Whether
a row has changed is a question of content alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    STRING = "STRING"
    INT64 = "INT64"
    FLOAT64 = "FLOAT64"
    BOOL = "BOOL"
    TIMESTAMP = "TIMESTAMP"
    DATE = "DATE"
    JSON = "JSON"


CONTENT_HASH = "_content_hash"
"""What a row says, as a hash: a column of every declared table, read when it is asked for."""
OP = "_op"
"""The tag of the op that wrote a row last, which every table keeps beside it."""
RESERVED = frozenset({CONTENT_HASH, OP})
"""Columns that storacle adds, so no row may name them."""


class Role(StrEnum):
    CONTENT = "content"
    PROVENANCE = "provenance"
    FIRST_SEEN = "first_seen"
    """Set when the row first appears, and kept."""
    LAST_SEEN = "last_seen"
    """Set whenever the row is written, changed or not."""
    RUN = "run"
    """The run that wrote the row last, unless the row says something else."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: Type = Type.STRING
    role: Role = Role.CONTENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    dataset: str
    name: str
    columns: tuple[Column, ...]
    key_columns: tuple[str, ...]
    verdict: str | None = None
    """A column that judges the rest of the row: when that changes, the verdict is void."""

    @property
    def content(self) -> tuple[Column, ...]:
        """The columns a change of which is a change of the row."""
        return tuple(column for column in self.columns if column.role is Role.CONTENT)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


def _strings(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name) for name in names)


def _times(*names: str, role: Role = Role.CONTENT) -> tuple[Column, ...]:
    return tuple(Column(name, Type.TIMESTAMP, role) for name in names)


_SEEN = (
    Column("first_seen", Type.TIMESTAMP, Role.FIRST_SEEN),
    Column("last_seen", Type.TIMESTAMP, Role.LAST_SEEN),
    Column("correlation_id", Type.STRING, Role.RUN),
)
_OBJECT = _strings("idem_key", "source_system", "connection_name", "object_type", "external_id")
_PAYLOAD = Column("payload", Type.JSON)
_VERDICT = Column("validation_status", Type.STRING)

TABLES: tuple[Table, ...] = (
    Table(
        dataset="raw",
        name="raw_objects",
        columns=(*_OBJECT, _VERDICT, *_SEEN, _PAYLOAD),
        key_columns=("idem_key",),
        verdict="validation_status",
    ),
    Table(
        dataset="canonical",
        name="canonical_objects",
        columns=(
            *_OBJECT,
            *_strings("canonical_schema", "canonical_format", "transform_ref"),
            *_times("canonicalized_at", role=Role.PROVENANCE),
            *_SEEN,
            _PAYLOAD,
        ),
        key_columns=("idem_key",),
    ),
    Table(
        dataset="derived",
        name="measurement_events",
        columns=(
            *_strings("idem_key", "measurement_event_id", "measure_id", "measure_version", "subject_id", "binding_id"),
            *_strings("binding_version", "form_id", "form_submission_id", "canonical_object_id"),
            *_times("timestamp"),
            *_SEEN,
            *_times("processed_at", role=Role.PROVENANCE),
            _PAYLOAD,
        ),
        key_columns=("idem_key",),
    ),
    Table(
        dataset="derived",
        name="observations",
        columns=(
            *_strings("idem_key", "observation_id", "measurement_event_id", "measure_id", "measure_version"),
            *_strings("subject_id", "scale_id", "kind", "label", "severity_code", "reason"),
            Column("value", Type.FLOAT64),
            *_times("timestamp"),
            *_SEEN,
            *_times("processed_at", role=Role.PROVENANCE),
            _PAYLOAD,
        ),
        key_columns=("idem_key",),
    ),
    Table(
        dataset="events",
        name="event_log",
        columns=(
            *_strings("idem_key", "event_type", "source_system", "object_type", "target_object_type", "status"),
            *_strings("event_id", "trace_id", "job_id", "run_id", "error_message"),
            *_times("created_at", role=Role.PROVENANCE),
            Column("correlation_id", Type.STRING, Role.RUN),
            _PAYLOAD,
        ),
        key_columns=("idem_key",),
    ),
    Table(
        dataset="events",
        name="quarantine",
        columns=(*_strings("job_id", "step_id", "idem_key", "schema", "pointer", "rule"), *_SEEN),
        key_columns=("job_id", "step_id", "idem_key"),
    ),
    Table(
        dataset="storacle",
        name="_processed",
        columns=(*_strings("stage", "idem_key", "content_hash", "code_hash", "result"), *_SEEN),
        key_columns=("stage", "idem_key"),
    ),
)

OWN_TABLES: tuple[Table, ...] = (
    Table(
        dataset="storacle",
        name="_ledger",
        columns=(
            *_strings("key", "run_id", "job_id", "job_version", "step_id", "op_id", "method"),
            *_strings("code_sha256", "content_sha256"),
            Column("tag", Type.INT64),
            Column("counts", Type.JSON),
            *_times("applied_at"),
        ),
        key_columns=("key",),
    ),
    Table(
        dataset="storacle",
        name="_state",
        columns=(Column("key"), Column("value", Type.JSON)),
        key_columns=("key",),
    ),
    Table(
        dataset="storacle",
        name="_runs",
        columns=(Column("run_id"), Column("token", Type.INT64), Column("attempt_n", Type.INT64)),
        key_columns=("run_id",),
    ),
    Table(
        dataset="storacle",
        name="_namespace_objects",
        columns=_strings("kind", "name", "run_id"),
        key_columns=("kind", "name"),
    ),
    Table(
        dataset="storacle",
        name="_tables",
        columns=(*_strings("dataset", "name", "kind"), Column("about", Type.JSON)),
        key_columns=("dataset", "name"),
    ),
)
"""What storacle keeps for itself. It can be read, and only storacle's own methods write it."""


def tag_of(key: str) -> int:
    """What every row keeps of the key of the op that wrote it last: enough to find the op in the ledger."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 1


def by_name(tables: Iterable[Table] = TABLES) -> Mapping[tuple[str, str], Table]:
    return {(table.dataset, table.name): table for table in tables}
