"""The jobs of the project: one that goes well through every op, and one step for every way in which one can fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from . import canary
from .content.callables.trouble import WAYS

Step: TypeAlias = dict[str, Any]

GOOD_PAYLOAD = ("row", "cursor", "stats", "said", "prompt", "system", "payload")
GOOD_CTX = ("ctx",)
SEEN = "@run.stated.stats.seen"
"""Where the payload stands once more, where only the run can look."""

TROUBLE_PAYLOAD = ("words", "payload")
BESIDE = ("answer", "secret-env", "secret-file", "source")


def call(step_id: str, callable: str, **params: Any) -> Step:
    return {"step_id": step_id, "op": "call", "params": {"callable": callable, **params}}


def build(step_id: str, items: Any, **params: Any) -> Step:
    rows = {"method": "table.upsert", "dataset": "raw", "table": "rows", "key_columns": ["idem_key"]}
    return {"step_id": step_id, "op": "plan.build", "params": {"items": items, **rows, **params}}


def submit(step_id: str, plan: str) -> Step:
    return {"step_id": step_id, "op": "storacle.submit", "params": {"plan": f"@run.{plan}.plan"}}


def ask(step_id: str, **params: Any) -> Step:
    return {"step_id": step_id, "op": "compute.llm", "params": params}


def child(step_id: str, job_id: str, **params: Any) -> Step:
    return {"step_id": step_id, "op": "job.run", "params": {"job_id": job_id, **params}}


def good_payload(*, rejects: bool = False) -> dict[str, Any]:
    return {
        "row": canary.nested("row"),
        "cursor": canary.of("cursor"),
        "stats": canary.nested("stats"),
        "said": canary.of("said"),
        "prompt": "\n".join(canary.texts("prompt")),
        "system": "\n".join(canary.texts("system")),
        "rejects": rejects,
        **canary.nested("payload"),
    }


def good_ctx() -> dict[str, Any]:
    return {"who": canary.nested("ctx")}


GOOD: tuple[Step, ...] = (
    call(
        "rows",
        "rows",
        name="cursor",
        row="@payload.row",
        cursor="@payload.cursor",
        stats="@payload.stats",
        said="@payload.said",
        rejects="@payload.rejects",
        who="@ctx.who",
    ),
    call("again", "passed", items="@run.rows.items", seen="@run.rows.stats"),
    {
        **build("persist", "@run.rows.items"),
        "idempotency": {
            "scope": "semantic",
            "semantic_key_ref": "@payload.values.word",
            "include_payload_hash": True,
        },
    },
    submit("write", "persist"),
    build("persist_again", "@run.again.items", table="rows_again", batch_size=2),
    submit("write_again", "persist_again"),
    call("back", "passed", read={"dataset": "raw", "table": "rows", "where": {"value": "@payload.row.values.spaced"}}),
    build("copy", "@run.back.items", table="copies", field_defaults={"who": "@ctx.who", "stats": "@run.rows.stats"}),
    submit("write_copy", "copy"),
    ask("model", prompt="@payload.prompt", system="@payload.system"),
    ask(
        "model_again",
        messages=[{"role": "user", "content": "@run.model.text"}, {"role": "assistant", "content": "@payload.prompt"}],
        model="@payload.values.word",
    ),
    {**call("unless", "trouble", way="loud", words="@ctx.who"), "if": "@payload.values.word == @ctx.who.values.word"},
    child(
        "child",
        "good_child",
        payload={"said": "@run.model.text", "again": "@run.model_again.text", "row": "@payload.row"},
        ctx="@ctx.who",
    ),
)

GOOD_CHILD: tuple[Step, ...] = (
    call(
        "made",
        "rows",
        name="of_child",
        row="@payload.row",
        cursor="@ctx.values",
        stats="@payload",
        said={"it": "@payload.said"},
    ),
    build("keep", "@run.made.items", table="rows_of_child", field_defaults={"said": "@payload.said"}),
    submit("write", "keep"),
)


def troubles() -> tuple[Step, ...]:
    """Every step fails, or goes well on the brink, and none keeps the others from running."""
    return tuple({**step, "continue_on_error": True} for step in _troubles())


def trouble_payload() -> dict[str, Any]:
    words = canary.texts("words")
    identifier = canary.of("payload")["word"]
    return {
        "words": words,
        "identifier": identifier,
        "number": canary.of("payload")["number"],
        "values": canary.of("payload"),
        "rows": [{"idem_key": f"r{number}", "word": word} for number, word in enumerate(words)],
        "odd_rows": [{"idem_key": "r0", **dict.fromkeys(words, 1)}],
        "other_rows": [{"idem_key": "r1", "word": 1}],
        "keyless": [{"word": word} for word in words],
        "where": {identifier: {identifier: identifier}},
        "asks": {"dataset": "raw", "table": "rows", identifier: identifier},
        "asks_where": {"dataset": "raw", "table": "rows", "where": {identifier: {"in": {identifier: 1}}}},
        "asks_table": {"dataset": identifier, "table": canary.of("payload")["spaced"]},
        "names": [identifier, canary.of("payload")["upper"]],
        "map": {identifier: canary.of("payload")["upper"]},
        "states": [{"key": "s", "value": identifier, identifier: 1}],
        "asserts": [{"dataset": "raw", "table": "rows", "where": {identifier: identifier}, "count": 3, identifier: 1}],
        "files": {"schema": f"{identifier}.json"},
        "files_outside": {word: f"../{word}" for word in words},
    }


def _troubles() -> list[Step]:
    steps: list[Step] = [call("stated", "passed", seen="@payload")]
    steps += [call(way, "trouble", way=way, words="@payload.words") for way in WAYS]
    retry = {"max_retries": 2, "initial_delay_seconds": 0.001}
    steps.append({**call("retried", "trouble", way="transient", words="@payload.words"), "retry": retry})
    steps += _streams()
    steps += _plans()
    steps += _reads()
    steps += [
        ask("llm_refused", prompt="@payload.words[0]", system="@payload.words[3]"),
        ask("llm_forbidden", prompt="@payload.words[1]"),
        ask("llm_broken", prompt="@payload.words[2]"),
        ask("llm_nonsense", prompt="@payload.words[4]"),
        ask("llm_no_json", prompt="@payload.words[5]"),
        ask("llm_no_text", prompt=f"{SEEN}.number"),
        ask("llm_no_messages", messages=f"{SEEN}.values"),
        ask("llm_odd_messages", messages=[{"role": f"{SEEN}.identifier", "content": f"{SEEN}.number"}]),
        ask("llm_too_hot", prompt="x", temperature=f"{SEEN}.number", max_tokens=f"{SEEN}.identifier"),
        child("bad_child", "bad_child", payload="@payload"),
        child("no_payload", "bad_child", payload="@payload.identifier"),
        child("no_path", "bad_child", payload={"words": "@payload.words"}),
        call("upstream", "passed", seen="@run.value_error.stats"),
        call("no_such_output", "passed", seen="@run.stated.stats.nothing"),
    ]
    return steps


def _streams() -> list[Step]:
    return [
        call("raising", "trouble", way="in_generator", words="@payload.words"),
        call(
            "swallowing", "trouble", way="swallows_the_step_before", words="@payload.words", items="@run.raising.items"
        ),
        call("making", "trouble", way="made_type", words="@payload.words"),
        call(
            "swallowing_too",
            "trouble",
            way="swallows_the_step_before",
            words="@payload.words",
            items="@run.making.items",
        ),
    ]


def _plans() -> list[Step]:
    plans: Mapping[str, tuple[Any, dict[str, Any]]] = {
        "seeded": ("@payload.rows", {"method": "table.insert", "table": "seeded"}),
        "conflicting": ("@payload.other_rows", {"method": "table.insert", "table": "seeded"}),
        "keyless": ("@payload.keyless", {"method": "table.insert"}),
        "misnamed": ("@payload.odd_rows", {}),
        "lacking": ("@payload.rows", {"fields": f"{SEEN}.names", "key_columns": ["idem_key"]}),
        "lacking_fields": ("@payload.rows", {"fields": ["idem_key", f"{SEEN}.identifier"]}),
        "keyed_by_value": ("@payload.rows", {"key_columns": f"{SEEN}.names"}),
        "mapped": ("@payload.rows", {"field_map": f"{SEEN}.map", "fields": ["idem_key", "nothing"]}),
        "map_of_wrong_type": ("@payload.rows", {"field_map": f"{SEEN}.identifier"}),
        "table_of_value": ("@payload.rows", {"table": f"{SEEN}.values.spaced", "dataset": f"{SEEN}.identifier"}),
        "counted_by_value": (
            "@payload.rows",
            {"batch_size": f"{SEEN}.number", "batch_bytes": f"{SEEN}.values.fraction"},
        ),
        "items_of_wrong_type": ("@payload.words", {}),
        "states": ("@payload.states", {"method": "state.put"}),
        "asserts": ("@payload.asserts", {"method": "assert.rows"}),
        "unsupported": ("@payload.states", {"method": "sql.execute"}),
    }
    steps = []
    for name, (items, params) in plans.items():
        steps += [build(f"plan_{name}", items, **params), submit(f"submit_{name}", f"plan_{name}")]
    steps.append(build("plan_of_trouble", "@run.in_close.items"))
    return steps


def _reads() -> list[Step]:
    return [
        call("read_where", "passed", read={"dataset": "raw", "table": "seeded", "where": "@payload.where"}),
        call("read_asked", "reader", asks="@payload.asks"),
        call("read_asked_where", "reader", asks="@payload.asks_where"),
        call("read_asked_table", "reader", asks="@payload.asks_table"),
        call("read_asked_text", "reader", asks="@payload.identifier"),
        call("read_text", "passed", read="@payload.identifier"),
        call("read_files", "reader", files="@payload.files"),
        call("read_files_outside", "reader", files="@payload.files_outside"),
        call("read_files_text", "reader", files="@payload.identifier"),
    ]


def gate(then: str, **limits: Any) -> tuple[Step, ...]:
    """A job that does as it is told until a file opens the gate, with a finished step before that."""
    held = call("held", "gate", words="@payload.words", gate="@ctx.gate", then=then)
    return (
        call("before", "passed", seen="@payload.words"),
        {**held, "retry": {"max_retries": 1, "initial_delay_seconds": 0.001}, **limits},
        build("keep", "@run.held.items"),
        submit("write", "keep"),
        call("after", "passed", seen="@run.before.stats.seen"),
    )


BAD_CHILD: tuple[Step, ...] = (
    call("loud", "trouble", way="loud", words="@payload.words"),
    call("never", "passed", seen="@payload.identifier"),
)

_REFUSED_LATER = ("conflicting", "misnamed", "table_of_value", "states", "asserts", "unsupported")
HARMLESS = frozenset(
    {"stated", "in_thread", "in_del", "swallows_the_step_before", "plan_seeded", "submit_seeded"}
    | {f"plan_{name}" for name in _REFUSED_LATER}
)
"""Steps that come through: what fails there fails in the step after it, or where nobody waits for it."""

_WORD = canary.of("source")["word"]
_SPACED = canary.of("source")["spaced"]
BROKEN: Mapping[str, str] = {
    "unparsable": f"def execute(params):\n    {_WORD} {_WORD} = (\n",
    "unimportable": f"from json import {_WORD}\n",
    "unknown_module": f"import {_WORD}\n",
    "unloadable": f"raise type({_WORD!r}, (ImportError,), {{}})({_SPACED!r})\n",
    "misplaced": f"raise SyntaxError({_SPACED!r}, (__file__ + {_WORD!r}, 1, 1, {_SPACED!r}))\n",
    "exiting": f"raise SystemExit({_SPACED!r})\n",
    "of_no_shape": f"execute = type({_WORD!r}, (), {{}})()\n",
    "of_no_declaration": f"reads = type({_WORD!r}, (), {{}})()\ndef execute(params): ...\n",
}
"""Callables that cannot be loaded, by name."""
