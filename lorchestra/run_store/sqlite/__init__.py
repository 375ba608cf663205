from lorchestra.run_store.sqlite.store import SqliteRunStore

__all__ = ["SqliteRunStore"]
