"""A transform as it lies in its folder: JSONata, and what it says of itself."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorchestra.callable.canonizer.iglu import SchemaAddress
from lorchestra.callable.canonizer.params import CanonizerParams, TransformAddress
from lorchestra.errors import ConfigurationError


class Metadata(BaseModel):
    """`metadata.json`. `item_id` names the field that tells several rows of one record apart; without it, their
    number does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    description: str = ""
    schema_in: str
    schema_out: str
    canonical_format: str
    item_id: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Transform:
    """Raises ConfigurationError for one that is not what it says it is, or not what the step asks for."""

    def __init__(self, address: TransformAddress, source: bytes, metadata: bytes) -> None:
        self.address = address
        self.metadata = _read(address, metadata)
        found = hashlib.sha256(source).hexdigest()
        if found != self.metadata.sha256:
            raise ConfigurationError(
                f"{address.folder}/transform.jsonata has not the checksum that its metadata.json says; a transform is "
                f"not changed under its version: add a new one, or, while it is in no use, put {found} into "
                "metadata.json"
            )
        if (self.metadata.name, self.metadata.version) != (address.name, address.version):
            raise ConfigurationError(f"{address.folder}/metadata.json is about another transform, or another version")
        try:
            self.source = source.decode()
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{address.folder}/transform.jsonata is not UTF-8") from error
        self.schema_out = SchemaAddress.parse(self.metadata.schema_out, param="schema_out")

    def require_fit(self, params: CanonizerParams) -> None:
        """That the step's schemas are those that the transform was written for."""
        for name, asked in (("schema_in", params.schema_in), ("schema_out", params.schema_out)):
            written = getattr(self.metadata, name)
            if asked is not None and str(asked) != written:
                raise ConfigurationError(
                    f"the step's '{name}' is {asked}, and {self.address} was written for {written}; take that one, or "
                    "another version of the transform"
                )


def _read(address: TransformAddress, content: bytes) -> Metadata:
    try:
        document: Any = orjson.loads(content)
        return Metadata.model_validate(document)
    except (orjson.JSONDecodeError, ValidationError) as error:
        places = (
            [".".join(map(str, one["loc"])) for one in error.errors()] if isinstance(error, ValidationError) else []
        )
        what = f"is not right at {', '.join(places)}" if places else "is not JSON"
        raise ConfigurationError(
            f"{address.folder}/metadata.json {what}; it has name, version, schema_in, schema_out, canonical_format and "
            "sha256"
        ) from error
