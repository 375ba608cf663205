from __future__ import annotations

from typing import Any

import pytest

from lorchestra.errors import PlanError
from lorchestra.items import Item, Record
from lorchestra.json_value import canonical_bytes
from lorchestra.plan_builder import PlanKeys
from tests.unit.plans import build, keys_of, records, row, upsert_spec


def op_keys(keys: PlanKeys, items: list[Item] | None = None) -> set[str]:
    units = build(items or records(3), upsert_spec(batch_rows=1), keys)
    return {op.idempotency_key for unit in units for op in unit}


# The scope, what differs in the second plan, and whether its ops are taken for those of the first.
REACH: list[tuple[str, dict[str, Any], bool]] = [
    ("run", {}, True),
    ("run", {"run_id": "02RUN"}, False),
    ("run", {"job_id": "other"}, False),
    ("run", {"step_id": "other"}, False),
    ("run", {"namespace": "smoke_a"}, False),
    ("run", {"semantic_key": "other"}, True),
    ("semantic", {"run_id": "02RUN"}, True),
    ("semantic", {"job_id": "other"}, False),
    ("semantic", {"step_id": "other"}, False),
    ("semantic", {"namespace": "smoke_a"}, False),
    ("semantic", {"semantic_key": "other"}, False),
    ("explicit", {"run_id": "02RUN"}, True),
    ("explicit", {"job_id": "other", "step_id": "other"}, True),
    ("explicit", {"namespace": "smoke_a"}, False),
    ("explicit", {"semantic_key": "other"}, False),
]


@pytest.mark.parametrize(("scope", "change", "same"), REACH)
def test_how_far_a_key_reaches(scope: str, change: dict[str, Any], same: bool) -> None:
    first, second = op_keys(keys_of(scope)), op_keys(keys_of(scope, **change))
    assert first == second if same else first.isdisjoint(second)


@pytest.mark.parametrize("scope", ["semantic", "explicit"])
def test_the_payload_narrows_a_key_when_asked_to(scope: str) -> None:
    def of_payload(payload: str, *, included: bool) -> set[str]:
        return op_keys(keys_of(scope, payload_sha256=payload, include_payload_hash=included))

    assert of_payload("a", included=False) == of_payload("b", included=False)
    assert of_payload("a", included=True).isdisjoint(of_payload("b", included=True))
    assert of_payload("a", included=True) == of_payload("a", included=True)


def test_changed_rows_are_a_new_effect_in_the_scope_of_a_run() -> None:
    assert op_keys(keys_of(), records(1)).isdisjoint(op_keys(keys_of(), [Record(row(0, changed=True))]))


@pytest.mark.parametrize("scope", ["semantic", "explicit"])
def test_changed_rows_are_no_new_effect_under_the_same_semantic_key(scope: str) -> None:
    assert op_keys(keys_of(scope), records(1)) == op_keys(keys_of(scope), [Record(row(0, changed=True))])


def test_the_same_rows_twice_in_one_plan_are_two_effects() -> None:
    assert len(op_keys(keys_of(), [Record(row(0)), Record(row(0))])) == 2


@pytest.mark.parametrize("change", [{"table": "other"}, {"dataset": "other"}, {"method": "wal.append"}])
def test_the_same_rows_elsewhere_are_another_effect(change: dict[str, Any]) -> None:
    ((one,),), ((other,),) = build(records(1)), build(records(1), upsert_spec(**change))
    assert one.idempotency_key != other.idempotency_key


@pytest.mark.parametrize("scope", ["semantic", "explicit"])
def test_a_scope_that_needs_a_key_and_has_none_is_an_error(scope: str) -> None:
    with pytest.raises(PlanError, match=f"scope '{scope}' and no key"):
        keys_of(scope, semantic_key=None)


def test_keys_that_hold_the_payload_need_its_hash() -> None:
    with pytest.raises(ValueError, match="payload_sha256"):
        keys_of("semantic", include_payload_hash=True)


def test_nothing_of_a_semantic_key_shows_in_an_op() -> None:
    units = build(records(2), upsert_spec(batch_rows=1), keys_of("explicit", semantic_key="a.person@example.org"))
    assert b"person" not in canonical_bytes([op.to_dict() for unit in units for op in unit])
