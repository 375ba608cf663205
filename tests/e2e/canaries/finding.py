"""All that is planted in the project, and where none of it may be found."""

from __future__ import annotations

from collections.abc import Mapping

from . import canary, jobs
from .canary import Canary, Document

EVERYTHING = canary.channels(*jobs.GOOD_PAYLOAD, *jobs.GOOD_CTX, *jobs.TROUBLE_PAYLOAD, *jobs.BESIDE)
DOCUMENTS = tuple(
    Document(name, value)
    for name, value in [
        ("payload", jobs.good_payload()),
        ("payload that rejects", jobs.good_payload(rejects=True)),
        ("ctx", jobs.good_ctx()),
        ("trouble payload", jobs.trouble_payload()),
        ("stats", jobs.good_payload()["stats"]),
        ("prompt", jobs.good_payload()["prompt"]),
        ("words", jobs.trouble_payload()["words"]),
    ]
)


def assert_nothing_shows(places: Mapping[str, bytes], wanted: tuple[Canary | Document, ...] = EVERYTHING) -> None:
    found = canary.search(places, (*wanted, *DOCUMENTS))
    assert not found, "\n".join(f"{one.what} as {one.encoding} in {one.where}: {one.around!r}" for one in found[:20])


def assert_all_show(places: Mapping[str, bytes], *channels: str) -> None:
    """Every shape of each channel can be read in the places."""
    wanted = canary.channels(*channels)
    found = {one.what for one in canary.search(places, wanted)}
    missing = {f"{channel}/{shape}" for channel in channels for shape in canary.SHAPES} - found
    assert not missing
