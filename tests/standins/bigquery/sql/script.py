"""Splits a script of BigQuery's procedural language into a tree of statements."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from tests.standins.bigquery.errors import Refusal, unsupported


@dataclass(frozen=True, slots=True)
class Sql:
    text: str


@dataclass(frozen=True, slots=True)
class Begin: ...


@dataclass(frozen=True, slots=True)
class Commit: ...


@dataclass(frozen=True, slots=True)
class Rollback: ...


@dataclass(frozen=True, slots=True)
class Declare:
    names: tuple[str, ...]
    type: str | None
    default: str | None


@dataclass(frozen=True, slots=True)
class Set:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Assert:
    condition: str
    message: str


@dataclass(frozen=True, slots=True)
class Raise:
    message: str | None


@dataclass(frozen=True, slots=True)
class If:
    branches: tuple[tuple[str | None, tuple[Node, ...]], ...]


@dataclass(frozen=True, slots=True)
class Block:
    body: tuple[Node, ...]
    handler: tuple[Node, ...] | None


Node: TypeAlias = Sql | Begin | Commit | Rollback | Declare | Set | Assert | Raise | If | Block

_UNSUPPORTED = frozenset({"LOOP", "WHILE", "REPEAT", "FOR", "CALL", "EXECUTE", "EXPORT", "LEAVE", "BREAK", "RETURN"})


# Not sqlglot's tokens: its tokenizer swallows what follows ELSEIF.
_TOKEN = re.compile(
    r"""
      (?P<skip> \s+ | --[^\n]* | \#[^\n]* | /\*.*?\*/ )
    | (?P<raw> (?:r|rb|br) (?: \'\'\'.*?\'\'\' | \"\"\".*?\"\"\" | '[^'\n]*' | "[^"\n]*" ) )
    | (?P<text> b? (?: \'\'\'(?:\\.|.)*?\'\'\' | \"\"\"(?:\\.|.)*?\"\"\" | '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" ) )
    | (?P<name> `[^`]*` )
    | (?P<word> \w+ )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


def parse(text: str) -> tuple[Node, ...]:
    reader = _Reader(text, [token for token in _TOKEN.finditer(text) if token.lastgroup != "skip"])
    nodes = reader.block(frozenset())
    if not nodes:
        raise Refusal("invalidQuery", "Syntax error: Unexpected end of script")
    return nodes


class _Reader:
    def __init__(self, text: str, tokens: list[re.Match[str]]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0

    def block(self, ends: frozenset[str]) -> tuple[Node, ...]:
        nodes: list[Node] = []
        while self._at < len(self._tokens):
            if self._word() in ends:
                return tuple(nodes)
            if self._take(";"):
                continue
            nodes.append(self._node())
        if ends:
            raise self._error("end of script")
        return tuple(nodes)

    def _node(self) -> Node:
        word = self._word()
        match word:
            case "BEGIN":
                return self._begin()
            case "COMMIT" | "ROLLBACK":
                self._at += 1
                self._take("TRANSACTION")
                self._until(";")
                return Commit() if word == "COMMIT" else Rollback()
            case "IF":
                return self._if()
            case "DECLARE":
                return self._declare()
            case "SET":
                self._at += 1
                name = self._name()
                self._need("=")
                return Set(name, self._until(";"))
            case "ASSERT":
                return self._assert()
            case "RAISE":
                return self._raise()
            case _ if word in _UNSUPPORTED:
                raise unsupported(f"the scripting statement {word}")
            case _:
                return Sql(self._until(";"))

    def _begin(self) -> Node:
        self._at += 1
        if self._take("TRANSACTION") or self._word() in {";", ""}:
            self._take(";")
            return Begin()
        body = self.block(frozenset({"END", "EXCEPTION"}))
        handler = None
        if self._take("EXCEPTION"):
            for word in ("WHEN", "ERROR", "THEN"):
                self._need(word)
            handler = self.block(frozenset({"END"}))
        self._need("END")
        return Block(body, handler)

    def _if(self) -> If:
        self._at += 1
        branches: list[tuple[str | None, tuple[Node, ...]]] = []
        condition: str | None = self._until("THEN")
        while True:
            if condition is not None:
                self._need("THEN")
            ends = frozenset({"END"}) if condition is None else frozenset({"ELSEIF", "ELSE", "END"})
            branches.append((condition, self.block(ends)))
            if self._take("ELSEIF"):
                condition = self._until("THEN")
            elif self._take("ELSE"):
                condition = None
            else:
                self._need("END")
                self._need("IF")
                return If(tuple(branches))

    def _declare(self) -> Declare:
        self._at += 1
        names = [self._name()]
        while self._take(","):
            names.append(self._name())
        kind = self._until("DEFAULT", ";") or None
        default = self._until(";") if self._take("DEFAULT") else None
        return Declare(tuple(names), kind, default)

    def _assert(self) -> Assert:
        self._at += 1
        condition = self._until("AS", ";")
        message = self._until(";") if self._take("AS") else "'Assertion failed'"
        return Assert(condition, message)

    def _raise(self) -> Raise:
        self._at += 1
        if not self._take("USING"):
            return Raise(None)
        self._need("MESSAGE")
        self._need("=")
        return Raise(self._until(";"))

    def _until(self, *words: str) -> str:
        """The text up to one of these words (or the end), those inside parentheses and CASE not counted."""
        start, depth = self._at, 0
        while self._at < len(self._tokens):
            word = self._word()
            if depth == 0 and word in words:
                break
            depth += {"(": 1, "CASE": 1, ")": -1}.get(word, 0)
            depth -= word == "END" and depth > 0
            self._at += 1
        if start == self._at:
            return ""
        return self._text[self._tokens[start].start() : self._tokens[self._at - 1].end()]

    def _word(self) -> str:
        if self._at >= len(self._tokens):
            return ""
        token = self._tokens[self._at]
        # Text in quotes is no keyword.
        return token.group().upper() if token.lastgroup in {"word", "sign"} else "'"

    def _take(self, word: str) -> bool:
        taken = self._word() == word
        self._at += taken
        return taken

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise self._error(self._word() or "end of script", expected=word)

    def _name(self) -> str:
        if self._at >= len(self._tokens):
            raise self._error("end of script")
        name = self._tokens[self._at].group().strip("`")
        self._at += 1
        return name

    def _error(self, found: str, *, expected: str = "") -> Refusal:
        wanted = f"Expected {expected} but got" if expected else "Unexpected"
        return Refusal("invalidQuery", f"Syntax error: {wanted} {found}")
