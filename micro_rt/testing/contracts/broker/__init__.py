"""The contract suite of brokers: what every broker promises, as tests.

    class TestMyBroker(BrokerContract):
        async def make(self) -> Broker:
            return MyBroker("my://127.0.0.1:1234")

needs nothing but pytest. Where a broker is slower than the embedded ones, say so with the attributes of the class.
"""

from __future__ import annotations

from micro_rt.testing.contracts.broker.groups import Groups
from micro_rt.testing.contracts.broker.publishing import Publishing
from micro_rt.testing.contracts.broker.reading import Reading
from micro_rt.testing.contracts.broker.watching import Watching

__all__ = ["BrokerContract"]


class BrokerContract(Publishing, Reading, Groups, Watching):
    """Subclass it, and return an unopened broker from ``make``.

    All that ``make`` returns during one test must share state; they may share it with other tests and other users as
    well, because every test uses topics and groups of its own. Topics that nobody prepared must not come into being.
    """
