"""Raw rows: a provider's object, untouched, under a name that is the same each day."""

from __future__ import annotations

from dataclasses import dataclass

from lorchestra import idem_key, json_value
from lorchestra.items import Record
from lorchestra.json_value import JSONValue


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRows:
    """Of one stream of one connection."""

    source_system: str
    connection_name: str
    object_type: str

    def row(self, external_id: str, payload: JSONValue) -> Record:
        return Record(
            {
                "idem_key": idem_key.of_object(self.source_system, self.connection_name, self.object_type, external_id),
                "source_system": self.source_system,
                "connection_name": self.connection_name,
                "object_type": self.object_type,
                "external_id": external_id,
                "payload": payload,
            }
        )


def external_id(payload: JSONValue, field: str | None) -> str:
    """The id that a field of the object holds; where that is none, a hash of the object."""
    value = payload.get(field) if field is not None and isinstance(payload, dict) else None
    if isinstance(value, str) and value:
        return value
    if type(value) is int:
        return str(value)
    return json_value.sha256(payload)
