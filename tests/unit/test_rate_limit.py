"""The token buckets of ``micro.RateLimit``, on a clock of the test's own."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.interceptors import rate_limit
from micro_rt.interceptors.rate_limit import Buckets


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as the only item."""
    now = [1_000_000.0]
    monkeypatch.setattr(rate_limit, "loop_time", lambda: now[0])
    return now


def taken(buckets: Buckets, key: str, most: int = 1000) -> int:
    """Takes tokens until there is none left; returns how many there were."""
    for count in range(most):
        if buckets.take(key):
            return count
    return most


def test_a_new_key_has_its_burst_and_then_the_rate(clock: list[float]) -> None:
    buckets = Buckets(10, 3, 100)
    assert taken(buckets, "a") == 3
    clock[0] += 0.1
    assert taken(buckets, "a") == 1
    clock[0] += 0.25
    assert taken(buckets, "a") == 2
    clock[0] += 3600
    assert taken(buckets, "a") == 3, "a pause saves no more than the burst"


@pytest.mark.parametrize(("rate", "burst"), [(10, 3), (3, 7), (0.1, 1), (1000, 1000), (7, 1.5), (1 / 3, 2)])
def test_the_wait_that_is_told_is_the_one_that_it_takes(clock: list[float], rate: float, burst: float) -> None:
    buckets = Buckets(rate, burst, 100)
    assert taken(buckets, "a", 2000) == math.floor(burst)
    for _ in range(20):
        wait = buckets.take("a")
        assert 0 < wait <= 1 / rate + 1e-9
        clock[0] += wait / 2
        assert buckets.take("a") > 0
        clock[0] += wait / 2
        assert buckets.take("a") == 0


def test_a_refused_call_costs_nothing(clock: list[float]) -> None:
    buckets = Buckets(1, 1, 100)
    assert buckets.take("a") == 0
    waits = {buckets.take("a") for _ in range(1000)}
    assert waits == {1.0}


def test_keys_do_not_share_what_they_have(clock: list[float]) -> None:
    buckets = Buckets(1, 2, 100)
    assert [taken(buckets, key) for key in ("a", "b", "", "a")] == [2, 2, 2, 0]


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing(clock: list[float]) -> None:
    buckets = Buckets(1, 2, 100)
    assert taken(buckets, "a") == 2
    clock[0] -= 1000
    assert buckets.take("a") == 1.0
    clock[0] += 1
    assert taken(buckets, "a") == 1


def test_many_keys_do_not_give_another_key_its_burst_again(clock: list[float]) -> None:
    buckets = Buckets(1, 2, 10)
    assert taken(buckets, "attacker") == 2
    for number in range(10_000):
        buckets.take(f"another {number}")
    assert len(buckets) == 10
    assert taken(buckets, "attacker") == 0
    clock[0] += 1
    assert taken(buckets, "attacker") == 1


def test_keys_for_which_there_is_no_room_count_together(clock: list[float]) -> None:
    buckets = Buckets(1, 2, 3)
    assert [taken(buckets, key) for key in "abc"] == [2, 2, 2]
    assert buckets.take("d") == 0
    assert buckets.take("e") == 0
    assert buckets.take("f") == 1.0
    clock[0] += 2
    assert [taken(buckets, key) for key in "defa"] == [2, 2, 2, 2]


def test_only_buckets_that_are_full_are_forgotten(clock: list[float]) -> None:
    buckets = Buckets(1, 4, 3)
    assert taken(buckets, "slow") == 4
    assert buckets.take("quick") == 0
    assert buckets.take("later") == 0
    clock[0] += 0.5
    assert buckets.take("later") == 0
    clock[0] += 0.5
    assert buckets.take("new") == 0, "it takes the place of quick"
    assert set(buckets._buckets) == {"slow", "later", "new"}
    clock[0] += 3
    assert buckets.take("newer") == 0
    assert buckets.take("newest") == 0
    assert len(buckets) == 3
    assert {"newer", "newest"} < set(buckets._buckets)


def test_the_heap_holds_each_bucket_once(clock: list[float]) -> None:
    buckets = Buckets(5, 5, 50)
    for number in range(20_000):
        buckets.take(str(number * 7919 % 211))
        clock[0] += 0.003
        assert len(buckets._due) == len(buckets) <= 50
    assert {key for _, _, key in buckets._due} == set(buckets._buckets)


def test_a_long_key_takes_no_more_memory_than_a_short_one(clock: list[float]) -> None:
    buckets = Buckets(1, 1, 100)
    for number in range(50):
        assert buckets.take("x" * 100_000 + str(number)) == 0
        assert buckets.take("x" * 100_000 + str(number)) > 0
    assert buckets.take("\ud800" * 100) == 0
    assert sum(map(sys.getsizeof, buckets._buckets)) < 10_000


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rate": 0}, r"RateLimit\(rate=0\): a number of calls per second, more than 0"),
        ({"rate": -1}, "rate=-1"),
        ({"rate": math.nan}, "rate=nan"),
        ({"rate": math.inf}, "rate=inf"),
        ({"rate": 1, "burst": 0.5}, r"RateLimit\(burst=0.5\): at least 1 call"),
        ({"rate": 1, "burst": math.nan}, "burst=nan"),
        ({"rate": 1, "most_keys": 0}, r"RateLimit\(most_keys=0\): at least 1"),
        ({"rate": 1, "key": "x key"}, "metadata key 'x key'"),
        ({"rate": 1, "key": ""}, "metadata key ''"),
    ],
)
def test_numbers_and_keys_that_make_no_sense_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        micro.RateLimit(**options)


def test_a_key_that_is_no_function_is_refused() -> None:
    async def later(context: micro.Context) -> str:
        return ""

    for key in (later, 5):
        wrong: Any = key
        with pytest.raises(TypeError, match="a function of the context that is no coroutine function"):
            micro.RateLimit(1, key=wrong)


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("127.0.0.1:52044", "127.0.0.1"),
        ("[2001:db8::1]:443", "[2001:db8::1]"),
        ("unix:", ""),
        ("unix:/run/a:1", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_peer_has_no_port(peer: str, host: str) -> None:
    context: Any = type("Context", (), {"peer": peer})
    assert rate_limit._host(context) == host
