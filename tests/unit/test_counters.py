"""Counters that run for months: no bookkeeping raises, however often something has happened."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import micro_rt as micro
from micro_rt.backends.consul.query import Retries
from micro_rt.backends.etcd import client as etcd_client
from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient, Tokens
from micro_rt.backends.etcd.mirror import Mirrors
from micro_rt.client.attempts import Attempts
from micro_rt.client.remote import MAX_SET_ASIDE, RemoteNode
from micro_rt.client.retry import RetryBudget
from micro_rt.context import ClientCall
from micro_rt.metadata import EMPTY
from micro_rt.node import Node
from micro_rt.registry.registrar import Registrar
from micro_rt.selector.round_robin import RoundRobin
from tests.protos.lab_micro import LabClient

MANY = 10**6
RUNTIME = Path(__file__).parent.parent.parent / "micro_rt"


async def test_a_node_can_fail_for_years() -> None:
    remote = RemoteNode(Node("a", "a:1"), cast("Any", None), cast("Any", SimpleNamespace(node_changed=lambda: None)))
    remote._failures = MANY
    remote.failed()
    assert remote.aside
    assert remote._timer is not None
    assert remote._timer.when() - asyncio.get_running_loop().time() <= MAX_SET_ASIDE
    remote.answered()
    assert (remote.aside, remote._failures) == (False, 0)


async def test_a_call_can_be_sent_very_often() -> None:
    method = LabClient._info_.methods[0]
    call = ClientCall(method, EMPTY, None, micro.CallInfo(), "lab")
    attempts = Attempts(cast("Any", None), call, micro.RetryPolicy(attempts=2 * MANY, backoff=1e-9, max_backoff=1e-6))
    attempts._sent = MANY
    await attempts._back_off(micro.Unavailable("away", may_have_run=False))
    assert attempts._sent == MANY + 1


async def test_a_registry_can_be_away_for_years() -> None:
    registration = SimpleNamespace(node=Node("a", "a:1"))
    registrar = Registrar(cast("Any", None), cast("Any", registration))
    registrar._failures = MANY
    assert 0 <= registrar._pause() <= registrar._interval


async def test_etcd_can_refuse_and_be_away_for_years(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_client, "REFUSED", (1e-9, 1e-6))

    async def refuse() -> str:
        raise micro.Unauthenticated("no")

    address = EtcdAddress(("h:1",), user="me", password="hush")
    tokens = Tokens(address, refuse)
    tokens._refusals = MANY
    with pytest.raises(micro.Unauthenticated):
        await tokens.get()
    mirrors = Mirrors(EtcdClient(address))
    mirrors._failures = MANY
    mirrors._failed("away")
    mirrors._worked()
    assert mirrors._failures == 0


async def test_consul_can_be_away_for_years(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micro_rt.backends.consul.query.RETRY", (1e-9, 1e-6))

    async def recovered() -> None: ...

    retry = Retries(cast("Any", SimpleNamespace(recovered=recovered)), "a query")
    retry._failures = MANY
    await retry.failed(micro.Unavailable("away"))
    assert retry._failures == MANY + 1
    retry.worked()
    assert retry._failures == 0


def test_nodes_can_be_selected_for_years() -> None:
    nodes = [Node("a", "a:1"), Node("b", "b:1")]
    selector = RoundRobin()
    selector._turn = 10**100
    assert {selector.select(nodes, ()).id for _ in range(2)} == {"a", "b"}
    budget = RetryBudget()
    for _ in range(MANY):
        budget.earn()
    assert budget.spend()


def raises_to_a_power(node: ast.AST) -> bool:
    """Whether an expression may overflow because of an exponent that is not a constant."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in ("pow", "exp", "exp2", "ldexp", "expm1")
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not isinstance(node.right, ast.Constant)


def test_only_back_off_and_fading_raise_to_a_power() -> None:
    found = [
        f"{path.relative_to(RUNTIME)}:{node.lineno}"
        for path in sorted(RUNTIME.rglob("*.py"))
        if path not in (RUNTIME / "kit" / "backoff.py", RUNTIME / "kit" / "fading.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if raises_to_a_power(node)
    ]
    assert not found, "take micro_rt.kit.backoff or micro_rt.kit.fading, whose exponents are bounded"
