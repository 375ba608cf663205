"""Whether a step, taken by itself, is asked for as its op needs: its params, and what its idempotency is keyed by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lorchestra.compiler.outputs import SHAPES, stream_of
from lorchestra.errors import CompileError, DefinitionError, Problem, did_you_mean
from lorchestra.language import references
from lorchestra.language.json_check import describe
from lorchestra.language.reference_text import clip
from lorchestra.language.references import CtxRef, ListNode, Literal, MapNode, Node, PayloadRef, RunRef, StaticRef
from lorchestra.schemas import StepDef
from lorchestra.schemas.job_def import IdempotencyConfig, IdempotencyScope


def param_problems(step: StepDef, params: Mapping[str, Node]) -> Iterator[Problem]:
    """`params` holds those that parse. Paths are relative to the params."""
    shape = SHAPES[step.op]
    if shape.params is not None:
        yield from (_unknown(step, name, shape.params) for name in step.params if name not in shape.params)
    yield from _missing(step)
    for name in sorted(shape.plain & params.keys()):
        if flaw := _plain_flaw(params[name]):
            yield Problem(found=f"'{name}' is {flaw}", expected="expected a plain text, no reference", path=(name,))
    takes = shape.takes
    if takes and not takes.may_be_value and takes.name in params and not isinstance(params[takes.name], RunRef):
        yield Problem(
            found=f"'{takes.name}' is no stream", expected=f"expected {stream_of(takes.producer)}", path=(takes.name,)
        )


def value_problems(step: StepDef, params: Mapping[str, Node], values: Mapping[str, object]) -> Iterator[Problem]:
    """Of the params as resolved: what stands in place of a stream has to be a list. Paths as above."""
    takes = SHAPES[step.op].takes
    if takes is None or not takes.may_be_value or takes.name not in params:
        return
    if not isinstance(params[takes.name], RunRef) and not isinstance(values[takes.name], list):
        yield Problem(
            found=f"'{takes.name}' is {describe(values[takes.name])}",
            expected=f"expected {stream_of(takes.producer)} or a list of objects",
            path=(takes.name,),
        )


def idempotency_problems(config: IdempotencyConfig) -> Iterator[Problem]:
    """Paths are relative to the config."""
    text = config.semantic_key_ref
    if text is None:
        if config.scope is not IdempotencyScope.RUN:
            yield Problem(
                found=f"scope '{config.scope}' has no 'semantic_key_ref'",
                expected="expected a @ctx or @payload reference to the key",
            )
        return
    if config.scope is IdempotencyScope.RUN:
        yield Problem(
            found="scope 'run' has a 'semantic_key_ref', which it does not use",
            expected="expected scope 'semantic' or 'explicit', or no key",
            path=("semantic_key_ref",),
        )
    try:
        key_ref(text)
    except DefinitionError as error:
        yield from (replace(problem, path=("semantic_key_ref",)) for problem in error.problems)


def key_ref(text: str) -> StaticRef:
    """The reference to a semantic key. Raises DefinitionError for what is not known before the run."""
    ref = references.parse(text)
    if isinstance(ref, (CtxRef, PayloadRef)):
        return ref
    raise CompileError(
        Problem(found=f"'{clip(text)}' names no key", expected="expected a @ctx or @payload reference to it")
    )


def _unknown(step: StepDef, name: str, known: frozenset[str]) -> Problem:
    return Problem(
        found=f"a {step.op} step has no param '{clip(name)}'",
        expected=f"known: {', '.join(sorted(known))}",
        hint=did_you_mean(name, sorted(known)),
        path=(name,),
    )


def _missing(step: StepDef) -> Iterator[Problem]:
    for alternatives in SHAPES[step.op].required:
        if not alternatives & step.params.keys():
            names = " or ".join(f"'{name}'" for name in sorted(alternatives))
            yield Problem(found=f"step '{step.step_id}' has no {names}", expected=f"a {step.op} step needs it")


def _plain_flaw(node: Node) -> str | None:
    match node:
        case Literal(str(text)):
            if not text:
                return "empty"
            # Read as it stands in a compiled template, where such a text has one more '@'.
            return "a text that begins with '@'" if text.startswith("@") else None
        case Literal(value):
            return describe(value)
        case ListNode():
            return "a list"
        case MapNode():
            return "an object"
        case _:
            return "a reference"
