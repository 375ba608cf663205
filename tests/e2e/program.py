"""Runs pieces of Python, each with the place it stands at, as one program."""

from __future__ import annotations

import json
import sys
from typing import Any

if __name__ == "__main__":
    names: dict[str, Any] = {"__name__": "__main__"}
    for place, text in json.load(sys.stdin):
        exec(compile(text, place, "exec"), names)
