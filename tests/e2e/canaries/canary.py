"""Values that can be told apart from everything else, and a search that finds them however they were written down."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SHAPES = ("word", "upper", "file", "spaced", "unicode", "long", "number", "fraction")
NUMBERS = ("number", "fraction")

_ALGORITHMS: tuple[Callable[[bytes], Any], ...] = (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.sha512)
_BLAKE_BYTES = (16, 32, 64)
_SHOWN_OF_A_DIGEST = 12
_WINDOW = 12
"""Digests are shown cut short."""


@dataclass(frozen=True)
class Canary:
    """One value of one channel, such as `prompt`. Its token is in it whole, and nowhere else in the world."""

    channel: str
    shape: str

    @cached_property
    def token(self) -> str:
        seed = hashlib.sha256(f"{self.channel}/{self.shape}".encode()).hexdigest()
        match self.shape:
            case "number":
                return "7" + str(int(seed[:16], 16))[:14].ljust(14, "3")
            case "fraction":
                return "6" + str(int(seed[:16], 16))[:9].ljust(9, "3") + ".125"
            case "unicode":
                return "".join(chr(0x4E00 + int(seed[at : at + 3], 16)) for at in range(0, 24, 3))
        # Letters that no hexadecimal number has, so that no digest holds a token by chance.
        letters = "z" + "".join(chr(ord("g") + int(digit, 16)) for digit in seed[:14])
        return letters.upper() if self.shape == "upper" else letters

    @cached_property
    def value(self) -> str | int | float:
        token = self.token
        match self.shape:
            case "number":
                return int(token)
            case "fraction":
                return float(token)
            case "word":
                return token
            case "upper":
                return f"LORCHESTRA_{token}"
            case "file":
                return f"{token}.jsonl"
            case "unicode":
                return f"Zoë 😀 {token}"
            case "long":
                # At both ends, so that what is cut short still holds it.
                return f"{token}{' lorem ipsum' * 400} {token}"
            case _:
                return f"said \"{token}\"\n\tand '{token}' twice\\"

    @cached_property
    def needles(self) -> Mapping[str, bytes]:
        """How it can be written, by the name of the encoding. Those that fold case are in lower case."""
        written: dict[str, bytes] = {}
        for name, needle in _written(self.token):
            if needle not in written.values():
                written[name] = needle
        return written | dict(_digests(self.value))


@dataclass(frozen=True)
class Document:
    """A value made of canaries: its digests without a key tell it as well."""

    name: str
    value: Any

    @cached_property
    def needles(self) -> Mapping[str, bytes]:
        return dict(_digests(self.value))


@dataclass(frozen=True, order=True)
class Finding:
    where: str
    what: str
    encoding: str
    around: str
    """What stands there, for whoever has to find out how it came there."""


def of(channel: str) -> dict[str, Any]:
    """The canaries of a channel, by shape."""
    return {shape: Canary(channel, shape).value for shape in SHAPES}


def texts(channel: str) -> list[str]:
    return [str(Canary(channel, shape).value) for shape in SHAPES]


def nested(channel: str) -> dict[str, Any]:
    """The canaries of a channel as keys, and as values at several depths."""
    values = of(channel)
    keys = {str(value): index for index, value in enumerate(of(f"{channel}-key").values())}
    return {"values": values, "keys": keys, "deep": [[{"list": list(values.values())}], {"again": [keys]}]}


def channels(*names: str) -> tuple[Canary, ...]:
    """Every canary of the channels, and of their keys."""
    return tuple(Canary(name, shape) for one in names for name in (one, f"{one}-key") for shape in SHAPES)


def search(places: Mapping[str, bytes], wanted: tuple[Canary | Document, ...]) -> list[Finding]:
    """Where what is wanted stands in the places, names of places included."""
    found = []
    for where, content in places.items():
        raw = where.encode() + b"\n" + content
        folded = raw.lower()
        beginnings, folded_beginnings = _windows(raw), _windows(folded)
        for one in wanted:
            what = one.name if isinstance(one, Document) else f"{one.channel}/{one.shape}"
            for encoding, needle in one.needles.items():
                is_exact = encoding.startswith("base64")
                if needle[:_WINDOW] not in (beginnings if is_exact else folded_beginnings):
                    continue
                at = (raw if is_exact else folded).find(needle)
                if at >= 0:
                    around = raw[max(0, at - 60) : at + len(needle) + 20].decode(errors="replace")
                    found.append(Finding(where, what, encoding, around))
    return sorted(found)


def _windows(content: bytes) -> set[bytes]:
    """Every piece as long as the shortest needle: to look a needle up here is quicker than to read all of it again."""
    return {content[at : at + _WINDOW] for at in range(len(content) - _WINDOW + 1)}


def _written(token: str) -> Iterator[tuple[str, bytes]]:
    data = token.encode()
    yield "text", token.lower().encode()
    yield "json", json.dumps(token)[1:-1].lower().encode()
    yield "escaped", token.encode("unicode_escape").lower()
    yield "url", urllib.parse.quote(token, safe="").lower().encode()
    yield "html", token.encode("ascii", "xmlcharrefreplace").lower()
    yield "bytes", repr(data)[2:-1].lower().encode()
    yield "utf-16-le", token.encode("utf-16-le").lower()
    yield "utf-16-be", token.encode("utf-16-be").lower()
    if token.isdigit():
        yield "grouped", f"{int(token):,}".encode()
        yield "hex number", f"{int(token):x}".encode()
    # Here the case of the letters makes a difference.
    for case, data in (("", token.encode()), ("upper ", token.upper().encode()), ("lower ", token.lower().encode())):
        yield f"{case}hex", data.hex().encode()
        for offset in range(3):
            yield f"base64 of {case}text at {offset}", _aligned(base64.b64encode, data, offset)
            yield f"base64 for URLs of {case}text at {offset}", _aligned(base64.urlsafe_b64encode, data, offset)


def _aligned(encode: Callable[[bytes], bytes], data: bytes, offset: int) -> bytes:
    """What is the same of the data in base64, whatever stands before and behind it."""
    encoded = encode(b"\0" * offset + data).rstrip(b"=")
    first = -(-offset * 8 // 6)
    last = (offset + len(data)) * 8 // 6
    return encoded[first:last]


def _digests(value: Any) -> Iterator[tuple[str, bytes]]:
    sources = {"json": json.dumps(value, sort_keys=True), "compact": _canonical(value)}
    sources["ascii"] = json.dumps(value, sort_keys=True, separators=(",", ":"))
    if isinstance(value, (str, int, float)):
        sources["text"] = str(value)
        sources["text as json"] = _canonical(str(value))
    for form, source in sources.items():
        data = source.encode()
        for algorithm in _ALGORITHMS:
            digest = algorithm(data)
            yield f"{digest.name} of {form}", digest.hexdigest()[:_SHOWN_OF_A_DIGEST].encode()
            yield f"base64 of {digest.name} of {form}", base64.b64encode(digest.digest())[:_SHOWN_OF_A_DIGEST]
        for size in _BLAKE_BYTES:
            digest = hashlib.blake2b(data, digest_size=size)
            yield f"blake2b-{size} of {form}", digest.hexdigest()[:_SHOWN_OF_A_DIGEST].encode()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
