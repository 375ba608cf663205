"""The canonizer as a callable: what it yields for each record, in one process or several."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable import canonizer
from lorchestra.callable.canonizer.engines import EngineName, TransformFailed
from lorchestra.callable.canonizer.engines.base import Functions
from lorchestra.callable.canonizer.params import CanonizerParams
from lorchestra.callable.canonizer.processes import START, Batch, Processes, encoded
from lorchestra.callable.canonizer.stage import Stage
from lorchestra.callable.canonizer.validation import Failure
from lorchestra.callable.canonizer.work import Work, WorkPlan
from lorchestra.callable.context import CallableContext
from lorchestra.callable.direct import NeverCancelled, direct_context
from lorchestra.errors import ConfigurationError, RunCancelled
from lorchestra.items import Checkpoint, Item, Marker, MarkerResult, Record, Rejected
from tests.jobs import wait_until

SCHEMA_IN = "iglu:raw/visit/jsonschema/1-0-0"
SCHEMA_OUT = "iglu:clinic/visit/jsonschema/1-0-0"
PARAMS = {"schema_in": SCHEMA_IN, "schema_out": SCHEMA_OUT, "transform": "visits@1.0.0"}
SCHEMAS = {
    SCHEMA_IN: {"type": "object", "required": ["id"]},
    SCHEMA_OUT: {"type": "object", "properties": {"minutes": {"type": "integer"}}},
}
PLAIN = '{"id": id, "minutes": minutes, "from": $row.connection_name}'

COLUMNS = {"source_system": "desk", "connection_name": "front", "object_type": "visit"}


def visit(number: int, **payload: Any) -> Record:
    key = f"visit:{number:04d}"
    data: dict[str, Any] = {
        "idem_key": key,
        **COLUMNS,
        "external_id": str(number),
        "payload": {"id": number, **payload},
    }
    return Record(data, content_hash=f"hash of {key}")


def context(*items: Item, source: str = PLAIN, workers: int = 1, **metadata: Any) -> CallableContext:
    about = {
        "name": "visits",
        "version": "1.0.0",
        "schema_in": SCHEMA_IN,
        "schema_out": SCHEMA_OUT,
        "canonical_format": "visit",
        "sha256": hashlib.sha256(source.encode()).hexdigest(),
        **metadata,
    }
    contents = {name: json.dumps(schema).encode() for name, schema in SCHEMAS.items()}
    contents |= {"transform": source.encode(), "metadata": json.dumps(about).encode()}
    made = direct_context(items=items, resources=contents, workers=workers)
    made.stage, made.code_hash = "canonize", "code"
    return made


def run(*items: Item, params: Mapping[str, Any] = PARAMS, **options: Any) -> list[Any]:
    return list(canonizer.execute(params, context(*items, **options))["items"])


def rows(found: list[Any]) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)]


def rejected(found: list[Any]) -> list[tuple[str, str, str, str]]:
    return [(one.idem_key, one.schema, one.pointer, one.rule) for one in found if isinstance(one, Rejected)]


def results(found: list[Any]) -> list[str]:
    return [one.result.value for one in found if isinstance(one, Marker)]


# One record after the other


def test_row_is_followed_by_the_word_that_the_record_is_done() -> None:
    row, marker, event = run(visit(1, minutes=20))
    assert row.pop("canonicalized_at") is not None
    assert row == {
        "idem_key": "visit:0001#visit",
        **COLUMNS,
        "external_id": "1",
        "canonical_schema": SCHEMA_OUT,
        "canonical_format": "visit",
        "transform_ref": "visits@1.0.0",
        "payload": {"id": 1, "minutes": 20, "from": "front"},
    }
    assert marker == Marker(
        stage="canonize",
        idem_key="visit:0001",
        content_hash="hash of visit:0001",
        code_hash="code",
        result=MarkerResult.OK,
    )
    assert event.method == "event.append"
    assert event.data["payload"] == {
        "transform": "visits@1.0.0", "schema_in": SCHEMA_IN, "ok": 1, "empty": 0, "quarantined": 0
    }  # fmt: skip


def test_record_that_gives_nothing_is_marked_empty() -> None:
    found = run(visit(1), visit(2, minutes=1), source='minutes ? {"minutes": minutes}')
    assert len(rows(found)) == 1
    assert results(found) == ["empty", "ok"]
    assert results(run(visit(1), source="[]")) == ["empty"]


def test_record_may_give_several_rows_told_apart_by_number_or_by_a_field() -> None:
    several = '[parts.{"id": $, "minutes": 1}]'
    record = visit(1, parts=["a", "b/c"])
    assert [row["idem_key"] for row in rows(run(record, source=several))] == [
        "visit:0001#visit/0",
        "visit:0001#visit/1",
    ]
    named = run(record, source=several, item_id="id")
    assert [row["idem_key"] for row in rows(named)] == ["visit:0001#visit/a", "visit:0001#visit/b/c"]
    assert results(named) == ["ok"]


@pytest.mark.parametrize(
    ("payload", "source", "told"),
    [
        ({"id": None}, PLAIN, None),
        ({"minutes": "many"}, PLAIN, (SCHEMA_OUT, "/minutes", "type")),
        ({"minutes": [1]}, '[{"minutes": 1}, {"minutes": "x"}]', (SCHEMA_OUT, "/minutes", "type")),
        ({}, '$error("about " & id)', ("visits@1.0.0", "", "D3137")),
        ({}, "1 + 'x'", ("visits@1.0.0", "", "T2002")),
        ({}, "($f := function($n) {$f($n + 1)}; $f(0))", ("visits@1.0.0", "", "time_limit")),
    ],
)
def test_record_that_fails_is_set_aside_with_place_and_rule(
    payload: dict[str, Any], source: str, told: tuple[str, str, str] | None
) -> None:
    found = run(visit(1, **payload), source=source, params={**PARAMS, "record_timeout_s": 0.05})
    assert rejected(found) == ([] if told is None else [("visit:0001", *told)])
    assert results(found) == ["ok" if told is None else "quarantined"]
    assert bool(rows(found)) == (told is None)


def test_what_is_missing_is_named_before_the_transform_runs() -> None:
    record = visit(1)
    record.data["payload"].pop("id")  # type: ignore[union-attr]
    assert rejected(run(record, source="$error('not reached')")) == [("visit:0001", SCHEMA_IN, "/id", "required")]


def test_validate_only_gives_verdicts() -> None:
    bad = Record({"idem_key": "visit:0002", "payload": None}, content_hash="h")
    found = run(visit(1), bad, params={"mode": "validate_only", "schema_in": SCHEMA_IN})
    assert rows(found) == [
        {"idem_key": "visit:0001", "validation_status": "pass"},
        {"idem_key": "visit:0002", "validation_status": "fail"},
    ]
    assert rejected(found) == [("visit:0002", SCHEMA_IN, "", "type")]
    assert results(found) == ["ok", "quarantined"]
    assert found[-1].data["event_type"] == "validate.completed"
    assert found[-1].data["status"] == "partial"


def test_output_is_validated_only_when_that_is_asked_for() -> None:
    params = {name: value for name, value in PARAMS.items() if name != "schema_out"}
    assert len(rows(run(visit(1, minutes="many"), params=params))) == 1


def test_items_that_are_no_records_pass_in_their_place() -> None:
    cursor = Checkpoint(key="c", cursor=1)
    found = run(visit(1), cursor, visit(2))
    assert found[2] is cursor


def test_nothing_read_is_nothing_to_tell() -> None:
    assert run() == []


def test_transform_that_is_no_jsonata_is_told_before_a_record_is_read() -> None:
    with pytest.raises(ConfigurationError, match="is no JSONata that jsonatapy understands"):
        run(source="{")


# The parts, with stand-ins


class Noting:
    """A check, an expression and an engine that note when they are asked."""

    name = EngineName.JSONATAPY
    can_be_stopped = True

    def __init__(self, fails: str = "") -> None:
        self.asked: list[str] = []
        self._fails = fails

    def check(self, name: str) -> Any:
        class Check:
            @staticmethod
            def failure(value: object) -> Failure | None:
                self.asked.append(name)
                return Failure(schema=name, rule="r") if name == self._fails else None

        return Check()

    def evaluate(self, value: Any, bindings: dict[str, Any]) -> Any:
        self.asked.append("transform")
        if self._fails == "transform":
            raise TransformFailed("r")
        return {}

    def compile(self, source: str, functions: Functions, limit_s: float) -> Noting:
        self.asked.append("compile")
        return self


@pytest.mark.parametrize(
    ("fails", "asked"),
    [
        ("", ["validate in", "transform", "validate out"]),
        ("validate in", ["validate in"]),
        ("transform", ["validate in", "transform"]),
    ],
)
def test_input_is_validated_then_transformed_and_then_validated(fails: str, asked: list[str]) -> None:
    noting = Noting(fails)
    Work(noting.check("validate in"), noting, noting.check("validate out")).on({}, {})
    assert noting.asked == asked


def test_transform_is_compiled_once_for_all_records() -> None:
    noting = Noting()
    stage = Stage(CanonizerParams.parse(PARAMS), context(*map(visit, range(50))), engine=noting)
    assert len(rows(list(stage.items()))) == 50
    assert noting.asked == ["compile", *["transform"] * 50]


# In processes of their own


def stream(context: CallableContext, **params: Any) -> Iterator[Any]:
    items: Iterator[Any] = canonizer.execute({**PARAMS, **params}, context)["items"]
    return items


def plain(found: list[Any]) -> list[Any]:
    """Without the time of the event and of the rows."""
    return [{**one, "canonicalized_at": None} if isinstance(one, dict) else one for one in found[:-1]]


def test_several_processes_give_what_one_gives_in_the_same_order() -> None:
    cursor = Checkpoint(key="c", cursor=1)
    records = [visit(number, minutes=number if number % 7 else "x") for number in range(450)]
    items: list[Item] = [*records[:205], cursor, *records[205:]]
    alone, shared = run(*items), run(*items, workers=2)
    assert len(rows(alone)) > 300
    assert plain(shared) == plain(alone)
    assert shared[-1].data["payload"] == alone[-1].data["payload"]


def test_engine_that_cannot_be_stopped_works_in_a_process_which_can() -> None:
    """A pattern that looks at its text in more ways than there is time for."""
    source = '{"id": $contains(text, /^(a+)+$/)}'
    params = {**PARAMS, "engine": "jsonata-python", "record_timeout_s": 0.2}
    found = run(visit(1, text="aaa"), visit(2, text="a" * 60 + "b"), visit(3, text="b"), source=source, params=params)
    assert rejected(found) == [("visit:0002", "visits@1.0.0", "", "time_limit")]
    assert [row["payload"] for row in rows(found)] == [{"id": True}, {"id": False}]


def children() -> list[int]:
    """The processes that this one has started, and that are not gone yet."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


# As on a record on which the engine itself fails: whoever looks at it ends.
DEADLY = """
import os
from lorchestra.callable.canonizer import work
looked = work.Work.on
work.Work.on = lambda self, about, payload: os.abort() if payload.get("deadly") else looked(self, about, payload)
"""


def test_record_that_ends_its_process_is_set_aside_and_the_others_are_not() -> None:
    before = set(children())
    plan = WorkPlan(schema_in="s", schemas={"s": "{}"}, transform="t@1.0.0", source="n")
    numbers = [encoded({}, {"n": number, **({"deadly": True} if number == 7 else {})}) for number in range(20)]
    batches = [Batch(tuple(numbers[start : start + 5])) for start in range(0, 20, 5)]
    begin, _, rest = START.partition("; from ")
    code = f"{begin}\n{DEADLY}\nfrom {rest}"
    with Processes(plan, 2, NeverCancelled(), start=code) as processes:
        found = [outcome for outcomes in processes.outcomes(batches) for outcome in outcomes]
    assert found[7] == Failure(schema="t@1.0.0", rule="crashed")
    assert [one for one in found if not isinstance(one, Failure)] == [[number] for number in range(20) if number != 7]
    assert set(children()) <= before


def test_process_that_cannot_begin_is_the_operators_to_mend() -> None:
    plan = WorkPlan(schema_in="s", schemas={"s": "{}"})
    with (
        Processes(plan, 1, NeverCancelled(), start="raise SystemExit(3)") as processes,
        pytest.raises(ConfigurationError, match=r"ended before it began \(exit code 3\)"),
    ):
        list(processes.outcomes([Batch((encoded({}, {}),))]))


def test_processes_are_gone_when_the_stream_is_closed() -> None:
    before = set(children())
    items = stream(context(*map(visit, range(1000)), workers=2))
    next(items)
    assert set(children()) > before
    items.close()  # type: ignore[attr-defined]
    assert set(children()) <= before


def test_processes_are_gone_when_the_step_is_cancelled() -> None:
    class Cancelled(NeverCancelled):
        def check(self) -> None:
            raise RunCancelled

    before = set(children())
    endless = context(*map(visit, range(400)), source="($f := function($n) {$f($n + 1)}; $f(0))", workers=2)
    endless.token = Cancelled()
    with pytest.raises(RunCancelled):
        list(stream(endless, record_timeout_s=60))
    wait_until(lambda: set(children()) <= before)


def test_process_ends_with_whoever_started_it() -> None:
    plan = WorkPlan(schema_in="s", schemas={"s": "{}"}, transform="t", source="$", engine=EngineName.JSONATA_PYTHON)
    done = subprocess.run(
        [sys.executable, "-c", PARENT], input=json.dumps(plan.to_dict()).encode(), capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    stat = Path(f"/proc/{int(done.stdout)}/stat")
    wait_until(lambda: not stat.exists() or " Z " in stat.read_text())


PARENT = """
import json, os, signal, sys
from lorchestra.callable.canonizer.processes import WorkProcess
from lorchestra.callable.canonizer.work import WorkPlan
process = WorkProcess()
process.begin(WorkPlan.from_dict(json.load(sys.stdin)))
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
