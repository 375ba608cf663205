"""What is done now and then to keep the file from growing without end."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from lorchestra.storacle.backends.moments import timestamp

_EVERY = timedelta(days=1)
_MOST = 50_000


def forget_old_ops(connection: sqlite3.Connection, *, now: datetime, keep: timedelta) -> int:
    """Take ops out of the ledger that were applied too long ago to be sent again; how many. At most once a day."""
    done = connection.execute("SELECT done FROM _upkeep WHERE task = 'ledger'").fetchone()
    if done is not None and done[0] > timestamp(now - _EVERY):
        return 0
    connection.execute("INSERT OR REPLACE INTO _upkeep (task, done) VALUES ('ledger', ?)", (timestamp(now),))
    # Bounded, since whoever opens a run waits for it; the next day takes the rest.
    return connection.execute(
        "DELETE FROM _ledger WHERE (namespace, key) IN "
        "(SELECT namespace, key FROM _ledger WHERE applied_at < ? LIMIT ?)",
        (timestamp(now - keep), _MOST),
    ).rowcount
