"""Where a secret is kept. The secret itself is fetched late, at the point of use, and is kept nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from lorchestra.errors import ConfigurationError

MAX_BYTES = 64 * 1024

_EXPECTED = "expected `env:NAME` or `file:/path`"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_PATH = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]{1,4096}")


@dataclass(frozen=True, slots=True, repr=False)
class SecretRef:
    """A reference may be shown; in a file it is the text `env:NAME` or `file:path`."""

    kind: Literal["env", "file"]
    name: str

    @classmethod
    def parse(cls, value: object) -> SecretRef:
        """Raises ValueError, which never quotes what was found: it may be the secret itself."""
        if isinstance(value, SecretRef):
            return value
        kind, separator, name = value.partition(":") if isinstance(value, str) else ("", "", "")
        if separator and kind == "env":
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"found `env:` without the name of a variable; {_EXPECTED}")
            return cls("env", name)
        if separator and kind == "file":
            if not _PATH.fullmatch(name) or name != name.strip():
                raise ValueError(f"found `file:` without a path; {_EXPECTED}")
            return cls("file", name)
        raise ValueError(f"found a plain value; {_EXPECTED}")

    def below(self, folder: Path) -> SecretRef:
        """The same reference, with a relative path taken from the folder."""
        return self if self.kind == "env" else SecretRef("file", str(folder / self.name))

    def reveal(self, environ: Mapping[str, str]) -> str:
        """The secret. Raises ConfigurationError, which names the reference only, when there is none."""
        text, reason = self._variable(environ) if self.kind == "env" else self._file_text()
        # Raised here, outside of every `except`, so that no error that holds the content comes along as its context.
        if reason:
            raise ConfigurationError(f"the secret `{self}` cannot be used: {reason}")
        return text

    def _variable(self, environ: Mapping[str, str]) -> tuple[str, str | None]:
        if self.name not in environ:
            return "", "the environment variable is not set"
        text = environ[self.name]
        return text, None if text else "the environment variable is empty"

    def _file_text(self) -> tuple[str, str | None]:
        try:
            with Path(self.name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            text = data.decode("utf-8").rstrip("\r\n")
        except FileNotFoundError:
            return "", "there is no such file"
        except OSError as error:
            return "", f"the file cannot be read ({error.strerror or type(error).__name__})"
        except UnicodeDecodeError:
            return "", "the file is not UTF-8 text"
        if len(data) > MAX_BYTES:
            return "", f"the file is larger than {MAX_BYTES // 1024} KiB"
        return text, None if text else "the file is empty"

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def __repr__(self) -> str:
        return f"SecretRef({str(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$", "examples": ["env:LLM_API_KEY"]}
