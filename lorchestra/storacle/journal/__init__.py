"""A small storacle for tests, demos and first trials."""

from lorchestra.storacle.journal.service import JournalService

__all__ = ["JournalService"]
