"""The names of objects: opaque to whoever reads one, and the same for the same object each day."""

from __future__ import annotations

_ESCAPES = str.maketrans({"%": "%25", ":": "%3A", "#": "%23"})


def of_object(source_system: str, connection_name: str, object_type: str, external_id: str) -> str:
    """The idem_key of a raw object."""
    parts = (source_system, connection_name, object_type, external_id)
    return ":".join(part.translate(_ESCAPES) for part in parts)


def derived(idem_key: str, suffix: str) -> str:
    """The idem_key of what is made from an object; one object may have several with other suffixes."""
    return f"{idem_key}#{suffix.translate(_ESCAPES)}"
