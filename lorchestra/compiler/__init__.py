"""A definition becomes an instance: compiled, checked, and divided into segments. Pure."""

from lorchestra.compiler.compilation import compile_job, problems_of
from lorchestra.compiler.leaving_out import leave_out

__all__ = ["compile_job", "leave_out", "problems_of"]
