"""A definition becomes an instance: compiled, checked, and divided into segments. Pure."""

from lorchestra.compiler.compilation import compile_job, problems_of

__all__ = ["compile_job", "problems_of"]
