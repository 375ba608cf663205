"""Tokens of next pages: each says after what its page begins, and for which question it was given."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from lorchestra.demo.providers.messages import Refusal


def write(after: Any, question: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([_mark(question), after]).encode()).decode()


def read(token: str | None, question: str) -> Any:
    """What the page begins after; None for the first. Raises Refusal for a token of another question."""
    if not token:
        return None
    try:
        mark, after = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        mark, after = None, None
    if mark != _mark(question):
        raise Refusal(400, "badRequest", "Invalid pageToken")
    return after


def _mark(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]
