"""Config: several sources as one, while they change. Each test of a fault names where others had it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.config import Config, Env, Flags, Memory, feed
from micro_rt.config.base import Reading, Source, Tree, Value
from tests.helpers.waiting import eventually, soon


@dataclass(frozen=True)
class Limits:
    rps: int = 1
    burst: int = 2


@dataclass(frozen=True)
class Shop:
    name: str
    limits: Limits


class Broken(Source):
    """A source that fails for as long as it is said to."""

    def __init__(self, tree: Tree | None = None, *, name: str = "broken", optional: bool = False) -> None:
        self.tree: Tree = tree or {}
        self.problem: Exception | None = None
        self.opening: Exception | None = None
        self.optional = optional
        self.reads = self.closes = 0
        self._name = name
        self.report = asyncio.Event()

    @property
    def name(self) -> str:
        return self._name

    async def open(self) -> None:
        if self.opening is not None:
            raise self.opening

    async def close(self) -> None:
        self.closes += 1

    async def read(self) -> Reading:
        self.reads += 1
        if self.problem is not None:
            raise self.problem
        return Reading(self.tree)

    async def watch(self) -> AsyncIterator[None]:
        while True:
            await self.report.wait()
            self.report.clear()
            yield None


# Merging


async def test_later_sources_win_and_defaults_are_the_fallback() -> None:
    sources = [Memory({"a": 1, "b": 1}), Memory({"b": 2, "c": 2}), Memory({"c": 3})]
    async with Config(sources, defaults={"a": 0, "d": 0}) as config:
        assert [config.get(name, int) for name in "abcd"] == [1, 2, 3, 0]


@pytest.mark.parametrize("depth", range(5))
async def test_one_leaf_is_overridden_and_its_siblings_stay(depth: int) -> None:
    """Faults viper#798, fabric-smart-client#663 and dynaconf#827: one leaf of a later layer took its siblings away."""
    names = [f"level{number}" for number in range(depth)]

    def nested(tree: Tree) -> Tree:
        for name in reversed(names):
            tree = {name: tree, "beside": 1}
        return tree

    base = Memory(nested({"leaf": 1, "sibling": 1, "inner": {"x": 1, "y": 1}}))
    variables = {"__".join(["APP_" + names[0].upper(), *names[1:], "LEAF"]) if names else "APP_LEAF": "2"}
    async with Config([base, Env("APP", variables)]) as config:
        assert config.get((*names, "leaf"), int) == 2
        assert config.get((*names, "sibling"), int) == 1
        assert config.get((*names, "inner"), dict[str, int]) == {"x": 1, "y": 1}
        if names:
            assert config.get("beside", int) == 1


async def test_lists_replace() -> None:
    async with Config([Memory({"a": [1, 2, 3]}), Memory({"a": [4]})]) as config:
        assert config.get("a", list[int]) == [4]


async def test_a_null_deletes_what_earlier_sources_say() -> None:
    sources = [Memory({"a": 1, "m": {"x": 1, "y": 2}}), Memory({"a": None, "m": {"x": None}}), Memory({"m": {"z": 3}})]
    async with Config(sources) as config:
        assert config.get("a", int, default=7) == 7
        assert config.get("m", dict[str, int]) == {"y": 2, "z": 3}


async def test_a_null_between_lets_a_value_become_a_mapping() -> None:
    async with Config([Memory({"a": 1}), Memory({"a": None}), Memory({"a": {"b": 2}})]) as config:
        assert config.get("a.b", int) == 2


@pytest.mark.parametrize(
    ("one", "other"), [({"a": {"b": 5}}, {"a": 5}), ({"a": 5}, {"a": {"b": 5}}), ({"a": []}, {"a": {}})]
)
async def test_a_mapping_and_a_value_at_one_path_name_both_sources(one: Tree, other: Tree) -> None:
    with pytest.raises(micro.FailedPrecondition) as caught:
        await Config.open([Memory(one, name="first"), Memory({}, name="second"), Memory(other, name="third")])
    assert "first" in caught.value.message
    assert "third" in caught.value.message
    assert "second" not in caught.value.message
    assert caught.value.message.startswith("a is a ")


async def test_a_removed_name_is_gone_and_the_watch_says_so() -> None:
    """Fault koanf#77: removed keys stayed."""
    source = Memory({"a": {"b": 1}})
    async with Config([source]) as config:
        changes = config.watch("a.b")
        assert config.get("a.b", int, default=7) == 1
        source.delete("a.b")
        change = await soon(anext(changes))
        assert (change.old, change.new, change.sources) == (1, None, ("memory",))
        assert config.get("a.b", int, default=7) == 7
        source.set("a.b", 2)
        change = await soon(anext(changes))
        assert (change.old, change.new) == (None, 2)


# The environment and the command line


@pytest.mark.parametrize("known", ["limits", "Limits", "LIMITS", "lImItS"])
async def test_a_variable_means_the_name_of_another_source_whatever_its_case(known: str) -> None:
    """Fault dynaconf#737: the environment changed the case, and then there were two keys."""
    async with Config([Memory({known: {"maxRps": 1}}), Env("APP", {"APP_LIMITS__MAXRPS": "2"})]) as config:
        assert config.get((known, "maxRps"), int) == 2
        assert config.get("", dict[str, Any]) == {known: {"maxRps": "2"}}
        assert [each.path for each in config.dump()] == [f"{known}.maxRps"]
        assert [each.place for each in config.explain(f"{known}.maxRps")] == ["memory", "APP_LIMITS__MAXRPS"]


async def test_a_variable_means_the_name_of_the_program_if_no_source_has_it() -> None:
    @dataclass(frozen=True)
    class Camel:
        maxRps: int

    async with Config([Env("APP", {"APP_LIMITS__MAXRPS": "2"})]) as config:
        assert config.get("Limits.maxRps", int) == 2
        assert config.bind("Limits", Camel).value == Camel(2)


async def test_names_of_other_sources_have_their_case() -> None:
    async with Config([Memory({"limits": {"rps": 1}})]) as config:
        assert config.get("limits.RPS", int, default=7) == 7


async def test_two_variables_for_one_path_are_an_error() -> None:
    with pytest.raises(micro.FailedPrecondition, match=r"APP_A__B and APP_a__b both set a\.b"):
        await Config.open([Env("APP", {"APP_A__B": "1", "APP_a__b": "2"})])


async def test_a_variable_that_could_mean_two_names_is_an_error() -> None:
    with pytest.raises(micro.FailedPrecondition, match=r"APP_RPS\) could mean RPS or rps"):
        await Config.open([Memory({"rps": 1, "RPS": 2}), Env("APP", {"APP_RPS": "3"})])


async def test_a_variable_inside_another_is_an_error() -> None:
    with pytest.raises(micro.FailedPrecondition, match=r"APP_A__B sets something inside a, which APP_A sets"):
        await Config.open([Env("APP", {"APP_A": "1", "APP_A__B": "2"})])


async def test_a_variable_with_an_empty_name_is_an_error() -> None:
    with pytest.raises(micro.FailedPrecondition, match="APP_A____B has an empty name"):
        await Config.open([Env("APP", {"APP_A____B": "1"})])


async def test_an_empty_variable_is_the_empty_text() -> None:
    async with Config([Memory({"a": "x"}), Env("APP", {"APP_A": ""})]) as config:
        assert config.get("a", str, default="default") == ""


async def test_other_variables_do_not_count() -> None:
    async with Config([Env("APP", {"APP": "1", "APPLE_A": "1", "MY_APP_A": "1", "APP_B": "1"})]) as config:
        assert config.get("", dict[str, str]) == {"b": "1"}


@pytest.mark.parametrize("prefix", ["", "APP_", "_APP", "A B", "7", "APP__X"])
def test_a_prefix_that_no_variable_can_have_is_an_error(prefix: str) -> None:
    with pytest.raises(ValueError, match="is no prefix of variables"):
        Env(prefix)


@pytest.mark.parametrize(
    ("argv", "tree"),
    [
        (["--limits.rps=5"], {"limits": {"rps": "5"}}),
        (["--limits.rps", "5"], {"limits": {"rps": "5"}}),
        (["--limits.rps", "-5", "--debug"], {"limits": {"rps": "-5"}, "debug": "true"}),
        (["--debug", "--a=b=c"], {"debug": "true", "a": "b=c"}),
        (["--a="], {"a": ""}),
        ([], {}),
    ],
)
async def test_flags(argv: list[str], tree: Tree) -> None:
    async with Config([Flags(argv)]) as config:
        assert config.get("") == tree


@pytest.mark.parametrize("argv", [["Canary7"], ["--a=1", "-Canary7"], ["--", "Canary7"], ["--a", "1", "Canary7"]])
async def test_an_argument_that_is_no_flag_is_an_error_that_does_not_repeat_it(argv: list[str]) -> None:
    with pytest.raises(micro.FailedPrecondition, match=r"command line: argument \d is no flag") as caught:
        await Config.open([Flags(argv)])
    assert "Canary7" not in str(caught.value)


async def test_two_flags_for_one_path_are_an_error() -> None:
    with pytest.raises(micro.FailedPrecondition, match=r"--a\.b and --a\.b both set a\.b"):
        await Config.open([Flags(["--a.b=1", "--a.b", "2"])])


# The environment in texts


async def test_the_environment_is_put_into_texts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "${INNER}")
    monkeypatch.setenv("INNER", "wrong")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOTHING", raising=False)
    tree: Tree = {
        "a": "at ${PLACE}/x",
        "b": "${NOTHING:-other}",
        "c": "${EMPTY:-other}",
        "d": "[${EMPTY}]",
        "e": "$${PLACE} $PLACE ${PLACE}",
        "f": ["${INNER}", {"g": "${INNER}"}],
    }
    async with Config([Memory(tree)]) as config:
        assert config.get("") == {
            "a": "at ${INNER}/x",
            "b": "other",
            "c": "other",
            "d": "[]",
            "e": "${PLACE} $PLACE ${INNER}",
            "f": ["wrong", {"g": "wrong"}],
        }


@pytest.mark.parametrize("text", ["${NOTHING}", "${", "${}", "${a b}", "${A:-${B}}", "${A", "${A:default}", "x${7}"])
async def test_a_reference_that_cannot_be_resolved_is_an_error_with_path_and_place(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTHING", raising=False)
    source = Broken()

    async def read() -> Reading:
        return Reading({"a": {"b": text}}, {("a", "b"): "conf/a.yaml:12"})

    source.read = read  # type: ignore[method-assign]
    with pytest.raises(
        micro.FailedPrecondition, match=r"broken: a\.b \(conf/a\.yaml:12\) (needs|has a \$\{)"
    ) as caught:
        await Config.open([source])
    assert ("NOTHING" in caught.value.message) == (text == "${NOTHING}")


async def test_a_text_with_the_environment_in_it_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    async with Config([Memory({"port": "${PORT}", "ports": ["${PORT}", 1], "typed": "8080"})]) as config:
        assert config.get("port", int) == 8080
        assert config.get("ports", list[int]) == [8080, 1]
        with pytest.raises(micro.FailedPrecondition, match=r"typed .* must be a whole number, not a text"):
            config.get("typed", int)


async def test_texts_of_the_environment_and_the_command_line_stay_as_they_are() -> None:
    async with Config([Env("APP", {"APP_A": "${X}$${Y}"}), Flags(["--b=${X"])]) as config:
        assert config.get("") == {"a": "${X}$${Y}", "b": "${X"}


# What a source may give


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ([1], "it gives a list, not names with values"),
        ({7: 1}, "has a name that is a whole number"),
        ({"a": {"": 1}}, "a has an empty name in it"),
        ({"a": b"x"}, "a is a bytes"),
        ({"a": {1, 2}}, "a is a set"),
        ({"a": float("nan")}, "a is no finite number"),
        ({"a": [float("inf")]}, "a is no finite number"),
        ({"a": 1 << 300}, "a is a whole number of more than 256 bits"),
        ({"a": "\ud800"}, "a is a text that is not Unicode"),
        ({"a": ["x" * (17 << 20)]}, "is too long"),
        ({"a": list(range(100_001))}, "is one value too many"),
        ({"a": [{"": 1}]}, "has a name in it that is empty"),
    ],
)
async def test_what_makes_no_sense_or_is_too_much_is_refused(tree: Any, problem: str) -> None:
    source = Broken(tree)
    with pytest.raises(micro.FailedPrecondition) as caught:
        await Config.open([source])
    assert caught.value.message.startswith("broken: ")
    assert problem in caught.value.message


@pytest.mark.parametrize("inner", [lambda value: {"a": value}, lambda value: [value]])
async def test_what_is_nested_too_deeply_is_refused(inner: Any) -> None:
    value: Any = 1
    for _ in range(2000):
        value = inner(value)
    with pytest.raises(micro.FailedPrecondition, match="is nested too deeply"):
        await Config.open([Broken({"a": value})])


# Sources that fail


async def test_a_source_that_cannot_be_read_at_the_start_is_named() -> None:
    source = Broken(name="etcd://10.0.0.5/app")
    source.opening = micro.Unavailable("no etcd at 10.0.0.5: start it, or name another one in MICRO_CONFIG")
    other = Broken(name="other")
    with pytest.raises(micro.Unavailable) as caught:
        await Config.open([other, source])
    assert caught.value.message.startswith("etcd://10.0.0.5/app: no etcd at 10.0.0.5: start it")
    assert other.closes, "nothing is left open"


async def test_a_source_that_hangs_at_the_start_is_named() -> None:
    class Hangs(Broken):
        async def read(self) -> Reading:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(micro.Unavailable, match=r"hangs: it has not answered within 0\.05 s"):
        await Config.open([Hangs(name="hangs")], timeout=0.05)


async def test_an_exception_of_a_foreign_source_is_an_error_without_its_text() -> None:
    source = Broken()
    source.problem = ValueError("Canary7")
    with pytest.raises(micro.Unavailable, match="broken: it failed with ValueError") as caught:
        await Config.open([source])
    assert caught.value.__context__ is None
    assert "Canary7" not in str(caught.value)


@pytest.mark.parametrize("when", ["opening", "problem"])
async def test_an_optional_source_that_is_broken_at_the_start_gets_live(when: str) -> None:
    """Fault alacritty#4561: what was broken at the start was never watched."""
    source = Broken({"a": 1}, optional=True)
    setattr(source, when, micro.Unavailable("down"))
    async with Config([source, Memory({"b": 1})]) as config:
        assert config.get("a", int, default=7) == 7
        assert config.get("b", int) == 1
        assert [status.state for status in config.status] == ["stale", "ok"]
        assert config.problem == "broken: down"
        setattr(source, when, None)
        source.report.set()
        await eventually(lambda: config.get("a", int, default=7), equals=1)
        assert config.problem == ""
        for number in range(3):
            source.tree = {"a": number}
            source.report.set()
            await eventually(lambda number=number: config.get("a", int) == number)  # type: ignore[misc]


async def test_a_source_that_fails_later_keeps_its_last_good_settings_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Faults spring-cloud-commons#648 and go-micro: a bad update threw the good one away, or stopped every source."""
    source, other = Broken({"a": 1}), Memory({"b": 1})
    with caplog.at_level(logging.INFO, "micro_rt.config"):
        async with Config([source, other]) as config:
            for number in range(1, 4):
                caplog.clear()
                reads = source.reads
                source.problem = micro.Unavailable("down")
                for _ in range(3):
                    source.report.set()
                    await eventually(lambda reads=reads: source.reads > reads)  # type: ignore[misc]
                    reads = source.reads
                await eventually(lambda: config.status[0].state == "stale")
                other.set("b", -number)
                await eventually(lambda number=number: config.get("b", int) == -number)  # type: ignore[misc]
                assert config.get("a", int) == number
                assert config.status[0].error == "broken: down"
                assert config.status[0].since is not None
                assert config.status[1].state == "ok"
                assert len(caplog.records) == 1, "reported once"
                source.problem, source.tree = None, {"a": number + 1}
                source.report.set()
                await eventually(lambda number=number: config.get("a", int) == number + 1)  # type: ignore[misc]
                assert config.status[0].state == "ok"


async def test_a_bad_update_is_refused_as_a_whole_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    source, other = Memory({"limits": {"rps": 1}, "x": 1}), Memory({"y": 1}, name="other")
    with caplog.at_level(logging.WARNING, "micro_rt.config"):
        async with Config([source, other]) as config:
            limits = config.bind("limits", Limits)
            for number in range(1, 4):
                caplog.clear()
                bad: Tree = {"limits": {"rps": "many"}, "x": number + 10}
                source.replace(bad)
                await eventually(lambda: config.problem)
                assert config.problem == "memory: limits.rps (memory) must be a whole number, not a text"[8:]
                source.replace(bad)
                other.set("y", number + 1)
                await eventually(lambda number=number: config.get("y", int) == number + 1)  # type: ignore[misc]
                assert limits.value.rps == number
                assert config.get("x", int) == number, "nothing of a bad update is used"
                assert [record.message for record in caplog.records] == [
                    f"an update of the configuration is not used, the last good one counts: {config.problem}"
                ]
                source.replace({"limits": {"rps": number + 1}, "x": number + 1})
                await eventually(lambda number=number: limits.value.rps == number + 1)  # type: ignore[misc]
                assert not config.problem


async def test_what_was_refused_is_used_once_another_source_makes_it_right() -> None:
    one, other = Memory({"a": 1}, name="one"), Memory({}, name="other")
    async with Config([one, other]) as config:
        other.set("a.b", 2)
        await eventually(lambda: config.status[1].state == "stale")
        assert config.get("a", int) == 1
        del config
    async with Config([one, other := Memory({}, name="other")]) as config:
        other.set("a.b", 2)
        await eventually(lambda: config.status[1].state == "stale")
        one.delete("a")
        await eventually(lambda: config.get("a", default=None) == {"b": 2})
        assert not config.problem


async def test_a_setting_that_was_read_as_a_type_keeps_that_type() -> None:
    source = Memory({"rps": 1})
    async with Config([source]) as config:
        assert config.get("rps", int) == 1
        source.set("rps", "many")
        await eventually(lambda: config.problem)
        assert config.get("rps", int) == 1


async def test_a_watch_that_ends_is_begun_again() -> None:
    class Ends(Broken):
        watches = 0

        async def watch(self) -> AsyncIterator[None]:
            self.watches += 1
            if self.watches < 3:
                raise RuntimeError("Canary7")
            async for each in super().watch():
                yield each

    source = Ends({"a": 1})
    async with Config([source]) as config:
        await eventually(lambda: source.watches == 3)
        source.tree = {"a": 2}
        source.report.set()
        await eventually(lambda: config.get("a", int) == 2)
        await eventually(lambda: not config.problem)


async def test_what_is_new_is_read_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that sees the same bad settings twice, and never the good ones that were read in between, reports nothing."""
    monkeypatch.setattr(feed, "LOOK_AGAIN", 0.05)
    source = Broken({"a": 1})
    async with Config([source]) as config:
        source.problem = micro.Unavailable("bad")
        source.report.set()
        await eventually(lambda: config.problem)
        source.problem = None
        await eventually(lambda: not config.problem, "it is tried again without a report")
        source.problem = micro.Unavailable("bad")
        await eventually(lambda: config.problem, "it is read once more without a report")


async def test_closing_ends_everything() -> None:
    source = Broken({"a": 1})
    before = asyncio.all_tasks()
    config = await Config.open([source])
    changes = config.watch()
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    await config.close()
    with pytest.raises(StopAsyncIteration):
        await soon(waiting)
    await config.close()
    assert source.closes == 1
    assert asyncio.all_tasks() == before
    assert config.get("a", int) == 1, "what was read last can still be read"


async def test_a_config_can_be_opened_again() -> None:
    source = Memory({"a": 1})
    config = Config([source])
    for number in range(3):
        async with config:
            source.set("a", number)
            await eventually(lambda number=number: config.get("a", int) == number)  # type: ignore[misc]


# Sources of others


class Duck:
    """The least that is a source."""

    name = "duck"

    async def read(self) -> Mapping[str, Value]:
        return {"a": {"b": 1}}


async def test_any_object_with_a_name_and_read_is_a_source() -> None:
    async with Config([Duck(), {"a": {"c": 2}}]) as config:
        assert config.get("a") == {"b": 1, "c": 2}
        assert [each.source for each in config.explain("a")] == ["duck", "mapping"]


@pytest.mark.parametrize("source", [5, None, "text", object(), Memory])
async def test_anything_else_is_no_source(source: Any) -> None:
    with pytest.raises(TypeError, match="a source of a config is"):
        Config([source])


@pytest.mark.parametrize("sources", ["file:conf", {"a": 1}])
def test_one_source_is_not_a_list(sources: Any) -> None:
    with pytest.raises(TypeError, match="are a list"):
        Config(sources)


# Reading


async def test_a_missing_setting_names_the_nearest_one() -> None:
    async with Config([Memory({"limits": {"rps": 1}})]) as config:
        with pytest.raises(micro.FailedPrecondition, match=r"limits\.rsp is missing; did you mean limits\.rps\?"):
            config.get("limits.rsp", int)
        with pytest.raises(micro.FailedPrecondition, match="nothing is missing; set it, or pass a default"):
            config.get("nothing", int)
        assert config.get("nothing", int, default=None) is None
        assert config.get("nothing", int | None) is None


async def test_misspelt_names_are_refused_with_the_nearest_one() -> None:
    source = Memory({"limits": {"rsp": 1, "burts": 2, "colour": 3}})
    async with Config([source]) as config:
        with pytest.raises(micro.FailedPrecondition) as caught:
            config.bind("limits", Limits)
        assert caught.value.message == (
            "limits.rsp (memory) is no setting of Limits; did you mean rps?; "
            "limits.burts (memory) is no setting of Limits; did you mean burst?; "
            "limits.colour (memory) is no setting of Limits; it has rps, burst"
        )
        assert config.bind("limits", Limits, unknown="ignore").value == Limits()
        with pytest.raises(ValueError, match="unknown="):
            config.bind("limits", Limits, unknown="warn")  # type: ignore[arg-type]


async def test_every_source_gives_get_and_bind_the_same() -> None:
    """Fault viper#522: a variable was seen by Get and not by Unmarshal."""
    every: list[list[Any]] = [
        [Memory({"limits": {"rps": 5}})],
        [Env("APP", {"APP_LIMITS__RPS": "5"})],
        [Flags(["--limits.rps=5"])],
        [{"limits": {"rps": 1}}, Env("APP", {"APP_LIMITS__RPS": "5"})],
    ]
    for sources in every:
        async with Config(sources) as config:
            assert config.get("limits.rps", int) == 5
            assert config.bind("limits", Limits).value.rps == 5
            assert config.get("limits", Limits).rps == 5


async def test_the_settings_of_a_path_that_is_not_there_are_those_of_the_dataclass() -> None:
    source = Memory({})
    async with Config([source]) as config:
        limits = config.bind("limits", Limits)
        assert limits.value == Limits()
        source.set("limits.rps", 5)
        await eventually(lambda: limits.value == Limits(rps=5))
        with pytest.raises(micro.FailedPrecondition, match="name is missing"):
            config.bind("", Shop, unknown="ignore")


async def test_two_binds_read_in_one_step_have_one_revision() -> None:
    """Fault spring-cloud-config#1562: beans on different versions."""
    source = Memory({"one": {"rps": 0}, "two": {"rps": 0}})
    async with Config([source]) as config:
        one, two = config.bind("one", Limits), config.bind("two", Limits)
        changes = config.watch()
        for number in range(1, 20):
            source.replace({"one": {"rps": number}, "two": {"rps": number}})
            change = await soon(anext(changes))
            assert one.value.rps == two.value.rps == number == config.get("one.rps", int)
            assert one.revision == two.revision == change.revision == config.revision == number + 1


async def test_an_update_that_changes_nothing_is_no_revision() -> None:
    source = Memory({"a": 1})
    async with Config([source]) as config:
        source.replace({"a": 1})
        source.set("b", 1)
        await eventually(lambda: config.get("b", int, default=0))
        assert config.revision == 2
        source.set("a", True)
        await eventually(lambda: config.get("a") is True)
        assert config.revision == 3
    under, over = Memory({"a": 1, "b": 1}, name="under"), Memory({"a": 2}, name="over")
    async with Config([under, over]) as config:
        under.set("a", 3)
        await eventually(lambda: [each.value for each in config.explain("a")] == ["3", "2"])
        assert config.revision == 1, "what nobody sees changes nothing"


async def test_a_slow_consumer_gets_the_newest_and_no_change_that_was_undone() -> None:
    one, other = Memory({"a": 1, "b": 1}, name="one"), Memory({}, name="other")
    async with Config([one, other]) as config:
        changes = config.watch("a")
        for number in (2, 3, 4):
            one.set("a", number)
            await eventually(lambda number=number: config.get("a", int) == number)  # type: ignore[misc]
        change = await soon(anext(changes))
        assert (change.path, change.old, change.new, change.sources) == ("a", 1, 4, ("one",))
        for number in (5, 4):
            one.set("a", number)
            await eventually(lambda number=number: config.get("a", int) == number)  # type: ignore[misc]
        one.set("b", 2)
        other.set("a", 9)
        change = await soon(anext(changes))
        assert (change.old, change.new, change.sources) == (4, 9, ("other",))


async def test_what_is_read_cannot_be_changed() -> None:
    @dataclass(frozen=True)
    class Lists:
        items: list[int] = field(default_factory=list)
        names: dict[str, int] = field(default_factory=dict)

    async with Config([Memory({"items": [1], "names": {"a": 1}})]) as config:
        lists = config.bind("", Lists).value
        for change in (
            lambda: lists.items.append(2),
            lambda: lists.items.__setitem__(0, 2),
            lambda: lists.names.update(b=2),
            lambda: lists.names.pop("a"),
            lambda: config.get("items").clear(),
            lambda: config.get("", dict[str, Any]).setdefault("x", 1),
        ):
            with pytest.raises(TypeError, match="cannot be changed"):
                change()
        assert config.get("", Lists) == Lists([1], {"a": 1})


# Looking at it


async def test_explain_lists_every_source_with_its_place() -> None:
    class Placed(Broken):
        async def read(self) -> Reading:
            return Reading({"limits": {"rps": 5}}, {("limits", "rps"): "conf/a.yaml:12"})

    sources = [Placed(name="file:conf"), Memory({"limits": {"rps": None}}), Env("APP", {"APP_LIMITS__RPS": "7"})]
    async with Config(sources, defaults={"limits": {"rps": 1, "burst": 2}}) as config:
        assert [(each.source, each.place, each.value, each.wins) for each in config.explain("limits.rps")] == [
            ("defaults", "defaults", "1", False),
            ("file:conf", "conf/a.yaml:12", "5", False),
            ("memory", "memory", "null (deletes)", False),
            ("environment APP_*", "APP_LIMITS__RPS", '"7"', True),
        ]
        assert [str(each) for each in config.dump()] == [
            "limits.burst = 2  (defaults)",
            'limits.rps = "7"  (APP_LIMITS__RPS)',
        ]
        assert config.explain("nothing") == []


async def test_a_null_that_deletes_a_mapping_is_explained() -> None:
    async with Config([Memory({"a": {"b": 1}}), Memory({"a": None}, name="two")]) as config:
        assert [(each.source, each.path, each.wins) for each in config.explain("a.b")] == [
            ("memory", "a.b", False),
            ("two", "a", False),
        ]
        assert config.dump() == []
