"""Whatever a peer sends, it is answered in the protocol, sees nothing of what it should not, and harms nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorchestra.clock import SystemClock
from lorchestra.storacle import PlanRefused
from lorchestra.storacle.outward.methods import outward_methods
from lorchestra.storacle.outward.roots import Roots
from tests.data_plane import DataPlane
from tests.integration import hostile
from tests.integration.hostile import VALUE, anything, expect_answer
from tests.integration.outward_world import PEOPLE, people, wanted, worlds
from tests.integration.plan_process import contents, plane
from tests.standins.storacle_http import HttpStoracle

PARTS = 4
BATCH = 200
"""So many messages have one service between them."""

exhaustive = settings(suppress_health_check=list(HealthCheck), deadline=None)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vault")


@contextmanager
def guarded(vault: Path) -> Iterator[DataPlane]:
    """A service whose guarded table is the same afterwards."""
    with DataPlane(None, outward_methods(Roots({"files": vault / "files"}), SystemClock())) as data:
        answer: Any = data.handle(hostile.seed())
        assert answer["result"]["refused"] is None
        yield data
        assert data.rows("guard", "kept") == [{"k": "g", "v": VALUE}]
        assert [path.name for path in vault.iterdir() if path.name != "files"] == []


@pytest.mark.parametrize("name", hostile.requests())
def test_the_requests_that_are_spoiled_are_valid_before(vault: Path, name: str) -> None:
    with guarded(vault) as data:
        answer: Any = data.handle(hostile.requests()[name])
    expect_answer(answer)
    assert answer.get("error") is None
    assert answer["result"].get("refused") is None or "exists" in name


# One place at a time


def expect_all_harmless(vault: Path, messages: Sequence[Any]) -> None:
    for begin in range(0, len(messages), BATCH):
        with guarded(vault) as data:
            for message in messages[begin : begin + BATCH]:
                expect_answer(data.handle(message))


def test_a_request_with_a_place_that_is_something_else_harms_nothing(vault: Path) -> None:
    sampled = random.Random(5).sample(hostile.variations(), 1500)
    expect_all_harmless(vault, list(map(hostile.varied, sampled)))


@pytest.mark.prove
@pytest.mark.parametrize("part", range(PARTS))
def test_every_request_with_every_place_something_else(vault: Path, part: int) -> None:
    expect_all_harmless(vault, list(map(hostile.varied, hostile.variations()[part::PARTS])))


# Any


def expect_harmless(vault: Path, message: Any) -> None:
    expect_all_harmless(vault, [message])


@settings(exhaustive, max_examples=80)
@given(anything)
def test_any_message_is_answered_in_the_protocol_and_harms_nothing(vault: Path, message: Any) -> None:
    expect_harmless(vault, message)


@pytest.mark.prove
@settings(exhaustive, max_examples=1500)
@given(anything)
def test_very_many_messages(vault: Path, message: Any) -> None:
    expect_harmless(vault, message)


# Over HTTP


@pytest.fixture(scope="module")
def server() -> Iterator[HttpStoracle]:
    with HttpStoracle() as server:
        yield server


def encoded(message: Any) -> bytes | None:
    """As a peer would send it; None for what JSON cannot hold."""
    try:
        return orjson.dumps(message)
    except TypeError:
        return None


BODIES = anything.map(encoded).filter(lambda body: body is not None) | st.binary(max_size=300)


def expect_harmless_over_http(vault: Path, server: HttpStoracle, bodies: Sequence[bytes]) -> None:
    with guarded(vault) as data, httpx.Client(trust_env=False, verify=False) as peer:
        server.service = data
        for body in bodies:
            answer = peer.post(f"{server.url}/rpc", content=body)
            assert answer.status_code in (200, 204)
            expect_answer(answer.json() if answer.content else None)


def test_a_request_with_a_place_that_is_something_else_harms_nothing_over_http(
    vault: Path, server: HttpStoracle
) -> None:
    bodies = [encoded(hostile.varied(one)) for one in random.Random(7).sample(hostile.variations(), 120)]
    expect_harmless_over_http(vault, server, [body for body in bodies if body is not None])


@settings(exhaustive, max_examples=25)
@given(body=BODIES)
def test_any_body_is_answered_in_the_protocol_and_harms_nothing(vault: Path, server: HttpStoracle, body: bytes) -> None:
    expect_harmless_over_http(vault, server, [body])


@pytest.mark.prove
@settings(exhaustive, max_examples=600)
@given(body=BODIES)
def test_very_many_bodies(vault: Path, server: HttpStoracle, body: bytes) -> None:
    expect_harmless_over_http(vault, server, [body])


# Injections

_OF_WHAT_IS_THERE = ("_tables", "_numbers")


@pytest.mark.parametrize("text", hostile.INJECTIONS)
def test_a_name_that_is_sql_is_refused_or_taken_as_a_name_and_changes_nothing_else(tmp_path: Path, text: str) -> None:
    """Through identifiers, paths, JSON keys and the names of fields: what is in the file is the same afterwards."""
    data_path = tmp_path / "data.db"
    with plane(data_path) as data:
        data.handle(hostile.seed())
    before = contents(data_path)["tables"]
    with plane(data_path) as data:
        for message in hostile.named(text):
            answer: Any = data.handle(message)
            expect_answer(answer)
            refused = answer.get("error") or answer["result"].get("refused")
            # What is a name may be one of a table that is made.
            assert refused or text.isidentifier(), message
    after = contents(data_path)["tables"]
    if text.isidentifier():
        after = {name: after[name] for name in before if name not in _OF_WHAT_IS_THERE}
        before = {name: before[name] for name in after}
    assert after == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["data.db"]


@pytest.mark.parametrize("text", hostile.INJECTIONS)
def test_a_value_that_is_sql_is_kept_as_it_is(tmp_path: Path, text: str) -> None:
    with plane(tmp_path / "data.db") as data:
        data.handle(hostile.seed())
        for message in hostile.valued(text):
            answer: Any = data.handle(message)
            assert (answer.get("error"), answer["result"]["refused"]) == (None, None)
        assert data.rows("lab", "samples") == [{"k": text, "v": {text: text}}]
        assert text in [row["idem_key"] for row in data.rows("raw", "raw_objects")]
        assert {"key": text, "value": text} in data.rows("storacle", "_state")
        assert data.rows("guard", "kept") == [{"k": "g", "v": VALUE}]
        found: Any = data.handle(hostile.read({"dataset": "lab", "table": "samples", "where": {"k": text}}))
        assert [row["k"] for row in found["result"]["rows"]] == [text]


@pytest.mark.parametrize("text", [text for text in hostile.INJECTIONS if text.isprintable()])
def test_a_title_that_is_a_formula_of_ranges_names_one_sheet(tmp_path: Path, text: str) -> None:
    for world in worlds(tmp_path):
        assert world.sheets is not None
        world.store(people(2))
        world.submit("sheets.write_table", world.meta())
        with suppress(PlanRefused):
            world.submit("sheets.write_table", world.meta(), sheet=text, source={**PEOPLE, "limit": 0})
        assert world.made("sheets.write_table") == wanted("sheets.write_table", people(2))
        assert {sheet.title for sheet in world.sheets.sheets} >= {"People"}
