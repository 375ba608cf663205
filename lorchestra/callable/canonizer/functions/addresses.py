"""Lists of addresses (RFC 5322): quoted names, comments, groups, and what people make of them."""

from __future__ import annotations

import re
from typing import TypeAlias

from lorchestra.callable.canonizer.functions.headers import decode_header

Address: TypeAlias = dict[str, str | None]

# Nearly all addresses have one of these forms.
_PLAIN = re.compile(r"\s*(?:([^\"(<>,:;@\\=]+?)\s*<([^\"()<>,:;\s\\]+)>|([^\"()<>,:;\s\\]+))\s*")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<word>=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)
      | "(?P<quoted>(?:[^"\\]|\\.)*)"?
      | <(?P<angle>(?:[^<>"]|"(?:[^"\\]|\\.)*")*)>?
      | (?P<comment>\()
      | (?P<special>[,:;])
      | (?P<atom>[^\s"<(,:;]+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ROUTE = re.compile(r"^\s*@[^:]*:")


def parse_addresses(values: object) -> list[Address] | None:
    """The addresses of one header or of several, in order. Members of a group stand for it; names are decoded."""
    if isinstance(values, str):
        return _parsed(values)
    if not isinstance(values, list):
        return None
    return [address for value in values if isinstance(value, str) for address in _parsed(value)]


def _parsed(text: str) -> list[Address]:
    plain = _PLAIN.fullmatch(text)
    if plain:
        return [{"name": plain[1], "email": plain[2] or plain[3]}]
    found: list[Address] = []
    one = _Reading()
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            # A bracket that closes nothing.
            place += 1
            continue
        place = token.end()
        match token.lastgroup:
            case "comment":
                said, place = _comment(text, place)
                one.comments.append(said)
            case "special" if token["special"] == ":":
                # What stood before it names a group, and its members follow.
                one = _Reading()
            case "special":
                found += one.ended()
                one = _Reading()
            case kind:
                one.take(kind, token)
    return found + one.ended()


class _Reading:
    """One address, as far as it has been read."""

    def __init__(self) -> None:
        self.comments: list[str] = []
        self._words: list[tuple[str, str]] = []
        self._angle: str | None = None
        self._is_apart = True

    def take(self, kind: str | None, token: re.Match[str]) -> None:
        match kind:
            case "space":
                self._is_apart = True
                return
            case "angle":
                self._angle = _ROUTE.sub("", token["angle"])
            case "quoted":
                self._add(_ESCAPED.sub(r"\1", token["quoted"]), token[0])
            case _:
                self._add(token[0], token[0])
        self._is_apart = False

    def _add(self, said: str, written: str) -> None:
        """A word as it reads and as it was written: a name is what it reads, and an address keeps its quotes."""
        if self._is_apart or not self._words:
            self._words.append((said, written))
        else:
            self._words[-1] = (self._words[-1][0] + said, self._words[-1][1] + written)

    def ended(self) -> list[Address]:
        said = " ".join(said for said, _ in self._words)
        if self._angle is not None:
            email, name = "".join(self._angle.split()), said
        elif said:
            # An address without brackets may hold spaces around its dots; what is no address stays readable.
            email, name = ("".join(written for _, written in self._words) if "@" in said else said), ""
        else:
            return []
        name = decode_header(name) or decode_header(" ".join(self.comments)) or ""
        return [{"name": name or None, "email": email}] if email or name else []


def _comment(text: str, place: int) -> tuple[str, int]:
    """What a comment says, and where it ends; comments may hold comments."""
    depth, said = 1, []
    while place < len(text):
        letter = text[place]
        place += 1
        if letter == "\\" and place < len(text):
            said.append(text[place])
            place += 1
            continue
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            break
        said.append(letter)
    return "".join(said).strip(), place
