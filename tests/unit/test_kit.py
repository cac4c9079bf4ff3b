"""The kit: back-off, tasks, addresses, hosts and TLS contexts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from micro_rt.errors import FailedPrecondition
from micro_rt.kit import backoff
from micro_rt.kit.address import Options, count, flag, seconds, seconds_or_zero
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.chance import below, between, spread
from micro_rt.kit.ids import new_id, new_number, new_token
from micro_rt.kit.net import bare_host, is_loopback, join, split, split_server
from micro_rt.kit.tasks import TaskSet, unless, wait_for_event
from micro_rt.kit.tls import client_context

# Back-off


def test_the_wait_doubles_up_to_the_longest() -> None:
    waits = [backoff.delay(failures, 0.1, 5.0, jitter=0.0) for failures in range(1, 10)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_jitter_leaves_out_a_random_part(jitter: float) -> None:
    waits = [backoff.delay(4, 0.1, 5.0, jitter=jitter) for _ in range(1000)]
    assert min(waits) >= 0.8 * (1 - jitter)
    assert max(waits) <= 0.8
    assert (len(set(waits)) > 900) == (jitter > 0)


@pytest.mark.parametrize("failures", [-1, 0, 1, 1024, 10**6, 10**100])
@pytest.mark.parametrize(("first", "longest"), [(0.0, 0.0), (1e-9, 1e9), (0.5, 15.0), (1e300, 1e305)])
def test_no_number_of_failures_makes_back_off_raise(failures: int, first: float, longest: float) -> None:
    assert 0 <= backoff.delay(failures, first, longest) <= longest


def test_a_success_starts_back_off_over() -> None:
    retry = Backoff(1.0, 8.0, jitter=0.0)
    assert [retry.failed() for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert retry.succeeded() == 5
    assert (retry.failures, retry.failed()) == (0, 1.0)


# Randomness and ids


def test_random_numbers_are_in_their_range() -> None:
    assert all(2 <= between(2, 3) <= 3 for _ in range(100))
    assert all(9 <= spread(10, 0.1) <= 10 for _ in range(100))
    assert {below(3) for _ in range(200)} == {0, 1, 2}


def test_ids_differ() -> None:
    assert len({new_id(12) for _ in range(1000)}) == 1000
    assert len(new_id()) == 32
    assert len(new_id(12)) == 12
    assert len({new_token(12) for _ in range(1000)}) == 1000
    assert len(new_token(12)) == 24
    assert all(0 < new_number(62) < 1 << 62 for _ in range(1000))


# Tasks


async def test_a_set_of_tasks_waits_for_those_that_start_meanwhile() -> None:
    tasks = TaskSet[None]()
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        if number:
            tasks.start(work(number - 1))
        done.append(number)

    tasks.start(work(3))
    assert await tasks.wait() == 0
    assert sorted(done) == [0, 1, 2, 3]
    assert not tasks


async def test_tasks_end_in_the_order_of_their_start() -> None:
    tasks = TaskSet[None]()
    ended: list[int] = []

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    for number in range(20):
        tasks.start(work(number))
    await asyncio.sleep(0)
    assert await tasks.end() == 0
    assert ended == list(range(20))


async def test_tasks_that_do_not_end_in_time_are_counted() -> None:
    tasks = TaskSet[None]()
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    tasks.start(stubborn())
    await asyncio.sleep(0)
    assert await tasks.end(0.01) == 1
    release.set()
    assert await tasks.wait() == 0


async def test_a_background_task_that_fails_is_reported_when_it_ends() -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    tasks = TaskSet[None]()

    async def fails() -> None:
        raise RuntimeError("broken")

    task = tasks.start(fails(), name="some work")
    await tasks.wait()
    (report,) = reports
    assert report["message"] == "background task 'some work' failed"
    assert str(report["exception"]) == "broken"
    assert report["task"] is task


async def test_work_is_awaited_unless_something_else_happens_first() -> None:
    happens = asyncio.Event()

    async def work(result: int | Exception) -> int:
        await asyncio.sleep(0)
        if isinstance(result, Exception):
            raise result
        return result

    assert (await unless(happens.wait(), work(5))).result() == 5
    with pytest.raises(ValueError, match="five"):
        (await unless(happens.wait(), work(ValueError("five")))).result()
    happens.set()
    cut = await unless(happens.wait(), asyncio.sleep(60))
    assert cut.cancelled()


async def test_cancelling_what_waits_for_work_cancels_the_work() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            started.set()
            await asyncio.sleep(60)
        finally:
            ended.set()

    task = asyncio.create_task(unless(asyncio.Event().wait(), work()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_an_event_is_waited_for_only_so_long() -> None:
    event = asyncio.Event()
    assert not await wait_for_event(event, 0)
    assert not await wait_for_event(event, 0.001)
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_for_event(event, 60)
    assert await wait_for_event(event, 0)


# Addresses


def test_options_are_read_and_what_is_left_is_refused() -> None:
    options = Options("tls=true&timeout=1m30s&name=a%20b&size=5&mode=fast")
    assert options.read("tls", flag, False) is True
    assert options.read("timeout", seconds, 1.0) == 90.0
    assert options.read("size", count, 1) == 5
    assert options.one_of("mode", ("fast", "slow"), "slow") == "fast"
    assert options.one_of("order", ("up", "down"), "") == ""
    with pytest.raises(ValueError, match="there is no option 'name'; known: mode, order, size, timeout, tls"):
        options.end()
    assert options.text("name") == "a b"
    options.end()


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (flag, "TRUE", True),
        (flag, "0", False),
        (seconds, "1.5", 1.5),
        (seconds, ".5", 0.5),
        (seconds, "1h2m3s4ms", 3723.004),
        (seconds_or_zero, "0", 0.0),
        (count, "17", 17),
    ],
)
def test_values_are_read(reader: Any, text: str, value: object) -> None:
    assert reader(text) == value


@pytest.mark.parametrize(
    ("reader", "texts"),
    [
        (flag, ["yes", "", "2"]),
        (seconds, ["0", "-1", "nan", "inf", "1e3", "1d", "soon", "", "1" * 400, "٣", "2000000000"]),
        (seconds_or_zero, ["-1", "nan", "inf", "x", ""]),
        (count, ["0", "-1", "1.5", "", "x", "9" * 400, "٣"]),
    ],
)
def test_values_that_make_no_sense_are_refused(reader: Any, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ValueError, match="is n"):
            reader(text)


# Hosts and ports


def test_hosts_and_ports() -> None:
    assert split("127.0.0.1:0") == ("127.0.0.1", 0)
    assert split("[::1]:65535") == ("::1", 65535)
    assert join("::1", 1) == "[::1]:1"
    assert join("[::1]", 1) == "[::1]:1"
    assert join("host", 1) == "host:1"
    assert bare_host("[::1]") == "::1"
    assert split_server("host", 9) == ("host", 9)
    assert split_server("[::1]", 9) == ("::1", 9)
    assert split_server("host:1", 9) == ("host", 1)


@pytest.mark.parametrize(
    "text", ["", ":1", "host", "host:", "host:x", "host:65536", "::1:1", "[]:1", "h:" + "9" * 5000]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(FailedPrecondition, match="is not an address"):
        split(text)


@pytest.mark.parametrize("text", ["", "::1", "host:0", "host:x", "a b", "a/b", "user@host", "[]"])
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not host:port, such as 10\.0\.0\.5:9"):
        split_server(text, 9)


def test_loopback() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"))
    assert not any(is_loopback(host) for host in ("10.0.0.1", "::", "0.0.0.0", "example.org", ""))


# TLS


def test_files_of_tls_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for name in ("ca", "cert"):
        for file in (str(empty), str(tmp_path / "none.pem")):
            with pytest.raises(FailedPrecondition, match=f"TLS files for the server cannot be used: {name}={file}"):
                client_context("the server", **{name: file})


def test_a_context_can_leave_out_the_check_of_the_server() -> None:
    assert client_context("the server").check_hostname
    assert not client_context("the server", verify=False).check_hostname
