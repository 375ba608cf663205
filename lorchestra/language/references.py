"""Templates: JSON values in which a whole string may be a reference. `@@` begins a text that begins with one `@`.

`@ctx` and `@payload` are replaced when a job is compiled, `@run` while it runs. Types are kept; keys of mappings are
never references. A message about a path that does not exist quotes what the author wrote, and of the ctx or payload
tells only types and sizes: their keys are data too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from lorchestra.errors import CompileError, DefinitionError, Path, PermanentError, Problem
from lorchestra.json_value import JSONObject, JSONValue
from lorchestra.language import json_check
from lorchestra.language.json_check import MAX_DEPTH, describe
from lorchestra.language.reference_text import CtxRef, PayloadRef, Reference, RunRef, StaticRef, clip, read_whole

__all__ = [
    "CtxRef",
    "ListNode",
    "Literal",
    "MapNode",
    "MissingOutput",
    "Node",
    "PayloadRef",
    "Reference",
    "RunRef",
    "StaticRef",
    "has_refs",
    "parse",
    "resolve",
    "resolve_static",
    "run_refs",
    "static_refs",
    "static_value",
    "unparse",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Literal:
    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapNode:
    entries: tuple[tuple[str, Node], ...]


Node: TypeAlias = Literal | ListNode | MapNode | CtxRef | PayloadRef | RunRef


class MissingOutput(PermanentError):
    """A step's output has not the part that a reference names."""


def parse(value: JSONValue) -> Node:
    """The nodes of a template. Raises DefinitionError with every mistake in it, paths relative to the value."""
    problems: list[Problem] = []
    node = _parse(value, (), problems)
    if problems:
        raise DefinitionError(*problems)
    return node


def unparse(node: Node) -> JSONValue:
    """The template that parses to the node."""
    match node:
        case Literal(value):
            return _escape_text(value) if isinstance(value, str) else value
        case ListNode(items):
            return [unparse(item) for item in items]
        case MapNode(entries):
            return {key: unparse(item) for key, item in entries}
        case _:
            return str(node)


def run_refs(node: Node) -> Iterator[tuple[Path, RunRef]]:
    """Where each `@run` reference stands, and what it names."""
    return ((path, ref) for path, ref in _refs(node, ()) if isinstance(ref, RunRef))


def static_refs(node: Node) -> Iterator[tuple[Path, StaticRef]]:
    """Where each `@ctx` and `@payload` reference stands, and what it names."""
    return ((path, ref) for path, ref in _refs(node, ()) if not isinstance(ref, RunRef))


def has_refs(node: Node) -> bool:
    return any(True for _ in _refs(node, ()))


def resolve_static(node: Node, *, ctx: JSONObject, payload: JSONObject) -> JSONValue:
    """The template with its `@ctx` and `@payload` references replaced: a template again, and a copy.

    Texts that come from a ctx or payload are escaped, so that none of them becomes a reference. Raises CompileError
    with every path that does not exist.
    """
    problems: list[Problem] = []
    value = _resolve_static(node, (), ctx, payload, problems)
    if problems:
        raise CompileError(*problems)
    return value


def resolve(node: Node, run: Callable[[RunRef], object]) -> object:
    """The value of a template that only `@run` references are left in; `run` says what each one stands for."""
    match node:
        case Literal(value):
            return value
        case ListNode(items):
            return [resolve(item, run) for item in items]
        case MapNode(entries):
            return {key: item.value if type(item) is Literal else resolve(item, run) for key, item in entries}
        case RunRef():
            return run(node)
        case _:
            raise CompileError(Problem(found=f"'{node}' is not resolved", expected="expected a compiled template"))


def static_value(ref: StaticRef, *, ctx: JSONObject, payload: JSONObject) -> JSONValue:
    """What a `@ctx` or `@payload` reference names. Raises CompileError when that does not exist."""
    value, known = _descend(ctx if isinstance(ref, CtxRef) else payload, ref.path)
    if known < len(ref.path):
        raise CompileError(Problem(found=f"'{ref}' does not exist", expected=_where_it_ends(ref, value, known)))
    return value  # type: ignore[return-value]  # a part of a JSON value is one


def walk(outputs: object, ref: RunRef) -> object:
    """What a `@run` reference names among the outputs of its step. Raises MissingOutput when that does not exist."""
    value, known = _descend(outputs, ref.path)
    if known < len(ref.path):
        raise MissingOutput(f"'{ref}' does not exist: {_where_it_ends(ref, value, known)}")
    return value


def _parse(value: object, path: Path, problems: list[Problem]) -> Node:
    if len(path) > MAX_DEPTH:
        # Raised at once: a value that holds itself would go on for ever.
        raise DefinitionError(*problems, json_check.too_deep(path[:1]))
    if isinstance(value, Mapping):
        entries = []
        for key, item in value.items():
            if flaw := json_check.key_flaw(key):
                problems.append(json_check.not_json(flaw, path))
            else:
                entries.append((key, _parse(item, (*path, key), problems)))
        return MapNode(tuple(entries))
    if isinstance(value, (list, tuple)):
        return ListNode(tuple([_parse(item, (*path, index), problems) for index, item in enumerate(value)]))
    if flaw := json_check.scalar_flaw(value):
        problems.append(json_check.not_json(flaw, path))
        return Literal(None)
    if isinstance(value, str) and value.startswith("@"):
        return _parse_marked(value, path, problems)
    return Literal(value)  # type: ignore[arg-type]  # a JSON scalar: it has no flaw


def _parse_marked(text: str, path: Path, problems: list[Problem]) -> Node:
    if text.startswith("@@"):
        return Literal(text[1:])
    try:
        return read_whole(text)
    except DefinitionError as error:
        problems.extend(replace(problem, path=path) for problem in error.problems)
        return Literal(text)


def _refs(node: Node, path: Path) -> Iterator[tuple[Path, Reference]]:
    match node:
        case ListNode(items):
            for index, item in enumerate(items):
                yield from _refs(item, (*path, index))
        case MapNode(entries):
            for key, item in entries:
                yield from _refs(item, (*path, key))
        case CtxRef() | PayloadRef() | RunRef():
            yield path, node


def _resolve_static(node: Node, path: Path, ctx: JSONObject, payload: JSONObject, problems: list[Problem]) -> JSONValue:
    match node:
        case ListNode(items):
            return [_resolve_static(item, (*path, n), ctx, payload, problems) for n, item in enumerate(items)]
        case MapNode(entries):
            return {key: _resolve_static(item, (*path, key), ctx, payload, problems) for key, item in entries}
        case CtxRef() | PayloadRef():
            try:
                return _escape(static_value(node, ctx=ctx, payload=payload), len(path))
            except CompileError as error:
                problems.extend(replace(problem, path=path) for problem in error.problems)
                return None
        case _:
            return unparse(node)


def _escape(value: JSONValue, depth: int) -> JSONValue:
    if depth > MAX_DEPTH:
        raise CompileError(json_check.too_deep(()))
    if isinstance(value, str):
        return _escape_text(value)
    if isinstance(value, Mapping):
        return {key: _escape(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escape(item, depth + 1) for item in value]
    return value


def _escape_text(text: str) -> str:
    return "@" + text if text.startswith("@") else text


def _descend(value: object, path: Path) -> tuple[object, int]:
    """The deepest part of `path` that exists in the value, and how many parts lead there."""
    for known, part in enumerate(path):
        try:
            value = _part_of(value, part)
        except LookupError:
            return value, known
    return value, len(path)


def _part_of(value: object, part: str | int) -> object:
    if isinstance(value, Mapping) and isinstance(part, str):
        return value[part]
    if isinstance(value, (list, tuple)) and isinstance(part, int):
        return value[part]
    raise LookupError


def _where_it_ends(ref: Reference, value: object, known: int) -> str:
    deepest = replace(ref, path=ref.path[:known])
    part = ref.path[known]
    lacks = f" without '{clip(part)}'" if isinstance(part, str) and isinstance(value, Mapping) else ""
    return f"'{deepest}' is {describe(value)}{lacks}"
