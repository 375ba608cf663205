"""Canonical objects out of raw ones: validated, transformed by JSONata, and validated.

What is read has an `idem_key` and a `payload`. With `mode: validate_only` each gives its `validation_status`; else its
canonical rows. What cannot be processed is rejected, and says where and by which rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lorchestra.callable.canonizer.params import CanonizerParams

if TYPE_CHECKING:
    from lorchestra.callable.context import CallableContext

__all__ = ["execute", "resources"]


def resources(params: Mapping[str, Any]) -> Mapping[str, str]:
    return CanonizerParams.parse(params).files


def execute(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
    # Imported here because the engines take longer to import than a job takes to compile.
    from lorchestra.callable.canonizer.stage import Stage

    return {"items": Stage(CanonizerParams.parse(params), context).items()}
