"""What every engine for JSONata does: the same results, no results that hang, and errors that quote nothing."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from lorchestra.callable.canonizer import engines
from lorchestra.callable.canonizer.engines import Engine, EngineName, TransformFailed
from lorchestra.callable.canonizer.engines.base import Functions
from lorchestra.callable.canonizer.functions import FUNCTIONS
from lorchestra.callable.canonizer.validation import Validator
from tests.examples import Example, all_examples, schema
from tests.expressions import BINDINGS, DOCUMENT, FAILURES, VALUES
from tests.expressions import FUNCTIONS as SMALL


@pytest.fixture(params=list(EngineName))
def engine(request: pytest.FixtureRequest) -> Engine:
    return engines.find(request.param)


def evaluate(
    engine: Engine, source: str, value: Any = None, *, limit_s: float = 30.0, functions: Functions = SMALL
) -> Any:
    return engine.compile(source, functions, limit_s).evaluate(DOCUMENT if value is None else value, BINDINGS)


def failure(engine: Engine, source: str, value: Any = None, **options: Any) -> str:
    with pytest.raises(TransformFailed) as caught:
        evaluate(engine, source, value, **options)
    assert caught.value.__cause__ is None
    return caught.value.rule


@pytest.mark.parametrize(("source", "expected"), VALUES, ids=[source for source, _ in VALUES])
def test_expression_has_the_same_result(engine: Engine, source: str, expected: Any) -> None:
    found = evaluate(engine, source)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("source", "code"), FAILURES)
def test_error_has_jsonatas_code(engine: Engine, source: str, code: str) -> None:
    assert failure(engine, source) == code


@pytest.mark.parametrize("example", all_examples(), ids=str)
def test_shipped_transform_gives_what_its_example_says(engine: Engine, example: Example) -> None:
    expression = engine.compile(example.source, FUNCTIONS, 30.0)
    assert expression.evaluate(example.payload, {"row": example.row}) == example.expected


@pytest.mark.parametrize("example", all_examples(), ids=str)
def test_example_is_valid_before_and_after(example: Example) -> None:
    for name, value in (("schema_in", example.payload), ("schema_out", example.expected)):
        address = example.metadata[name]
        assert Validator(address, schema(address)).failure(value) is None


def test_endless_expression_ends_at_its_limit(engine: Engine) -> None:
    assert failure(engine, "($f := function($n) {$f($n + 1)}; $f(0))", limit_s=0.05) == "time_limit"


def test_bottomless_expression_ends(engine: Engine) -> None:
    rule = failure(engine, "($f := function($n) {1 + $f($n + 1)}; $f(0))", limit_s=0.5)
    assert rule in ("depth_limit", "time_limit")


def test_limit_is_that_of_one_record_and_not_of_all(engine: Engine) -> None:
    expression = engine.compile("$sum([1..20000].($ * 2)) > 0", {}, 5.0)
    assert all(expression.evaluate({}, {}) for _ in range(3))


def test_function_that_fails_fails_the_record_and_says_nothing_of_it(engine: Engine) -> None:
    def fail(value: object) -> None:
        raise ValueError(value)

    assert failure(engine, "$fail(name)", functions={"fail": fail}) == "function"


def test_function_is_given_none_for_what_is_not_there(engine: Engine) -> None:
    seen: list[object] = []

    def look(*values: object) -> str:
        seen.extend(values)
        return "seen"

    assert evaluate(engine, "$look(missing, nothing, list, weight * 2)", functions={"look": look}) == "seen"
    assert seen == [None, None, [], 123]


@pytest.mark.parametrize("source", ["foo(", "{", "$$$(", "'a"])
def test_what_is_no_jsonata_does_not_compile(engine: Engine, source: str) -> None:
    with pytest.raises(TransformFailed, match="S0"):
        engine.compile(source, {}, 1.0)


def test_input_is_left_as_it_was(engine: Engine) -> None:
    value = {"a": [{"b": 1}, {"b": 2}]}
    evaluate(
        engine, '{"c": a, "d": $append(a, 3), "e": $ ~> |a|{"x": 1}|, "f": $sort(a, function($x, $y) {true})}', value
    )
    assert value == {"a": [{"b": 1}, {"b": 2}]}


def test_two_expressions_of_one_thread_keep_apart(engine: Engine) -> None:
    first, second = engine.compile("$map([1], function($v) {$v})", {}, 5.0), engine.compile("$x", {}, 5.0)
    assert second.evaluate({}, {"x": 1}) == 1
    assert first.evaluate({}, {}) == 1
    assert second.evaluate({}, {}) is None


def test_each_thread_compiles_its_own(engine: Engine) -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(evaluate(engine, "weight"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [61.5, 61.5]


def test_engine_leaves_the_depth_of_the_process_as_it_was(engine: Engine) -> None:
    assert sys.getrecursionlimit() < 10_000
    with pytest.raises(TransformFailed):
        engine.compile("(" * 20_000 + "1", {}, 5.0)


def test_fastest_engine_is_taken_when_none_is_named() -> None:
    assert engines.find().name is EngineName.JSONATAPY
