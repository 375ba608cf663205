from lorchestra.run_store.memory import InMemoryRunStore
from lorchestra.run_store.protocol import PrivateValues, Pruned, RunFilter, RunStore
from lorchestra.run_store.sqlite import SqliteRunStore

__all__ = ["InMemoryRunStore", "PrivateValues", "Pruned", "RunFilter", "RunStore", "SqliteRunStore"]
