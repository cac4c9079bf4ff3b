from __future__ import annotations

import uuid
from typing import Any

import pytest

from micro_rt.backends.consul.config import ConsulConfig
from micro_rt.config.base import Source, Tree
from micro_rt.testing.contracts import SourceContract
from tests.contracts.test_config_etcd import leaves, text64
from tests.helpers.cutting import CutOff
from tests.servers.server import Server, http_json
from tests.servers.shared import Elsewhere


class TestConsul(CutOff, SourceContract):
    url = ""

    @pytest.fixture(autouse=True)
    def server(self, consul: Server | Elsewhere) -> None:
        self.address, self.url = consul.address, consul.url
        self.folder = f"config {uuid.uuid4().hex}"

    async def make(self) -> Source:
        return ConsulConfig(f"{self.url}/{self.folder.replace(' ', '%20')}?timeout=2")

    async def put(self, tree: Tree) -> None:
        """Replaces all keys in one transaction, if they are few enough for one."""
        operations = [{"KV": {"Verb": "delete-tree", "Key": f"{self.folder}/"}}]
        operations += [
            {"KV": {"Verb": "set", "Key": f"{self.folder}/{key}", "Value": text64(text)}} for key, text in leaves(tree)
        ]
        for begin in range(0, len(operations), 64):
            self.request(operations[begin : begin + 64])

    async def spoil(self) -> bool:
        self.request([{"KV": {"Verb": "set", "Key": f"{self.folder}/a", "Value": text64(b"Canary7 \xff")}}])
        return True

    def request(self, operations: list[Any]) -> None:
        status, answer = http_json(self.address, "PUT", "/v1/txn", operations)
        assert status == 200, answer
