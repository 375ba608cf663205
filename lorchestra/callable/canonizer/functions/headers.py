"""Headers of a message: encoded words, parameters, dates, and ids."""

from __future__ import annotations

import binascii
import re
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes

from lorchestra.callable.canonizer.functions import charsets

_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_ID = re.compile(r"<\s*([^<>\s]+)\s*>")


def decode_header(text: object) -> str | None:
    """A text of a header (RFC 2047), with the words decoded that say how they are encoded; others stay."""
    if not isinstance(text, str):
        return None
    if "\n" in text:
        text = _FOLD.sub("", text)
    text = text.strip()
    return _decoded_words(text) if "=?" in text else text


def header_parameter(text: object, name: object) -> str | None:
    """A parameter of a header such as `text/plain; charset="utf-8"` (RFC 2045, RFC 2231)."""
    if not isinstance(text, str) or not isinstance(name, str):
        return None
    found = re.search(rf';\s*{re.escape(name)}(\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^";\s]+))', text, re.IGNORECASE)
    if found is None:
        return None
    is_extended, quoted, plain = found.groups()
    value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    if not is_extended:
        return value
    charset, _, rest = value.partition("'")
    return charsets.decoded(unquote_to_bytes(rest.partition("'")[2]), charsets.known(charset))[0]


def parse_date(text: object) -> str | None:
    """A date of RFC 5322, as RFC 3339 has it, in the time zone it was written in."""
    if not isinstance(text, str):
        return None
    try:
        moment = parsedate_to_datetime(text)
        written = moment.isoformat(timespec="seconds")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # Without a zone the time is UTC, of a sender who does not say where.
    return f"{written}Z" if moment.tzinfo is None else written.replace("+00:00", "Z")


def parse_ids(values: object) -> list[str] | None:
    """The ids in angle brackets, of one header or of several."""
    texts = [values] if isinstance(values, str) else values if isinstance(values, list) else []
    found = [one for text in texts if isinstance(text, str) for one in _ID.findall(text)]
    return found or None


def _decoded_words(text: str) -> str:
    parts: list[str] = []
    # Words side by side may share a character, when they have the same charset.
    pending: tuple[str, bytes] | None = None
    end = 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        read = _bytes_of(word)
        if pending is not None and (read is None or between.strip() or read[0] != pending[0]):
            parts.append(charsets.decoded(pending[1], pending[0])[0])
            pending = None
            is_beside = read is not None and not between.strip()
            parts.append("" if is_beside else between)
        elif pending is None:
            parts.append(between)
        if read is None:
            parts.append(word[0])
        else:
            pending = read if pending is None else (read[0], pending[1] + read[1])
        end = word.end()
    if pending is not None:
        parts.append(charsets.decoded(pending[1], pending[0])[0])
    return "".join((*parts, text[end:]))


def _bytes_of(word: re.Match[str]) -> tuple[str, bytes] | None:
    """The charset of an encoded word and its bytes; None for one that cannot be read, which stays as it is."""
    charset, encoding, data = charsets.known(word[1]), word[2], word[3]
    if charset is None:
        return None
    try:
        raw = data.encode("ascii")
        if encoding in "qQ":
            return charset, binascii.a2b_qp(raw.replace(b"_", b"=20"))
        return charset, binascii.a2b_base64(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, UnicodeError):
        return None
