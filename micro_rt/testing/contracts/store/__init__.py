"""The contract suite of stores: what every store promises, as tests.

    class TestMyStore(StoreContract):
        async def make(self) -> StoreEngine:
            return MyStore("my://127.0.0.1:1234")

needs nothing but pytest. Where a store is slower than the embedded ones, say so with the attributes of the class.
"""

from __future__ import annotations

from micro_rt.testing.contracts.store.conditions import Conditions
from micro_rt.testing.contracts.store.expiry import Expiry
from micro_rt.testing.contracts.store.fences import Fences
from micro_rt.testing.contracts.store.lists import Lists
from micro_rt.testing.contracts.store.outages import Outages
from micro_rt.testing.contracts.store.records import Records
from micro_rt.testing.contracts.store.suite import OtherStore
from micro_rt.testing.contracts.store.watches import Watching

__all__ = ["OtherStore", "StoreContract"]


class StoreContract(Records, Conditions, Fences, Expiry, Lists, Watching, Outages):
    """Subclass it, and return an unopened engine from ``make``.

    All that ``make`` returns during one test must share records; they may share them with other tests and other users as well,
    because every test uses keys of its own.
    """
