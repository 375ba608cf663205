from lorchestra.storacle.backends.sqlite.backend import SqliteBackend

__all__ = ["SqliteBackend"]
