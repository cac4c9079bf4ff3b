"""The claims of locks in a file of ``local:``: its tables, and what is done with them. All of it runs in a thread of the database.

The rules that it keeps, and why:

- Each write removes the claims whose time has passed, and grants the seats that are free in the order of arrival, in one
  transaction. Transactions that write follow each other, so no two claims get one seat.
- A claim ends when the boot clock, which all processes of the machine read alike, says that its time has passed. Nothing excuses a
  late renewal, neither a pause of the machine nor a file that could not be written: two holders would be worse.
- A clock that cannot be compared (the system has no boot clock, or does not say how far a time namespace is ahead) ends the claims of
  its own process alone. Others end such a claim after they have seen it unchanged for its ttl on their own clock, and so never early.
- The claims of another boot are gone: their processes are.
- Tokens are numbers of one row that stays. A loss of power may undo what was committed last, and with it a token that was already
  used elsewhere. So tokens begin far above with each boot.
- The row remembers the inode of its file. A new file, and one that was restored from a backup, gets a new epoch, and no claim of before
  counts. So does a file that has fallen behind what this process has seen: somebody copied a backup over it.
- Triggers note which locks have other holders. So processes see also what somebody deletes by hand.
- Whoever can write the file can write anything into it. So what is read is checked, and raises ``Damaged`` if nothing of ours
  writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from micro_rt.backends.local.damage import Damaged
from micro_rt.backends.local.open_files import Connection
from micro_rt.kit.clock import Clock, boot_of, monotonic, wall_time_us
from micro_rt.kit.foreign import MOST
from micro_rt.kit.ids import new_id
from micro_rt.sync.base import MAX_VALUE, Holder

__all__ = ["SCHEMA", "History", "Lock", "Request", "Standing", "SyncClaims", "View"]

_UNSAVED = 1 << 32
"""How far above the last token the first one of another boot is: no loss of power undoes so many."""
_AT_ONCE = 1000
"""Claims that end in one write at most."""
_ROW = 200
"""Bytes of a claim beside its texts."""
_PROCESS = "process "
"""How the name of a clock begins that only one process reads."""
_OF_ENDS = "id, name, seats, ttl, clock, until, token"
_STRANGERS = 0.5
"""Seconds between two looks at claims whose clock cannot be compared."""

SCHEMA: Sequence[Sequence[str]] = (
    (
        # ``token`` is NULL while a claim waits; ``until`` is on the clock of that name.
        """CREATE TABLE claims (
            arrival INTEGER PRIMARY KEY, name TEXT NOT NULL, seats INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, value BLOB NOT NULL,
            ttl REAL NOT NULL, clock TEXT NOT NULL, until REAL NOT NULL, token INTEGER
        )""",
        "CREATE INDEX claims_that_hold ON claims (name, seats, token) WHERE token IS NOT NULL",
        "CREATE INDEX claims_that_wait ON claims (name, seats, arrival) WHERE token IS NULL",
        "CREATE INDEX claims_by_end ON claims (clock, until)",
        "CREATE TABLE history (epoch INTEGER NOT NULL, inode INTEGER NOT NULL, boot TEXT NOT NULL, token INTEGER NOT NULL)",
        "INSERT INTO history VALUES (0, 0, '', 0)",
        "CREATE TABLE changes (number INTEGER PRIMARY KEY, name TEXT NOT NULL, seats INTEGER NOT NULL)",
        """CREATE TRIGGER claim_is_granted AFTER UPDATE OF token ON claims BEGIN
            INSERT INTO changes (name, seats) VALUES (new.name, new.seats);
        END""",
        """CREATE TRIGGER claim_is_gone AFTER DELETE ON claims WHEN old.token IS NOT NULL BEGIN
            INSERT INTO changes (name, seats) VALUES (old.name, old.seats);
        END""",
        """CREATE TRIGGER old_changes AFTER INSERT ON changes WHEN new.number % 64 = 0 BEGIN
            DELETE FROM changes WHERE number <= new.number - 256;
        END""",
    ),
)
"""The statements of each version of the schema."""


class Lock(NamedTuple):
    """A lock: those with other numbers of seats are other locks."""

    name: str
    seats: int


class Request(NamedTuple):
    """What a claim asks for."""

    lock: Lock
    id: str
    ttl: float
    value: bytes


class History(NamedTuple):
    """What the file says about itself."""

    epoch: int
    token: int
    """The last one that was given."""
    change: int
    """The number of the last change of holders."""


class Standing(NamedTuple):
    """What became of a claim in a write."""

    history: History
    token: int | None
    """Its token; None if it has no seat."""
    exists: bool
    """Whether there was such a claim."""


class View(NamedTuple):
    """What a look at the file has found."""

    history: History
    outdated: bool
    """Whether the file has to get a new epoch: with the next write, no claim in it counts."""
    holders: dict[Lock, dict[str, int]]
    """The tokens of the claims that have seats, by lock that may have others than before, and by their ids."""
    ended: list[tuple[str, Lock]]
    """The claims whose time has passed, and which a write is to remove."""
    sweep: bool
    """Whether there are claims that a write must look at."""
    next: float
    """When the next claim ends, on the clock."""


class SyncClaims:
    """Reads and writes the claims of a file.

    Args:
        clock: the boot clock; one that jumps is replaced by the process's own monotonic clock.
        check: refuses to add so many bytes if the disk has no space for them.
    """

    def __init__(self, clock: Clock, check: Callable[[Connection, int], None]) -> None:
        self._clock = Clock(monotonic, f"{_PROCESS}{new_id()}") if clock.jumps else clock
        self._boot = "" if clock.jumps else boot_of(clock.epoch)
        self._check = check
        self._strangers: dict[str, tuple[list[Any], float]] = {}
        """Claims whose clock cannot be compared: how they were seen, and when so for the first time."""
        self.last = History(0, 0, 0)
        """The newest that is known to be committed."""

    @property
    def durable(self) -> bool:
        """Whether it notices that the machine was started again, and some writes may have been undone."""
        return bool(self._boot)

    # Writing, within a transaction

    def sweep(self, connection: Connection, locks: Iterable[Lock] = ()) -> History:
        """Removes the claims whose time has passed, and grants their seats, and those of other locks."""
        self._begin(connection)
        for lock in locks:
            self._grant(connection, lock)
        return self._read(connection)[0]

    def enter(self, connection: Connection, request: Request, known: bool) -> Standing:
        """Puts a claim into the queue unless it is there, and grants what can be.

        Args:
            connection: within a write.
            request: what it asks for.
            known: whether it was there before: if it is not any more, it stays gone.
        """
        self._begin(connection)
        row = connection.execute("SELECT token FROM claims WHERE id = ?", (request.id,)).fetchone()
        if row is None:
            if known:
                return Standing(self._read(connection)[0], None, exists=False)
            lock = request.lock
            self._check(connection, _ROW + 3 * len(lock.name.encode()) + len(request.id) + len(request.value))
            connection.execute(
                "INSERT INTO claims (name, seats, id, value, ttl, clock, until) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*lock, request.id, request.value, request.ttl, self._clock.epoch, self._clock.now() + request.ttl),
            )
        granted = self._grant(connection, request.lock)
        token = granted.get(request.id, row and row[0])
        return Standing(self._read(connection)[0], None if token is None else _number(token, 1), exists=True)

    def renew(self, connection: Connection, request: Request) -> bool:
        """Starts the time of a claim anew; returns False if it is gone."""
        self._begin(connection)
        until = self._clock.now() + request.ttl
        return bool(connection.execute("UPDATE claims SET until = ? WHERE id = ?", (until, request.id)).rowcount)

    def leave(self, connection: Connection, request: Request) -> bool:
        """Removes a claim, and grants its seat; returns whether it had one."""
        self._begin(connection)
        row = connection.execute("SELECT token FROM claims WHERE id = ?", (request.id,)).fetchone()
        if row is None:
            return False
        connection.execute("DELETE FROM claims WHERE id = ?", (request.id,))
        self._grant(connection, request.lock)
        return row[0] is not None

    def _begin(self, connection: Connection) -> None:
        """Has the file be of this boot and of one history, removes the claims whose time has passed, and grants their seats."""
        found, inode, boot = self._read(connection)
        if _is_outdated(connection, found, inode, self.last):
            epoch = max(wall_time_us(), found.epoch + 1, self.last.epoch + 1)
            if epoch > MOST:
                raise Damaged("its epoch is the largest that can be")
            connection.execute("DELETE FROM claims")
            connection.execute("UPDATE history SET epoch = ?, inode = ?", (epoch, _inode(connection)))
        if self._boot and boot != self._boot:
            token = found.token + (_UNSAVED if boot else 0)
            connection.execute("UPDATE history SET boot = ?, token = ?", (self._boot, token))
        if ended := self._ended(connection)[0]:
            connection.executemany("DELETE FROM claims WHERE id = ?", [(id,) for id, _ in ended])
            for lock in dict.fromkeys(lock for _, lock in ended):
                self._grant(connection, lock)

    def _grant(self, connection: Connection, lock: Lock) -> dict[str, int]:
        """Gives the seats that are free to those who came first; returns their tokens by their ids."""
        next = connection.execute(
            """SELECT arrival, id, (SELECT token FROM history) FROM claims
            WHERE name = :name AND seats = :seats AND token IS NULL ORDER BY arrival LIMIT max(0, :seats - (
                SELECT count(*) FROM claims WHERE name = :name AND seats = :seats AND token IS NOT NULL
            ))""",
            lock._asdict(),
        ).fetchall()
        granted: dict[str, int] = {}
        if not next:
            return granted
        token = _number(next[0][2])
        if token + len(next) > MOST:
            raise Damaged("its last token is the largest that can be")
        for arrival, id, _ in next:
            token += 1
            connection.execute("UPDATE claims SET token = ? WHERE arrival = ?", (token, arrival))
            granted[str(id)] = token
        connection.execute("UPDATE history SET token = ?", (token,))
        return granted

    # Reading

    def check(self, connection: Connection) -> bool:
        """Checks that the file has the tables of locks; returns whether a write must put them in order before they are read.

        Raises:
            sqlite3.OperationalError: it has not.
        """
        connection.execute("SELECT arrival, name, seats, id, value, ttl, clock, until, token FROM claims LIMIT 0")
        last = self.last
        history, inode, boot = self._read(connection)
        return _is_outdated(connection, history, inode, last) or bool(self._boot and boot != self._boot)

    def holder(self, connection: Connection, name: str) -> tuple[Holder | None, int]:
        """Returns who has the first seat of a lock, and the epoch of the file, within a transaction."""
        last = self.last
        history, inode, _ = self._read(connection)
        epoch = history.epoch
        if _is_outdated(connection, history, inode, last):
            return None, epoch
        rows = connection.execute(
            "SELECT value, token, clock, until FROM claims WHERE name = ? AND seats = 1 AND token IS NOT NULL ORDER BY token LIMIT 10",
            (name,),
        ).fetchall()
        for value, number, clock, until in rows:
            if not isinstance(value, bytes) or len(value) > MAX_VALUE:
                raise Damaged("the value of a holder is not bytes, or is too long")
            if not self._has_ended(clock, until):
                return Holder(value, epoch, _number(number, 1)), epoch
        return None, epoch

    def look(self, connection: Connection, since: int | None, wanted: Callable[[], Iterable[Lock]]) -> View:
        """Looks what has changed, within a transaction, so that all of it is of one moment.

        Args:
            connection: to the file.
            since: the number of the last change that was seen; None to look at every lock.
            wanted: returns the locks that matter.
        """
        last = self.last  # Before the file is read, which is then no older.
        history, inode, _ = self._read(connection)
        outdated = _is_outdated(connection, history, inode, last)
        ended, strangers = self._ended(connection)
        over = {id for id, _ in ended}
        holders: dict[Lock, dict[str, int]] = {}
        for lock in () if outdated else self._changed(connection, since, history.change, wanted):
            rows = connection.execute(
                "SELECT id, token FROM claims WHERE name = ? AND seats = ? AND token IS NOT NULL", lock
            ).fetchall()
            holders[lock] = {str(id): _number(token, 1) for id, token in rows if id not in over}
        (until,) = connection.execute("SELECT min(until) FROM claims WHERE clock = ?", (self._clock.epoch,)).fetchone()
        next = float("inf") if until is None else float(until)
        if strangers:
            next = min(next, self._clock.now() + _STRANGERS)
        return View(history, outdated, holders, ended, outdated or strangers or bool(ended), next)

    def now(self) -> float:
        """Returns the seconds on the clock of the claims."""
        return self._clock.now()

    def _changed(
        self, connection: Connection, since: int | None, change: int, wanted: Callable[[], Iterable[Lock]]
    ) -> Iterable[Lock]:
        if since == change:
            return ()
        locks = wanted()
        (first,) = connection.execute("SELECT coalesce(min(number), 0) FROM changes").fetchone()
        if since is None or not _number(first) - 1 <= since <= change:
            return locks
        rows = connection.execute("SELECT DISTINCT name, seats FROM changes WHERE number > ?", (since,)).fetchall()
        changed = {_lock(*row) for row in rows}
        return [lock for lock in locks if lock in changed]

    # What both need

    def _read(self, connection: Connection) -> tuple[History, int, str]:
        """Returns what the file says about itself, its inode, and its boot."""
        row = connection.execute(
            "SELECT epoch, token, (SELECT coalesce(max(number), 0) FROM changes), inode, boot FROM history"
        ).fetchone()
        if row is None:
            raise Damaged("a table that has one row is empty")
        *numbers, boot = row
        if not isinstance(boot, str):
            raise Damaged("the name of its boot is not text")
        epoch, token, change, inode = map(_number, numbers)
        return History(epoch, token, change), inode, boot

    def _ended(self, connection: Connection) -> tuple[list[tuple[str, Lock]], bool]:
        """Returns the claims whose time has passed, and whether there are some whose clock cannot be compared."""
        own, now = self._clock.epoch, self._clock.now()
        rows = connection.execute(
            f"""SELECT {_OF_ENDS} FROM claims WHERE clock = :own AND until <= :now
            UNION ALL SELECT {_OF_ENDS} FROM claims WHERE clock < :own UNION ALL SELECT {_OF_ENDS} FROM claims WHERE clock > :own
            LIMIT :most""",  # noqa: S608 - constants
            {"own": own, "now": now, "most": _AT_ONCE},
        ).fetchall()
        ended: list[tuple[str, Lock]] = []
        seen: dict[str, tuple[list[Any], float]] = {}
        for id, name, seats, ttl, *state in rows:
            if state[0] != own:
                before = self._strangers.get(id)
                since = before[1] if before is not None and before[0] == state else now
                if not self._is_of_another_boot(state[0]) and now - since <= ttl:
                    seen[id] = state, since
                    continue
            ended.append((str(id), _lock(name, seats)))
        self._strangers = seen
        return ended, bool(seen)

    def _has_ended(self, clock: object, until: object) -> bool:
        if clock != self._clock.epoch:
            return self._is_of_another_boot(clock)
        return isinstance(until, float) and until <= self._clock.now()

    def _is_of_another_boot(self, clock: object) -> bool:
        """Returns whether a claim was made before the machine was started."""
        if not isinstance(clock, str):
            raise Damaged("the name of a clock is not text")
        return bool(self._boot) and not clock.startswith(_PROCESS) and boot_of(clock) != self._boot


def _is_outdated(connection: Connection, found: History, inode: int, last: History) -> bool:
    """Returns whether a file is new, was restored from a backup, or has fallen behind what is known of it."""
    return not found.epoch or inode != _inode(connection) or found[:2] < last[:2]


def _number(value: object, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= MOST:
        raise Damaged("a number is none, or not in its range")
    return value


def _lock(name: object, seats: object) -> Lock:
    if not isinstance(name, str):
        raise Damaged("the name of a lock is not text")
    return Lock(name, _number(seats, 1))


def _inode(connection: Connection) -> int:
    main = connection.files.main
    return 0 if main is None else main[1] & MOST  # Some file systems have larger numbers than SQLite.
