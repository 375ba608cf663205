"""The callables that come with lorchestra: the name of each, and the module it is in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

BUILT_IN: Mapping[str, str] = MappingProxyType({})
