"""Groups in the file of ``local:``: what a member can do that was removed meanwhile."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from micro_rt.backends.local import groups, log
from micro_rt.backends.local.sqlite_file import SQLiteFile


def test_a_member_that_was_removed_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "home" / "default" / "broker.db"
    connection = SQLiteFile(path, log.SCHEMA).connect()
    connection.execute("BEGIN IMMEDIATE")
    log.make(connection, "t", 2, 60.0)
    lifetimes = groups.Lifetimes("boot", 10.0)
    joined = groups.join(connection, log.Topics({}), lifetimes, 7, "g", {"t": ()}, 0.0)
    ids = list(joined.ids.values())
    assert list(groups.claim(connection, 7, joined.group, ids[:1], "earliest", {})) == ids[:1]
    lifetimes.remove_dead(connection, 11.0)
    assert groups.claim(connection, 7, joined.group, ids, "earliest", {}) == {}
    connection.execute("COMMIT")
    connection.close()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM owners").fetchone() == (0,)
    other.close()
