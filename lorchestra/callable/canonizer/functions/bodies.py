"""Bodies of a message: base64url, charsets, and texts that were made for HTML."""

from __future__ import annotations

import base64
import binascii
import html
from typing import Any

from lorchestra.callable.canonizer.functions import charsets


def decode_body(data: object, charset: object = None) -> dict[str, Any]:
    """An EmailBodyValue of RFC 8621: the text, and whether its encoding was at fault."""
    text, is_whole = "", True
    if isinstance(data, str):
        name = charsets.known(charset)
        raw, is_base64 = _bytes_of(data)
        text, is_text = charsets.decoded(raw, name)
        is_whole = is_base64 and is_text and (name is not None or not charset)
    return {"value": text.replace("\r\n", "\n"), "isEncodingProblem": not is_whole, "isTruncated": False}


def unescape_html(text: object) -> str | None:
    """A text with its character references replaced."""
    if not isinstance(text, str):
        return None
    return html.unescape(text) if "&" in text else text


def _bytes_of(data: str) -> tuple[bytes, bool]:
    """The bytes that base64url stands for, as many as can be read, and whether those are all."""
    try:
        raw = "".join(data.split()).rstrip("=").encode("ascii")
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True), True
    except (binascii.Error, UnicodeError):
        pass
    kept = "".join(letter for letter in data if letter.isascii() and (letter.isalnum() or letter in "-_"))
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    return base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4)), False
