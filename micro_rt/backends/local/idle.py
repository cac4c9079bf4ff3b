"""Groups without members, and when the file of ``local:`` forgets them.

Rules:

- A group is idle from the moment its last member leaves or is removed. The file then notes, for each topic that the group has a
  position or a beginning in, how many records the topic had accepted.
- Retention is the clock. If a topic has deleted more records than it had accepted at that moment, then retention has deleted a record
  that was accepted later, so the group has been idle for longer than the topic keeps records. No clock is read here: a clock that
  jumps forgets no group. A topic in which nothing is published forgets no group either.
- The topic with the longest retention decides. All records that were there when the group became idle have run out by then, in every
  topic. A group that returns counts as a new one.
- A position must not be beyond the first record that is kept, or the group would read records again. If one is, the group is noted
  anew, and waits for as long again.
- A group that remembers nothing, neither a position nor a beginning, is forgotten at once.
- A note holds for one revision of the group. Each member that joins or leaves changes that, also one of an earlier version of
  micro-rt, which knows nothing of notes.
"""

from __future__ import annotations

from micro_rt.backends.local.sqlite import Connection

__all__ = ["forget", "note", "outlived"]

_FORGOTTEN = 200
"""Groups forgotten in one transaction, so that others get their turn."""


def note(connection: Connection, group: int) -> None:
    """Notes that a group has no members any more; forgets it if it remembers nothing.

    Args:
        connection: within a write.
        group: the id of a group without members; there may be none.
    """
    connection.execute("DELETE FROM idle WHERE grp = ?", (group,))
    connection.execute(
        """INSERT INTO idle (grp, topic, accepted, revision)
        SELECT groups.id, known.topic, (SELECT sum(next) FROM partitions WHERE partitions.topic = known.topic), groups.revision
        FROM groups JOIN (
            SELECT DISTINCT topic FROM partitions WHERE id IN (
                SELECT partition FROM positions WHERE grp = :grp UNION SELECT partition FROM starts WHERE grp = :grp
            )
        ) AS known WHERE groups.id = :grp""",
        {"grp": group},
    )
    if connection.execute("SELECT 1 FROM idle WHERE grp = ?", (group,)).fetchone() is None:
        _remove(connection, group)


def outlived(connection: Connection) -> list[int]:
    """Returns the ids of the topics that ``forget`` has something to do for."""
    rows = connection.execute(
        """SELECT id FROM topics WHERE EXISTS (
            SELECT 1 FROM idle WHERE topic = topics.id
            AND accepted < (SELECT sum(first) FROM partitions WHERE partitions.topic = topics.id)
        )"""
    )
    return [id for (id,) in rows]


def forget(connection: Connection, topic: int) -> bool:
    """Forgets some of the groups that have been idle for longer than a topic keeps records.

    Args:
        connection: within a write.
        topic: the id of the topic.

    Returns:
        Whether there are more.
    """
    rows = connection.execute(
        """SELECT groups.id, idle.revision = groups.revision,
            EXISTS (SELECT 1 FROM members WHERE members.grp = groups.id),
            EXISTS (
                SELECT 1 FROM positions JOIN partitions ON partitions.id = partition
                WHERE positions.grp = groups.id AND position > first
            ) OR EXISTS (
                SELECT 1 FROM starts JOIN partitions ON partitions.id = partition
                WHERE starts.grp = groups.id AND position > first
            ),
            EXISTS (
                SELECT 1 FROM idle AS other JOIN topics AS longer ON longer.id = other.topic
                WHERE other.grp = groups.id AND longer.retention > topics.retention
            )
        FROM idle JOIN groups ON groups.id = idle.grp JOIN topics ON topics.id = idle.topic
        WHERE idle.topic = ? AND accepted < (SELECT sum(first) FROM partitions WHERE partitions.topic = idle.topic) LIMIT ?""",
        (topic, _FORGOTTEN),
    ).fetchall()
    for group, current, has_members, would_repeat, another_decides in rows:
        # Whatever is done, this note is not found a second time.
        if has_members:
            connection.execute("DELETE FROM idle WHERE grp = ?", (group,))
        elif would_repeat or not current:
            note(connection, group)
        elif another_decides:
            connection.execute("DELETE FROM idle WHERE grp = ? AND topic = ?", (group, topic))
        else:
            _remove(connection, group)
    return len(rows) == _FORGOTTEN


def _remove(connection: Connection, group: int) -> None:
    connection.execute("DELETE FROM positions WHERE grp = ?", (group,))
    connection.execute("DELETE FROM starts WHERE grp = ?", (group,))
    connection.execute("DELETE FROM groups WHERE id = ?", (group,))  # Its notes with it.
