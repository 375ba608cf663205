"""The settings of a project: `lorchestra.yaml`, its profiles, and what the environment overrides."""

from lorchestra.settings.loading import FILE_NAME, Settings, find, load

__all__ = ["FILE_NAME", "Settings", "find", "load"]
