"""The contract suite of sync: what every engine of locks promises, as tests.

    class TestMySync(SyncContract):
        async def make(self) -> SyncEngine:
            return MySync("my://127.0.0.1:1234")

needs nothing but pytest. Where an engine is slower than the embedded ones, say so with the attributes of the class.
"""

from __future__ import annotations

from micro_rt.testing.contracts.sync.claims import Claims
from micro_rt.testing.contracts.sync.ends import Ends
from micro_rt.testing.contracts.sync.leaders import Leaders
from micro_rt.testing.contracts.sync.locks import Locks
from micro_rt.testing.contracts.sync.suite import OtherSync

__all__ = ["OtherSync", "SyncContract"]


class SyncContract(Locks, Claims, Ends, Leaders):
    """Subclass it, and return an unopened engine from ``make``.

    All that ``make`` returns during one test must share locks; they may share them with other tests and other users as well,
    because every test uses locks of its own.
    """
