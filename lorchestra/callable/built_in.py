"""The callables that come with lorchestra: the name of each, and where it is, written as for an entry point.

The hash of each covers its module, or all of its package: what works with a package is named as a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "canonizer": "lorchestra.callable.canonizer",
        "injest": "lorchestra.callable.injest",
        "finalform": "lorchestra.callable.finalform",
        "measurement_projector": "lorchestra.callable.finalform:measurement_projector",
        "observation_projector": "lorchestra.callable.finalform:observation_projector",
        "view_creator": "lorchestra.callable.view_creator",
        "bq_reader": "lorchestra.callable.bq_reader",
        "file_renderer": "lorchestra.callable.file_renderer",
    }
)
