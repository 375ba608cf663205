"""A script of BigQuery's procedural language, and its parameters; what it raises is read back from here as well."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

from lorchestra.storacle.backends.bigquery.jobs import Parameters
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.plain_values import can_be_compared
from lorchestra.storacle.service import RpcError

# BigQuery takes scripts of up to one mebibyte.
_MOST = 1_000_000
_RAISED = re.compile(r"storacle:([a-z_]+):(-?\d+):(-?\d+)")


class Raised(NamedTuple):
    """What a script stopped with: a word, and the numbers of the op and of the row."""

    word: str
    op: int
    row: int


@dataclass(slots=True)
class Script:
    statements: list[str] = field(default_factory=list)
    _parameters: list[ScalarQueryParameter | ArrayQueryParameter] = field(default_factory=list)

    def add(self, *statements: str) -> None:
        self.statements += statements

    def bind(self, type_: str, value: Any) -> str:
        """The parameter that has the value. Raises RpcError (invalid params) for a text with half a character."""
        _check(value)
        name = f"p{len(self._parameters)}"
        self._parameters.append(ScalarQueryParameter(name, type_, value))
        return f"@{name}"

    def bind_all(self, type_: str, values: list[Any]) -> str:
        for value in values:
            _check(value)
        name = f"p{len(self._parameters)}"
        self._parameters.append(ArrayQueryParameter(name, type_, values))
        return f"@{name}"

    @property
    def parameters(self) -> Parameters:
        return self._parameters

    @property
    def sql(self) -> str:
        """Raises RpcError (too large) for more than BigQuery takes."""
        # What opens a block is not ended there.
        text = "".join(f"{one}\n" if one.endswith(" THEN") else f"{one};\n" for one in self.statements)
        if len(text) > _MOST:
            raise RpcError(ErrorCode.TOO_LARGE)
        return text


def _check(value: Any) -> None:
    if isinstance(value, str) and not can_be_compared(value):
        raise RpcError(ErrorCode.INVALID_PARAMS)


def stop(word: str, *, op: int = -1, row: str = "-1") -> str:
    """The statement that ends a script, and with it the transaction; `row` is SQL for a number."""
    return f"RAISE USING MESSAGE = CONCAT('storacle:{word}:{op}:', CAST({row} AS STRING))"


def stop_if(condition: str, word: str, *, op: int = -1, row: str = "-1") -> str:
    return f"IF {condition} THEN {stop(word, op=op, row=row)}; END IF"


def raised(error: BaseException) -> Raised | None:
    found = _RAISED.search(str(error))
    return None if found is None else Raised(found[1], int(found[2]), int(found[3]))
