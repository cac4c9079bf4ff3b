from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from micro_rt.backends.etcd.config import EtcdConfig
from micro_rt.config.base import Source, Tree, Value
from micro_rt.testing.contracts import SourceContract
from tests.helpers.cutting import CutOff
from tests.servers.server import Server, http_json
from tests.servers.shared import Elsewhere


class TestEtcd(CutOff, SourceContract):
    url = ""

    @pytest.fixture(autouse=True)
    def server(self, etcd: Server | Elsewhere) -> None:
        self.address, self.url = etcd.address, etcd.url
        self.folder = f"config {uuid.uuid4().hex}"

    async def make(self) -> Source:
        return EtcdConfig(f"{self.url}/{self.folder.replace(' ', '%20')}?timeout=2")

    async def put(self, tree: Tree) -> None:
        """Replaces all keys in one transaction; only those that change: etcd has no two operations on one key in it."""
        wanted = {f"{self.folder}/{key}".encode(): text.encode() for key, text in leaves(tree)}
        found = self.request("/v3/kv/range", {"key": text64(f"{self.folder}/"), "range_end": text64(f"{self.folder}0")})
        present = [base64.b64decode(kv["key"]) for kv in found.get("kvs", [])]
        operations = [{"requestPut": {"key": text64(key), "value": text64(value)}} for key, value in wanted.items()]
        operations += [{"requestDeleteRange": {"key": text64(key)}} for key in present if key not in wanted]
        for begin in range(0, len(operations), 100):
            self.request("/v3/kv/txn", {"success": operations[begin : begin + 100]})

    async def spoil(self) -> bool:
        self.request("/v3/kv/put", {"key": text64(f"{self.folder}/a"), "value": text64(b"Canary7 \xff")})
        return True

    def request(self, path: str, body: Any) -> Any:
        status, answer = http_json(self.address, "POST", path, body)
        assert status == 200, answer
        return answer


def text64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def leaves(tree: Tree, above: str = "") -> Iterator[tuple[str, str]]:
    """Yields the key of each text, below a folder."""
    for name, value in tree.items():
        yield from _leaves(value, f"{above}{name}")


def _leaves(value: Value, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from leaves(value, f"{key}/")
    else:
        assert isinstance(value, str)
        yield key, value
