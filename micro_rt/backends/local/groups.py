"""Groups in the file of ``local:``: their members, the targets and owners of partitions, and the committed positions.

These functions run in the threads of the database. The ids of members and groups are random numbers, so that ids of another file match
none here, and a group never gets the id of one that was forgotten. ``idle`` forgets groups without members.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from micro_rt.backends.local import idle
from micro_rt.backends.local.log import Topics, offset_at
from micro_rt.backends.local.sqlite import Connection
from micro_rt.broker.base import GroupOffset, Partition, Start
from micro_rt.broker.embedded import no_group, not_there
from micro_rt.broker.groups.base import balance
from micro_rt.kit.ids import new_number
from micro_rt.logs import logger

__all__ = [
    "Joined",
    "Lifetimes",
    "claim",
    "commit",
    "expire",
    "group_revision",
    "join",
    "lag",
    "leave",
    "notes",
    "offsets",
    "ownership",
    "release",
    "types",
]


_log = logger("micro_rt.broker")


@dataclass(frozen=True, slots=True)
class Joined:
    """What a member learns when it joins."""

    group: int
    ids: Mapping[Partition, int]
    """The ids of the partitions of its topics."""


class Lifetimes:
    """Decides when members are taken for dead: by the boot clock, and after every boot.

    Args:
        epoch: names the start of the clock.
        session: seconds.
    """

    def __init__(self, epoch: str, session: float) -> None:
        self._epoch = epoch
        self.session = session

    def begin(self, connection: Connection, member: int, group: int, now: float) -> None:
        """Makes a member."""
        connection.execute("INSERT INTO members VALUES (?, ?, ?, ?)", (member, group, self._epoch, now + self.session))

    def renew(self, connection: Connection, members: Iterable[int], now: float) -> list[int]:
        """Extends the sessions of members, even if they have run out; returns the members that were removed already."""
        gone: list[int] = []
        for member in members:
            row = connection.execute(
                "UPDATE members SET expires = ? WHERE id = ? AND epoch = ?", (now + self.session, member, self._epoch)
            )
            if not row.rowcount:
                gone.append(member)
        return gone

    def next_death(self, connection: Connection) -> float:
        """Returns when the session of the next member ends if it is not renewed. Returns 0 if a member is of another boot."""
        row = connection.execute(
            "SELECT min(CASE WHEN epoch = ? THEN expires ELSE 0 END) FROM members", (self._epoch,)
        ).fetchone()
        return float("inf") if row[0] is None else row[0]

    def remove_dead(self, connection: Connection, now: float) -> None:
        """Removes the members whose sessions have run out, and gives their partitions to the others."""
        dead = connection.execute(
            "SELECT id, grp FROM members WHERE epoch <> ? OR expires <= ?", (self._epoch, now)
        ).fetchall()
        for member, _ in dead:
            connection.execute("DELETE FROM members WHERE id = ?", (member,))
        for group in {group for _, group in dead}:
            _balance(connection, group)


def join(
    connection: Connection,
    topics: Topics,
    lifetimes: Lifetimes,
    member: int,
    group: str,
    names: Mapping[str, Collection[str]],
    now: float,
) -> Joined:
    """Makes a member of a group, which reads these topics and announces these types of each.

    Raises:
        NotFound: one of the topics does not exist.
    """
    ids: dict[Partition, int] = {}
    for name in sorted(names):
        partitions = topics.partitions(connection, name)
        if not partitions:
            raise not_there(name)
        ids.update({Partition(name, number): id for number, id in enumerate(partitions)})
    connection.execute("INSERT OR IGNORE INTO groups (id, name) VALUES (?, ?)", (new_number(62), group))
    (number,) = connection.execute("SELECT id FROM groups WHERE name = ?", (group,)).fetchone()
    lifetimes.begin(connection, member, number, now)
    connection.executemany(
        "INSERT INTO member_topics (member, topic, types) SELECT ?, id, ? FROM topics WHERE name = ?",
        [(member, json.dumps(sorted(types)) if types else None, name) for name, types in names.items()],
    )
    _balance(connection, number)
    return Joined(number, ids)


def leave(connection: Connection, member: int, group: int) -> None:
    """Ends a membership."""
    connection.execute("DELETE FROM members WHERE id = ?", (member,))
    if connection.execute("SELECT 1 FROM members WHERE grp = ?", (group,)).fetchone() is None:
        # A group that ended in good order begins anew. If its last member is killed instead, the beginning stays, so that no records
        # are skipped.
        connection.execute("DELETE FROM starts WHERE grp = ?", (group,))
    _balance(connection, group)


def expire(connection: Connection, member: int) -> None:
    """Ends the session of a member at once: the first process that notices gives its partitions to the others."""
    connection.execute("UPDATE members SET expires = 0 WHERE id = ?", (member,))


def group_revision(connection: Connection, member: int) -> int | None:
    """Returns the revision of a member's group. Returns None if the member was removed."""
    row = connection.execute(
        "SELECT revision FROM groups JOIN members ON grp = groups.id WHERE members.id = ?", (member,)
    ).fetchone()
    return None if row is None else row[0]


def ownership(connection: Connection, member: int, group: int) -> tuple[set[int], set[int], set[int]]:
    """Returns the ids of the partitions that a member owns, of those that it is to read, and of those among them without an owner."""
    owned = {id for (id,) in connection.execute("SELECT partition FROM owners WHERE member = ?", (member,))}
    wanted = dict(
        connection.execute(
            """SELECT targets.partition, owners.member FROM targets
            LEFT JOIN owners ON owners.grp = targets.grp AND owners.partition = targets.partition
            WHERE targets.member = ? AND targets.grp = ?""",
            (member, group),
        ).fetchall()
    )
    return owned, set(wanted), {id for id, owner in wanted.items() if owner is None}


def types(connection: Connection, group: int, topics: Collection[str]) -> dict[str, set[str]]:
    """Returns the types that the members of a group announce, of these topics."""
    found: dict[str, set[str]] = {topic: set() for topic in topics}
    for _, topic, announced in _members(connection, group):
        if topic in found:
            found[topic].update(announced)
    return found


def claim(
    connection: Connection, member: int, group: int, ids: Iterable[int], start: Start, begin: Mapping[int, int]
) -> dict[int, int]:
    """Takes partitions that have no owner or are the member's own.

    Args:
        connection: within a write.
        member: the id of the member.
        group: the id of its group.
        ids: the ids of the partitions.
        start: where the group begins.
        begin: the offsets at which partitions begin, if they are known already.

    Returns:
        The partitions that the member owns now, with the offsets to read next; none if the member was removed.
    """
    taken: dict[int, int] = {}
    if group_revision(connection, member) is None:
        return taken
    name = start.isoformat() if isinstance(start, datetime) else str(start)
    for id in ids:
        connection.execute("INSERT OR IGNORE INTO owners VALUES (?, ?, ?)", (group, id, member))
        (owner,) = connection.execute(
            "SELECT member FROM owners WHERE grp = ? AND partition = ?", (group, id)
        ).fetchone()
        if owner != member:
            continue
        position = _position(connection, group, id, name)
        if position is None:
            position = begin[id] if id in begin else offset_at(connection, id, start)
            connection.execute("INSERT OR REPLACE INTO starts VALUES (?, ?, ?, ?)", (group, id, name, position))
        taken[id] = position
    return taken


def release(connection: Connection, member: int, group: int, ids: Iterable[int]) -> None:
    """Gives partitions up."""
    connection.executemany(
        "DELETE FROM owners WHERE grp = ? AND partition = ? AND member = ?", [(group, id, member) for id in ids]
    )
    _changed(connection, group)


def commit(connection: Connection, member: int, group: int, positions: Mapping[int, tuple[int, str]]) -> list[int]:
    """Commits positions with their notes. Skips partitions that the member does not own, and returns them."""
    owned = {id for (id,) in connection.execute("SELECT partition FROM owners WHERE member = ?", (member,))}
    connection.executemany(
        """INSERT INTO positions (grp, partition, position, note) VALUES (?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET position = excluded.position, note = excluded.note""",
        [(group, id, *committed) for id, committed in positions.items() if id in owned],
    )
    return [id for id in positions if id not in owned]


def notes(connection: Connection, group: int, ids: Iterable[int]) -> dict[int, str]:
    """Returns the notes of those partitions that have a committed position."""
    found: dict[int, str] = {}
    for id in ids:
        row = connection.execute("SELECT note FROM positions WHERE grp = ? AND partition = ?", (group, id)).fetchone()
        if row is not None:
            found[id] = row[0]
    return found


def lag(connection: Connection, group: int, ids: Iterable[int], cursors: Mapping[int, int]) -> dict[int, int]:
    """Returns how many records follow the committed position, or the beginning, of each partition."""
    found: dict[int, int] = {}
    for id in ids:
        row = connection.execute(
            """SELECT first, next, coalesce(positions.position, starts.position) FROM partitions
            LEFT JOIN positions ON positions.grp = ? AND positions.partition = partitions.id
            LEFT JOIN starts ON starts.grp = ? AND starts.partition = partitions.id
            WHERE partitions.id = ?""",
            (group, group, id),
        ).fetchone()
        if row is not None:
            first, next, position = row
            found[id] = max(0, next - max(first, cursors[id] if position is None else position))
    return found


def offsets(connection: Connection, group: str, topics: Collection[str]) -> dict[Partition, GroupOffset]:
    """Returns the offsets of a group in these topics. Without topics, in all that it reads or has positions for.

    Raises:
        NotFound: the group or a topic does not exist.
    """
    row = connection.execute("SELECT id FROM groups WHERE name = ?", (group,)).fetchone()
    if row is None:
        raise no_group(group)
    found: dict[Partition, GroupOffset] = {}
    names: set[str] = set()
    for name, number, first, next, committed, member, known in connection.execute(
        """SELECT name, number, first, next, coalesce(positions.position, starts.position), owners.member,
            positions.grp IS NOT NULL OR starts.grp IS NOT NULL OR owners.grp IS NOT NULL OR targets.grp IS NOT NULL
        FROM partitions JOIN topics ON topics.id = topic
        LEFT JOIN positions ON positions.grp = :grp AND positions.partition = partitions.id
        LEFT JOIN starts ON starts.grp = :grp AND starts.partition = partitions.id
        LEFT JOIN owners ON owners.grp = :grp AND owners.partition = partitions.id
        LEFT JOIN targets ON targets.grp = :grp AND targets.partition = partitions.id
        ORDER BY name, number""",
        {"grp": row[0]},
    ):
        names.add(name)
        if name in topics if topics else known:
            shown = "" if member is None else f"member {member:x}"
            found[Partition(name, number)] = GroupOffset(first, next, committed, shown)
    for topic in topics:
        if topic not in names:
            raise not_there(topic)
    return found


def _position(connection: Connection, group: int, id: int, start: str) -> int | None:
    """Returns the offset that a group has committed, or began at; None if neither.

    An offset beyond the end is of a file that this one took the place of. It says nothing of these records, so the first one that
    is kept comes next.
    """
    row = (
        connection.execute("SELECT position FROM positions WHERE grp = ? AND partition = ?", (group, id)).fetchone()
        or connection.execute(
            "SELECT position FROM starts WHERE grp = ? AND partition = ? AND start = ?", (group, id, start)
        ).fetchone()
    )
    if row is None:
        return None
    position: int = row[0]
    first, next = connection.execute("SELECT first, next FROM partitions WHERE id = ?", (id,)).fetchone()
    if position <= next:
        return position
    _log.warning(
        "a group's position %d is beyond the end (%d) of its partition, and is replaced by %d", position, next, first
    )
    return int(first)


def _balance(connection: Connection, group: int) -> None:
    members: dict[int, dict[str, list[str]]] = {}
    for member, topic, announced in _members(connection, group):
        members.setdefault(member, {})[topic] = announced
    ids: dict[Partition, int] = {}
    topics: dict[str, int] = {}
    owners: dict[Partition, int] = {}
    for id, topic, number, owner in connection.execute(
        """SELECT partitions.id, name, number, owners.member FROM partitions JOIN topics ON topics.id = topic
        LEFT JOIN owners ON owners.grp = ? AND owners.partition = partitions.id
        WHERE topic IN (SELECT member_topics.topic FROM members JOIN member_topics ON member = members.id WHERE grp = ?)""",
        (group, group),
    ):
        partition = Partition(topic, number)
        ids[partition] = id
        topics[topic] = topics.get(topic, 0) + 1
        if owner is not None:
            owners[partition] = owner
    connection.execute("DELETE FROM targets WHERE grp = ?", (group,))
    connection.executemany(
        "INSERT INTO targets VALUES (?, ?, ?)",
        [(group, ids[partition], member) for partition, member in balance(topics, members, owners, members).items()],
    )
    _changed(connection, group)
    if not members:
        idle.note(connection, group)


def _members(connection: Connection, group: int) -> list[tuple[int, str, list[str]]]:
    """Returns a row for each topic of each member: the member, the topic, and the types that it announces; in the order of ids."""
    rows = connection.execute(
        """SELECT members.id, name, types FROM members JOIN member_topics ON member = members.id
        JOIN topics ON topics.id = topic WHERE grp = ? ORDER BY members.id, name""",
        (group,),
    )
    return [(member, topic, json.loads(announced) if announced else []) for member, topic, announced in rows]


def _changed(connection: Connection, group: int) -> None:
    connection.execute("UPDATE groups SET revision = revision + 1 WHERE id = ?", (group,))
