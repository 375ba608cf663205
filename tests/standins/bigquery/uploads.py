"""The two ways to send the rows of a load job: one multipart request, or a session of chunks."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser

from tests.standins.bigquery.errors import JSONObject, Refusal

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)\Z")


def parse_multipart(headers: Mapping[str, str], body: bytes) -> tuple[JSONObject, bytes]:
    head = f"Content-Type: {headers.get('content-type', '')}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + body)
    parts = message.get_payload()
    if not message.is_multipart() or not isinstance(parts, list) or len(parts) != 2:
        raise Refusal("invalid", "Multipart upload must have two parts")
    # Not the parser's own payload: it may normalise line ends of data.
    boundary = message.get_boundary("").encode()
    sections = body.split(b"--" + boundary)
    metadata, data = (section.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n") for section in sections[1:3])
    try:
        return json.loads(metadata), data
    except ValueError as error:
        raise Refusal("invalid", "The metadata of the upload is not JSON") from error


@dataclass(slots=True)
class Upload:
    metadata: JSONObject
    received: bytearray = field(default_factory=bytearray)
    answer: JSONObject | None = None


class Uploads:
    """Resumable sessions: a chunk that came twice counts once, and a finished session repeats its answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._sessions: dict[str, Upload] = {}

    def open(self, metadata: JSONObject) -> str:
        with self._lock:
            session = f"upload{next(self._ids)}"
            self._sessions[session] = Upload(metadata)
            return session

    def get(self, session: str) -> Upload:
        if session not in self._sessions:
            raise Refusal("notFound", f"Not found: upload {session}")
        return self._sessions[session]

    def receive(self, session: str, content_range: str | None, body: bytes) -> bool:
        """Whether the upload is complete."""
        upload = self.get(session)
        if content_range is None:
            upload.received[:] = body
            return True
        matched = _RANGE.match(content_range)
        if matched is None:
            raise Refusal("invalid", f"Invalid Content-Range: {content_range}")
        first, last, total = matched.groups()
        if first is not None:
            if int(first) > len(upload.received) or int(last) - int(first) + 1 != len(body):
                raise Refusal("invalid", f"Content-Range {content_range} does not follow what came before")
            upload.received[int(first) :] = body
        return total != "*" and int(total) == len(upload.received)
