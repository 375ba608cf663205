"""Reads a request to run, as anybody may have made it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from lorchestra.errors import EnvelopeError, Problem, did_you_mean
from lorchestra.schemas import Envelope

_EXPECTED = {
    "job_id": "expected the id of a job",
    "smoke_namespace": "expected 1 to 20 small letters and digits, such as 'test1', and not 'prod'",
    "read_from": "expected 'prod', beside a smoke_namespace; any other run reads production anyway",
}


def read(envelope: Mapping[str, Any], *, services: Collection[str] = ()) -> Envelope:
    """Raises EnvelopeError with every mistake, and without values. `services` are keys that are no part of it."""
    known = (*Envelope.model_fields, *services)
    problems = [
        Problem(
            found=f"unknown envelope key '{key}'",
            expected=f"expected one of {', '.join(known)}",
            hint=did_you_mean(str(key), known),
        )
        for key in envelope
        if key not in known
    ]
    request = None
    try:
        request = Envelope(**{key: value for key, value in envelope.items() if key in Envelope.model_fields})
    except ValidationError as error:
        problems += [
            Problem(
                found=f"the envelope's '{'.'.join(map(str, detail['loc']))}' is not valid",
                expected=_EXPECTED.get(str(detail["loc"][0]), detail["msg"]),
            )
            for detail in error.errors(include_input=False, include_context=False, include_url=False)
        ]
    except RecursionError:
        problems.append(Problem(found="the envelope nests too deeply", expected="expected flatter values"))
    if problems or request is None:
        # Outside the `except`: the foreign message quotes the value.
        raise EnvelopeError(*problems)
    return request
