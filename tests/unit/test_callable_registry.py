from __future__ import annotations

import functools
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import lorchestra.callable
from lorchestra.callable import (
    CallableRegistry,
    CallableResult,
    default_registry,
    dispatch_callable,
    project_registry,
    register_callable,
)
from lorchestra.callable import code_hash as code_hashes
from lorchestra.callable.built_in import BUILT_IN
from lorchestra.callable.context import CallableContext
from lorchestra.callable.direct import direct_context
from lorchestra.errors import BrokenCallable, DefinitionError, PermanentError, TransientError, UnknownCallable
from lorchestra.items import Record


def registry(*points: EntryPoint) -> CallableRegistry:
    return CallableRegistry(entry_points=lambda: points, built_in={})


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group="lorchestra.callables")


def echo(params: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": [dict(params)], "stats": {"seen": 1}}


def items_of(result: CallableResult) -> list[object]:
    assert result.items is not None
    return list(result.items)


@pytest.fixture
def _default_as_before() -> Iterator[None]:
    """What a test adds to the default registry does not stay in it."""
    before = default_registry().copy()
    yield
    default_registry().__dict__.update(before.__dict__)


# Finding


def test_a_registered_function_is_called_by_its_name() -> None:
    callables = registry()
    callables.register("echo", echo)
    result = callables.dispatch("echo", {"a": 1})
    assert result == CallableResult(items=[{"a": 1}], stats={"seen": 1})


def test_a_registered_module_is_called_by_its_execute() -> None:
    module = types.ModuleType("scorer")
    module.__dict__.update(
        execute=echo,
        reads=lambda params: {"dataset": params["from"]},
        resources=lambda params: {"schema": "schemas/a.json"},
    )
    callables = registry()
    callables.register("scorer", module)
    loaded = callables.get("scorer").load()
    assert loaded.reads({"from": "raw"}) == {"dataset": "raw"}
    assert loaded.resources({}) == {"schema": "schemas/a.json"}
    assert items_of(loaded.execute({"a": 1}, direct_context())) == [{"a": 1}]


def test_a_function_reads_nothing_and_needs_no_resources() -> None:
    callables = registry()
    callables.register("echo", echo)
    loaded = callables.get("echo").load()
    assert loaded.reads({}) is None
    assert loaded.resources({}) == {}


def test_a_later_registration_takes_the_place_of_an_earlier_one() -> None:
    callables = registry()
    callables.register("echo", echo)
    callables.register("echo", lambda params: {"items": []})
    assert items_of(callables.dispatch("echo", {"a": 1})) == []


def test_a_registered_callable_comes_before_an_installed_one() -> None:
    callables = registry(point("echo", "json:dumps"))
    assert callables.get("echo").origin == "package unknown"
    callables.register("echo", echo)
    assert callables.get("echo").origin == "registered"


def test_names_and_entries_are_sorted_and_say_where_each_comes_from() -> None:
    callables = registry(point("m_installed", "json:dumps"))
    callables.register("z_mine", echo)
    callables.register("a_mine", echo)
    assert callables.names() == ("a_mine", "m_installed", "z_mine")
    assert [(entry.name, entry.origin) for entry in callables.entries()] == [
        ("a_mine", "registered"),
        ("m_installed", "package unknown"),
        ("z_mine", "registered"),
    ]


def test_an_unknown_name_is_an_error_with_the_known_ones_and_the_nearest() -> None:
    callables = registry()
    callables.register("canonizer", echo)
    callables.register("injest", echo)
    with pytest.raises(UnknownCallable) as caught:
        callables.get("cannonizer")
    assert str(caught.value) == (
        "no callable is named 'cannonizer'; known: canonizer, injest; did you mean 'canonizer'?"
    )
    assert isinstance(caught.value, DefinitionError)


def test_an_unknown_name_in_an_empty_registry_says_that_it_is_empty() -> None:
    with pytest.raises(UnknownCallable, match="no callables are known"):
        registry().dispatch("nope", {})


def test_installed_packages_are_not_asked_for_before_they_are_needed() -> None:
    asked: list[bool] = []

    def entry_points() -> list[EntryPoint]:
        asked.append(True)
        return []

    callables = CallableRegistry(entry_points=entry_points)
    callables.register("echo", echo)
    callables.dispatch("echo", {})
    assert asked == []
    callables.names()
    callables.names()
    assert asked == [True]


def test_a_name_is_no_path() -> None:
    for name in ("../secret", "a/b", "a.b", "", ".", "__init__"):
        with pytest.raises(UnknownCallable):
            registry().get(name)


# Copies


def test_a_copy_and_its_original_do_not_see_each_others_changes() -> None:
    original = registry()
    original.register("echo", echo)
    copy = original.copy()
    original.register("later", echo)
    copy.register("mine", echo)
    assert original.names() == ("echo", "later")
    assert copy.names() == ("echo", "mine")


@pytest.mark.usefixtures("_default_as_before")
def test_the_default_registry_is_what_the_functions_of_the_package_use() -> None:
    register_callable("unit_echo", echo)
    assert items_of(dispatch_callable("unit_echo", {"a": 1})) == [{"a": 1}]
    assert "unit_echo" in default_registry().names()
    executors = default_registry().copy()
    register_callable("unit_later", echo)
    with pytest.raises(UnknownCallable):
        executors.get("unit_later")


@pytest.mark.usefixtures("_default_as_before")
def test_a_project_registry_has_the_default_callables_too(tmp_path: Path) -> None:
    register_callable("unit_echo", echo)
    assert "unit_echo" in project_registry(tmp_path / "none").names()


# The context


def with_context(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
    return {"items": [{"run": context.run_id, **params}]}


def with_an_option(params: Mapping[str, Any], verbose: bool = False) -> dict[str, Any]:
    return {"items": [{"run": verbose}]}


def with_an_optional_context(params: Mapping[str, Any], context: CallableContext | None = None) -> dict[str, Any]:
    return {"items": [{"run": context.run_id if context else None}]}


class Stage:
    def __call__(self, params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
        return with_context(params, context)

    def bound(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"items": [{"run": False}]}


@pytest.mark.parametrize(
    ("function", "seen"),
    [
        (with_context, "direct"),
        (with_an_optional_context, "direct"),
        (with_an_option, False),
        (Stage(), "direct"),
        (Stage().bound, False),
        (functools.partial(with_context), "direct"),
        (lambda *params: {"items": [{"run": len(params)}]}, 1),
        (lambda params, /, c: {"items": [{"run": c.run_id}]}, "direct"),
    ],
)
def test_the_context_goes_to_who_takes_a_second_parameter(function: Callable[..., object], seen: object) -> None:
    callables = registry()
    callables.register("it", function)
    assert items_of(callables.dispatch("it", {})) == [{"run": seen}]


def test_a_given_context_is_passed_on() -> None:
    def copy_items(params: Mapping[str, Any], context: CallableContext) -> CallableResult:
        context.token.progress()
        context.token.check()
        context.log.info("copied", count=1)
        context.log.warning("done")
        return CallableResult(items=list(context.items), stats={"schema": context.resources["s"].sha256[:4]})

    callables = registry()
    callables.register("copy", copy_items)
    context = direct_context(items=[{"a": 1}, Record({"a": 2})], resources={"s": b"{}"})
    result = callables.dispatch("copy", {}, context)
    assert items_of(result) == [Record({"a": 1}), Record({"a": 2})]
    assert result.stats == {"schema": "4413"}
    assert context.clock.now().tzinfo is not None


@pytest.mark.parametrize("error", [TransientError("t", retry_after=1), PermanentError("p"), KeyError("k")])
def test_what_a_callable_raises_passes_unchanged(error: Exception) -> None:
    def fail(params: Mapping[str, Any]) -> dict[str, Any]:
        raise error

    callables = registry()
    callables.register("fail", fail)
    with pytest.raises(type(error)) as caught:
        callables.dispatch("fail", {})
    assert caught.value is error


def test_a_result_of_the_wrong_kind_is_refused() -> None:
    callables = registry()
    callables.register("wrong", lambda params: 3)
    with pytest.raises(PermanentError, match="returned a int"):
        callables.dispatch("wrong", {})


# Shapes that are refused


async def asynchronous(params: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": []}


def module_of(**names: object) -> types.ModuleType:
    module = types.ModuleType("made")
    module.__dict__.update(names)
    return module


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (module_of(), "has no `execute`"),
        (module_of(execute=3), "has no `execute`"),
        (3, "is a int"),
        (Stage, "is a class"),
        (lambda: None, "takes other parameters"),
        (lambda a, b, c: None, "takes other parameters"),
        (lambda params, *, option: None, "takes other parameters"),
        (asynchronous, "is an async function"),
        (iter, "does not tell its parameters"),
        (module_of(execute=echo, resources={"a": "b"}), "has a `resources` that is a dict"),
        (module_of(execute=echo, reads=[1]), "has a `reads` that is a list"),
    ],
)
def test_what_has_not_the_shape_of_a_callable_is_refused_when_registered(target: object, found: str) -> None:
    callables = registry()
    with pytest.raises(BrokenCallable) as caught:
        callables.register("it", target)
    assert str(caught.value).startswith(f"callable 'it' {found}; a")
    assert callables.names() == ()


@pytest.mark.parametrize("value", ["no_such_module_here:run", "lorchestra.no_such_module", "not a module", ":", ""])
def test_an_entry_point_to_nowhere_breaks_that_callable_alone(value: str) -> None:
    callables = registry(point("lost", value), point("fine", "tests.unit.test_callable_registry:echo"))
    assert callables.names() == ("fine", "lost")
    with pytest.raises(BrokenCallable, match="which is not found"):
        callables.get("lost").load()
    assert items_of(callables.dispatch("fine", {"a": 1})) == [{"a": 1}]


def test_a_name_offered_twice_is_refused() -> None:
    callables = registry(point("two", "json:dumps"), point("two", "json:loads"))
    with pytest.raises(BrokenCallable, match="is offered more than once"):
        callables.get("two").load()
    callables.register("two", echo)
    assert callables.get("two").load().name == "two"


# Hashes


def compiled(source: str) -> Callable[..., object]:
    """A function without source, as one typed into a shell has."""
    names: dict[str, Any] = {}
    exec(compile(source, "<nowhere>", "exec"), names)
    function: Callable[..., object] = names["f"]
    return function


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f(p): return 1", "def f(p): return 1", True),
        ("def f(p): return 1", "def f(p): return 2", False),
        ("def f(p): return p.a", "def f(p): return p.b", False),
        ("def f(p): return [x + 1 for x in p]", "def f(p): return [x + 2 for x in p]", False),
        ("def f(p): return p in {'a', 'b'}", "def f(p): return p in {'b', 'a'}", True),
    ],
)
def test_a_function_without_source_is_hashed_by_its_code(one: str, other: str, same: bool) -> None:
    assert (code_hashes.of_object(compiled(one)) == code_hashes.of_object(compiled(other))) is same


def test_a_hash_is_the_same_in_every_process() -> None:
    source = "def f(p): return [x in {'a', 'b', 'c', 'd'} for x in p]"
    program = (
        "from lorchestra.callable import code_hash\n"
        f"names = {{}}\nexec({source!r}, names)\n"
        "print(code_hash.of_object(names['f']))\n"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == code_hashes.of_object(compiled(source))


def test_a_function_and_an_object_are_hashed_by_their_source() -> None:
    stage = code_hashes.of_object(Stage())
    assert stage == code_hashes.of_object(Stage())
    assert stage != code_hashes.of_object(Stage().bound)
    assert code_hashes.of_object(echo) == code_hashes.of_object(functools.partial(echo))
    assert code_hashes.of_object(echo) != code_hashes.of_object(with_context)


def test_a_function_of_the_interpreter_is_hashed_by_its_name() -> None:
    assert code_hashes.of_object(len) == code_hashes.of_object(len) != code_hashes.of_object(iter)


def test_a_module_in_memory_is_hashed_by_its_execute_and_one_with_a_file_by_the_file() -> None:
    assert code_hashes.of_object(module_of(execute=echo)) == code_hashes.of_object(echo)
    assert code_hashes.of_object(code_hashes) == code_hashes.of_path(Path(code_hashes.__file__))
    package = Path(lorchestra.callable.__file__).parent
    assert code_hashes.of_object(lorchestra.callable) == code_hashes.of_path(package)


# The package


def test_importing_the_package_is_cheap() -> None:
    program = (
        "import sys, lorchestra.callable\n"
        "slow = {'pydantic', 'orjson', 'importlib.metadata', 'httpx'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_names_of_the_package_are_there() -> None:
    for name in lorchestra.callable.__all__:
        assert hasattr(lorchestra.callable, name)


def test_every_built_in_callable_can_be_loaded() -> None:
    built_in = CallableRegistry(entry_points=list)
    assert built_in.names() == tuple(sorted(BUILT_IN))
    for entry in built_in.entries():
        assert entry.origin == "built in"
        assert entry.load().name == entry.name
