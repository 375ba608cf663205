from __future__ import annotations

from typing import Any

import pytest

from lorchestra.errors import PlanError
from lorchestra.plan_builder import PlanSpec

FULL: dict[str, Any] = {
    "items": "@run.canonize.items",
    "method": "bq.upsert",
    "dataset": "canonical",
    "table": "objects",
    "key_columns": ["idem_key"],
    "fields": ["idem_key", "a"],
    "field_map": {"a": "b"},
    "field_defaults": {"a": [1]},
    "batch_size": 10,
    "batch_bytes": 1000,
    "atomic": True,
}


def test_a_spec_is_read_from_the_params_of_a_step() -> None:
    assert PlanSpec.from_params(FULL) == PlanSpec(
        method="table.upsert",
        dataset="canonical",
        table="objects",
        key_columns=("idem_key",),
        fields=("idem_key", "a"),
        field_map={"a": "b"},
        field_defaults={"a": (1,)},
        batch_rows=10,
        batch_bytes=1000,
        atomic=True,
    )


def test_batches_have_a_thousand_rows_or_four_mebibytes() -> None:
    spec = PlanSpec.from_params({"dataset": "d", "table": "t"})
    assert (spec.method, spec.batch_rows, spec.batch_bytes, spec.atomic) == ("wal.append", 1000, 4 * 1024 * 1024, False)


def test_events_need_no_table() -> None:
    spec = PlanSpec.from_params({"method": "event.append"})
    assert spec.target("event.append") == ("events", "event_log")


WRONG: list[tuple[dict[str, Any], list[tuple[str, ...]]]] = [
    ({"method": 3}, [("method",)]),
    ({"method": ""}, [("method",)]),
    ({"method": "table.upser"}, [("method",)]),
    ({"method": "storacle.query"}, [("method",)]),
    ({"dataset": None}, [("dataset",)]),
    ({"dataset": [], "table": 1.5}, [("dataset",), ("table",)]),
    ({"key_columns": "idem_key"}, [("key_columns",)]),
    ({"key_columns": [1]}, [("key_columns",)]),
    ({"key_columns": []}, [("key_columns",)]),
    ({"key_columns": ["idem_key", "idem_key"]}, [("key_columns",)]),
    ({"key_columns": ["other"]}, [("fields",)]),
    ({"fields": {}}, [("fields",)]),
    ({"fields": []}, [("fields",), ("fields",)]),
    ({"field_map": {"a": 1}}, [("field_map",)]),
    ({"field_map": ["a"]}, [("field_map",)]),
    ({"field_defaults": 0}, [("field_defaults",)]),
    ({"field_defaults": {1: 2}}, [("field_defaults",)]),
    ({"batch_size": "10"}, [("batch_size",)]),
    ({"batch_size": True}, [("batch_size",)]),
    ({"batch_size": 0}, [("batch_size",)]),
    ({"batch_size": 100_001}, [("batch_size",)]),
    ({"batch_bytes": -1}, [("batch_bytes",)]),
    ({"batch_bytes": 1 << 40}, [("batch_bytes",)]),
    ({"atomic": "yes"}, [("atomic",)]),
    ({"batchsize": 10}, [("batchsize",)]),
    ({"batch_size": "x", "atomic": 1, "dataset": 0}, [("dataset",), ("batch_size",), ("atomic",)]),
]


@pytest.mark.parametrize(("change", "paths"), WRONG)
def test_wrong_params_are_reported_together_each_with_its_path(
    change: dict[str, Any], paths: list[tuple[str, ...]]
) -> None:
    with pytest.raises(PlanError) as caught:
        PlanSpec.from_params({**FULL, **change})
    assert [problem.path for problem in caught.value.problems] == paths


def test_what_a_row_method_needs_is_reported_together() -> None:
    with pytest.raises(PlanError) as caught:
        PlanSpec.from_params({"method": "table.upsert"})
    assert [problem.path for problem in caught.value.problems] == [("dataset",), ("table",), ("key_columns",)]


def test_a_method_of_the_wrong_type_is_one_mistake() -> None:
    with pytest.raises(PlanError) as caught:
        PlanSpec.from_params({"method": 3})
    assert [problem.path for problem in caught.value.problems] == [("method",)]


@pytest.mark.parametrize(
    ("params", "hint"),
    [
        ({"method": "table.upser"}, "did you mean 'table.upsert'?"),
        ({"method": "event.append", "batchsize": 1}, "did you mean 'batch_size'?"),
    ],
)
def test_a_mistake_comes_with_the_nearest_name(params: dict[str, Any], hint: str) -> None:
    with pytest.raises(PlanError) as caught:
        PlanSpec.from_params(params)
    assert caught.value.problems[0].hint == hint


@pytest.mark.parametrize("name", ["method", "dataset", "key_columns", "field_map", "batch_size", "atomic"])
def test_no_value_of_a_param_shows_in_an_error(name: str) -> None:
    with pytest.raises(PlanError) as caught:
        PlanSpec.from_params({**FULL, name: {"canary": ["canary", 1]}})
    assert "canary" not in str(caught.value)


def test_an_unknown_method_is_not_quoted() -> None:
    with pytest.raises(PlanError) as caught:
        PlanSpec.from_params({**FULL, "method": "canary"})
    assert "canary" not in str(caught.value)
