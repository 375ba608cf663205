"""Pipelines: found in their files, checked, and made into jobs, so that the one executor runs them."""
