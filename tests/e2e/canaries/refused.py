"""Requests that are refused before anything runs: the step of a job, and the payload that does not fit it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import canary, jobs

WORD = str(canary.of("payload")["word"])
NUMBER = canary.of("payload")["number"]
SPACED = str(canary.of("payload")["spaced"])
ROWS = {"items": [], "method": "table.upsert", "dataset": "raw", "table": "rows", "key_columns": ["idem_key"]}


def _deep(levels: int) -> Any:
    value: Any = WORD
    for _ in range(levels):
        value = {WORD: [value]}
    return value


REFUSED: Mapping[str, tuple[jobs.Step, str]] = {
    "missing path": (jobs.call("a", "passed", seen="@payload.nothing.there"), json.dumps({"nothing": {WORD: WORD}})),
    "wrong step of a path": (jobs.call("a", "passed", seen="@payload.word.there"), json.dumps({"word": WORD})),
    "condition on a text": ({**jobs.call("a", "passed"), "if": "@payload.word"}, json.dumps({"word": WORD})),
    "condition on two types": (
        {**jobs.call("a", "passed"), "if": "@payload.word < @payload.number"},
        json.dumps({"word": SPACED, "number": NUMBER}),
    ),
    "too large a number": (jobs.call("a", "passed"), json.dumps({WORD: {SPACED: [1 << 70]}})),
    "no number": (jobs.call("a", "passed"), json.dumps({SPACED: [{WORD: float("nan")}]})),
    "half a letter": (jobs.call("a", "passed"), json.dumps({WORD: "\ud800" + WORD, "\udc00": WORD})),
    "too deep": (jobs.call("a", "passed"), json.dumps(_deep(60))),
    "far too deep": (jobs.call("a", "passed"), '{"a":' * 100_000 + json.dumps(WORD)),
    "no object": (jobs.call("a", "passed"), json.dumps([WORD, SPACED])),
    "no JSON": (jobs.call("a", "passed"), json.dumps({WORD: SPACED})[:-1]),
    "JSON and more": (jobs.call("a", "passed"), json.dumps({WORD: SPACED}) + WORD),
    "items that are none": (jobs.build("a", "@payload.word"), json.dumps({"word": WORD})),
    "batches of another size": (jobs.build("a", [], batch_size="@payload.n"), json.dumps({"n": NUMBER})),
    "bytes by a text": (jobs.build("a", [], batch_bytes="@payload.n"), json.dumps({"n": WORD})),
    "fields without the key": (jobs.build("a", [], key_columns="@payload.k", fields=["x"]), json.dumps({"k": [WORD]})),
    "a map that is none": (jobs.build("a", [], field_map="@payload.m"), json.dumps({"m": {WORD: {SPACED: 1}}})),
    "a key that is none": (
        {
            **jobs.build("a", []),
            "idempotency": {"scope": "semantic", "semantic_key_ref": "@payload.key"},
        },
        json.dumps({"key": {WORD: SPACED}}),
    ),
    "a prompt that is none": (jobs.ask("a", prompt="@payload.n"), json.dumps({"n": NUMBER})),
    "a role that is none": (
        jobs.ask("a", messages="@payload.m"),
        json.dumps({"m": [{"role": WORD, "content": SPACED}]}),
    ),
    "params of an unknown kind": (jobs.ask("a", messages="@payload.m"), json.dumps({"m": [{WORD: SPACED}]})),
    "a version that is none": (jobs.child("a", "refused", version="@payload.v"), json.dumps({"v": WORD})),
}
