"""Keyed digests: two equal values show as equal, and without the key nothing else shows."""

from __future__ import annotations

import hashlib

from lorchestra.json_value import canonical_bytes


class Digester:
    def __init__(self, key: bytes) -> None:
        self.key = key

    def value(self, value: object) -> str:
        return self.data(canonical_bytes(value))

    def data(self, data: bytes) -> str:
        return "hmac:" + hashlib.blake2b(data, digest_size=16, key=self.key).hexdigest()
