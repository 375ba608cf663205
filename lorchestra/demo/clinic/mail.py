"""Mails, as the Gmail interface gives them in full."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from typing import Any, TypeAlias

Part: TypeAlias = dict[str, Any]
Message: TypeAlias = dict[str, Any]


def text(body: str, *, kind: str = "plain", charset: str = "utf-8") -> Part:
    content = body.encode(charset, "replace")
    return {
        "mimeType": f"text/{kind}",
        "filename": "",
        "headers": [_header("Content-Type", f'text/{kind}; charset="{charset}"')],
        "body": {"size": len(content), "data": base64.urlsafe_b64encode(content).decode()},
    }


def attachment(name: str, *, size: int) -> Part:
    return {
        "mimeType": "application/pdf",
        "filename": name,
        "headers": [
            _header("Content-Type", f'application/pdf; name="{name}"'),
            _header("Content-Disposition", f'attachment; filename="{name}"'),
        ],
        "body": {"attachmentId": _hex(name, str(size)), "size": size},
    }


def multipart(kind: str, *parts: Part) -> Part:
    return {
        "mimeType": f"multipart/{kind}",
        "filename": "",
        "headers": [_header("Content-Type", f'multipart/{kind}; boundary="{_hex(kind, str(len(parts)))}"')],
        "body": {"size": 0},
        "parts": list(parts),
    }


def address(name: str | None, email: str) -> str:
    """As it stands in a header: what is not ASCII is encoded."""
    if name is None:
        return email
    shown = f'"{name}"' if name.isascii() else Header(name, "utf-8").encode()
    return f"{shown} <{email}>"


def message(
    account: str,
    number: str,
    *,
    at: datetime,
    headers: Mapping[str, str],
    body: Part,
    labels: Sequence[str] = ("INBOX",),
    thread: str | None = None,
) -> Message:
    """One mail in the mailbox of an account. `number` names it there."""
    message_id = _hex(account, number)
    own = [_header(name, value) for name, value in headers.items()]
    return {
        "id": message_id,
        "threadId": _hex(account, thread) if thread else message_id,
        "labelIds": list(labels),
        "snippet": _snippet(body),
        "historyId": str(int(at.timestamp())),
        "internalDate": str(int(at.timestamp() * 1000)),
        "sizeEstimate": 600 + sum(_sizes(body)),
        "payload": _numbered({**body, "headers": [*own, *body["headers"]]}, ""),
    }


def common_headers(*, sender: str, to: str, subject: str, at: datetime, message_id: str, **more: str) -> dict[str, str]:
    headers = {
        "From": sender,
        "To": to,
        "Subject": subject if subject.isascii() else Header(subject, "utf-8").encode(),
        "Date": format_datetime(at),
        "Message-ID": f"<{message_id}@mail.example>",
    }
    return {**headers, **{name.replace("_", "-"): value for name, value in more.items()}}


def _numbered(part: Part, part_id: str) -> Part:
    parts = [_numbered(child, f"{part_id}.{index}".lstrip(".")) for index, child in enumerate(part.get("parts", ()))]
    return {**part, "partId": part_id, **({"parts": parts} if parts else {})}


def _sizes(part: Part) -> Iterable[int]:
    yield part["body"]["size"]
    for child in part.get("parts", ()):
        yield from _sizes(child)


def _snippet(part: Part) -> str:
    if part["mimeType"] == "text/plain":
        return base64.urlsafe_b64decode(part["body"]["data"]).decode(errors="replace")[:80]
    return next((found for child in part.get("parts", ()) if (found := _snippet(child))), "")


def _header(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def _hex(*texts: str) -> str:
    return hashlib.sha256(":".join(texts).encode()).hexdigest()[:16]
