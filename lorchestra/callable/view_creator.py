"""`view_creator`: the view that a file of `sql/views/` makes, as an item for `view.create`.

Params: `view`, the name of the file and of the view.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import StringConstraints

from lorchestra.callable import step_params
from lorchestra.callable.context import CallableContext
from lorchestra.errors import DefinitionError, Location, Problem
from lorchestra.schemas.value import Value

_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
_HEAD = re.compile(
    rf"""(?: \s | --[^\n]*(?:\n|$) | \#[^\n]*(?:\n|$) | /\*.*?\*/ )*
         CREATE \s+ OR \s+ REPLACE \s+ VIEW \s+
         (?: `?(?P<dataset>{_IDENTIFIER})`? \s* \. \s* `?(?P<table>{_IDENTIFIER})`? )
         \s+ AS \b \s*""",
    re.ASCII | re.DOTALL | re.IGNORECASE | re.VERBOSE,
)


class _Params(Value):
    view: Annotated[str, StringConstraints(pattern=rf"^{_IDENTIFIER}$")]


def resources(params: Mapping[str, Any]) -> Mapping[str, str]:
    return {"view": _file(step_params.parse(_Params, params))}


def execute(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
    given = step_params.parse(_Params, params)
    head, query = _taken_apart(context.resources["view"].content, _file(given))
    if head["table"] != given.view:
        raise _mistake(_file(given), "a view in a file of another name", f"expected a view named '{given.view}'")
    # The query alone, for the op says itself what it makes: `lorchestra jobs validate` checks the file as a whole.
    return {"items": [{"dataset": head["dataset"], "table": head["table"], "sql": query}]}


def _file(params: _Params) -> str:
    return f"sql/views/{params.view}.sql"


def _taken_apart(content: bytes, file: str) -> tuple[re.Match[str], str]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _mistake(file, "a file that is not UTF-8", "expected SQL in UTF-8") from None
    head = _HEAD.match(text)
    query = text[head.end() :].strip().removesuffix(";").rstrip() if head else ""
    if head is None or not query:
        expected = "expected CREATE OR REPLACE VIEW, a dataset and a name, AS and a query"
        raise _mistake(file, "a file that makes no view", expected)
    return head, query


def _mistake(file: str, found: str, expected: str) -> DefinitionError:
    return DefinitionError(Problem(found=found, expected=expected, location=Location(file, 1, 1)))
