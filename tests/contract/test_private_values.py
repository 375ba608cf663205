"""What the private values of every store promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorchestra.errors import StoreError
from lorchestra.json_value import JSONValue, freeze
from lorchestra.run_store.private_values import FilePrivateValues, InMemoryPrivateValues
from lorchestra.run_store.protocol import PrivateValues

RUN, OTHER = "01HWRUN", "01HWOTHER"
BAD_NAMES = ("", ".", "..", ".hidden", "../x", "a/b", "a\\b", "A", "a b", "a\n", "a~b", "é", "a\0", "x" * 300)
BAD_RUN_IDS = ("", ".", "..", "a/b", "../x", "-x", "a\n", "a\0", "x" * 300)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=10,
)


@pytest.fixture(params=["memory", "files"])
def values(request: pytest.FixtureRequest, tmp_path: Path) -> PrivateValues:
    makers: dict[str, Callable[[], PrivateValues]] = {
        "memory": InMemoryPrivateValues,
        "files": lambda: FilePrivateValues(tmp_path / "private"),
    }
    return makers[request.param]()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(value=json_values)
def test_a_value_comes_back_as_it_was_put(values: PrivateValues, value: JSONValue) -> None:
    values.put(RUN, "output", value)
    assert values.get(RUN, "output") == value


def test_a_frozen_value_comes_back_plain(values: PrivateValues) -> None:
    values.put(RUN, "output", freeze({"a": [1, {"b": None}]}))
    assert values.get(RUN, "output") == {"a": [1, {"b": None}]}


def test_a_later_value_replaces_the_earlier(values: PrivateValues) -> None:
    values.put(RUN, "output", "a long first value")
    values.put(RUN, "output", 2)
    assert values.get(RUN, "output") == 2


def test_values_of_names_and_runs_are_apart(values: PrivateValues) -> None:
    values.put(RUN, "a.output", 1)
    values.put(RUN, "b.output", 2)
    values.put(OTHER, "a.output", 3)
    assert [values.get(RUN, "a.output"), values.get(RUN, "b.output"), values.get(OTHER, "a.output")] == [1, 2, 3]


def test_what_json_cannot_hold_is_refused_and_the_earlier_value_stays(values: PrivateValues) -> None:
    values.put(RUN, "output", 1)
    with pytest.raises(StoreError, match="JSON cannot represent") as refused:
        values.put(RUN, "output", {"secret-key": object()})  # type: ignore[dict-item]  # what a callable might give
    assert "secret-key" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert values.get(RUN, "output") == 1


def test_a_value_that_is_not_there_is_an_error(values: PrivateValues) -> None:
    values.put(RUN, "output", 1)
    for run_id, name in ((RUN, "other"), (OTHER, "output")):
        with pytest.raises(StoreError, match=f"run {run_id} has no private value '{name}'"):
            values.get(run_id, name)
        with pytest.raises(StoreError, match=f"run {run_id} has no private value '{name}'"):
            values.read_spill(run_id, name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(lines=st.lists(st.binary().map(lambda line: line.replace(b"\n", b" ")), max_size=20))
def test_a_spill_comes_back_line_by_line(values: PrivateValues, lines: list[bytes]) -> None:
    assert values.spill(RUN, "fetch.items", iter(lines)) == len(lines)
    assert list(values.read_spill(RUN, "fetch.items")) == lines


def test_a_spill_can_be_read_several_times_and_at_once(values: PrivateValues) -> None:
    values.spill(RUN, "items", [b"1", b"2"])
    first, second = values.read_spill(RUN, "items"), values.read_spill(RUN, "items")
    assert [next(first), next(second), next(first), next(second)] == [b"1", b"1", b"2", b"2"]
    assert list(values.read_spill(RUN, "items")) == [b"1", b"2"]


def test_a_line_that_looks_like_the_end_of_a_spill_is_a_line(values: PrivateValues) -> None:
    lines = [b"#spill 00000000000000000000 00000000", b"", b"#spill"]
    values.spill(RUN, "items", lines)
    assert list(values.read_spill(RUN, "items")) == lines


def test_a_later_spill_replaces_the_earlier_as_a_whole(values: PrivateValues) -> None:
    values.spill(RUN, "items", [b"1", b"2", b"3"])
    values.spill(RUN, "items", [b"4"])
    assert list(values.read_spill(RUN, "items")) == [b"4"]


class Interrupted(Exception):
    pass


def _cut(error: Exception) -> Iterator[bytes]:
    yield b"1"
    raise error


@pytest.mark.parametrize("error", [Interrupted(), OSError(28, "the callable's own"), StoreError("the callable's own")])
def test_an_error_of_the_lines_comes_through_and_the_earlier_spill_stays(
    values: PrivateValues, error: Exception
) -> None:
    values.spill(RUN, "items", [b"old"])
    with pytest.raises(type(error)) as raised:
        values.spill(RUN, "items", _cut(error))
    assert raised.value is error
    assert list(values.read_spill(RUN, "items")) == [b"old"]


def test_an_unfinished_spill_is_not_there(values: PrivateValues) -> None:
    with pytest.raises(Interrupted):
        values.spill(RUN, "items", _cut(Interrupted()))
    with pytest.raises(StoreError, match="no private value"):
        values.read_spill(RUN, "items")


def test_a_line_with_a_line_break_is_refused(values: PrivateValues) -> None:
    with pytest.raises(StoreError, match="line break") as refused:
        values.spill(RUN, "items", [b"pat\nient"])
    assert "pat" not in str(refused.value)
    with pytest.raises(StoreError, match="no private value"):
        values.read_spill(RUN, "items")


def test_a_value_is_no_spill_and_a_spill_no_value(values: PrivateValues) -> None:
    values.put(RUN, "a", {"x": 1})
    values.spill(RUN, "b", [b'{"x": 1}'])
    with pytest.raises(StoreError, match="damaged"):
        values.read_spill(RUN, "a")
    with pytest.raises(StoreError, match="damaged"):
        values.get(RUN, "b")


def test_remove_forgets_all_values_of_one_run(values: PrivateValues) -> None:
    values.put(RUN, "output", 1)
    values.spill(RUN, "items", [b"1"])
    values.put(OTHER, "output", 2)

    values.remove(RUN)
    values.remove(RUN)

    for ask in (values.get, values.read_spill):
        for name in ("output", "items"):
            with pytest.raises(StoreError, match="no private value"):
                ask(RUN, name)
    assert values.get(OTHER, "output") == 2


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_might_lead_elsewhere_is_refused(values: PrivateValues, name: str) -> None:
    for use in (
        lambda: values.put(RUN, name, 1),
        lambda: values.get(RUN, name),
        lambda: values.spill(RUN, name, [b"1"]),
        lambda: values.read_spill(RUN, name),
    ):
        with pytest.raises(StoreError, match="name has other characters"):
            use()


@pytest.mark.parametrize("run_id", BAD_RUN_IDS)
def test_a_run_id_that_might_lead_elsewhere_is_refused(values: PrivateValues, run_id: str) -> None:
    for use in (
        lambda: values.put(run_id, "output", 1),
        lambda: values.get(run_id, "output"),
        lambda: values.spill(run_id, "items", [b"1"]),
        lambda: values.read_spill(run_id, "items"),
        lambda: values.remove(run_id),
    ):
        with pytest.raises(StoreError, match="run id for private values"):
            use()
