"""Random operations on a store and on a model of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings

from micro_rt.backends.local.store import LocalStore
from micro_rt.backends.memory.store import MemoryStore
from micro_rt.kit.clock import Clock
from micro_rt.store.base import StoreEngine
from tests.contracts.store_machine import StoreMachine


class MemoryMachine(StoreMachine):
    def make(self) -> StoreEngine:
        return MemoryStore("memory:machine", clock=self.clock())

    def clock(self) -> Clock:
        return Clock(lambda: self.time, "machine", from_boot=True)


class LocalMachine(MemoryMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()

    def make(self) -> StoreEngine:
        return LocalStore("local:", home=Path(self.folder.name) / "state", clock=self.used)

    @property
    def used(self) -> Clock:
        if not hasattr(self, "_clock"):
            self._clock = self.clock()
        return self._clock

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestMemoryMachine = MemoryMachine.TestCase
TestLocalMachine = LocalMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=60, stateful_step_count=30)
TestLocalMachine.settings = settings(max_examples=15, stateful_step_count=30)
