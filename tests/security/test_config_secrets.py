"""No output of a config has a secret in it: errors, tracebacks, logs, ``repr``, ``dump``, ``explain``, ``status``.

Faults pydantic#9139, pydantic-settings#937 and nanoidp#352: a secret in the error of another field, or one that was written as a number.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

import micro_rt as micro
from micro_rt.config import Config, Env, Flags, Memory, Secret
from micro_rt.config.base import Reading, Source
from micro_rt.config.secret import is_secret_name, mentions_secret
from tests.helpers.waiting import eventually

CANARY = "Canary7x"
NUMBER = 918273645
CANARIES = (CANARY, str(NUMBER))


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Account:
    user: str
    pin: Secret[str]


@dataclass(frozen=True)
class Everything:
    """Secrets by their type and by their name, between fields of every type."""

    count: int
    share: float
    flag: bool
    text: str
    wait: timedelta
    colour: Colour
    choice: Literal["one", "two"]
    numbers: list[int]
    by_name: dict[str, int]
    file: Path
    declared: Secret[str]
    declared_number: Secret[int]
    accounts: list[Account]
    account: Account
    maybe: Secret[str] | None = None
    db_password: str = ""
    apiKey: str = ""
    tokens: list[str] = field(default_factory=list)
    url: str = ""


GOOD: dict[str, Any] = {
    "count": 1,
    "share": 0.5,
    "flag": True,
    "text": "text",
    "wait": "1s",
    "colour": "red",
    "choice": "one",
    "numbers": [1],
    "by_name": {"a": 1},
    "file": "/etc",
    "declared": CANARY,
    "declared_number": NUMBER,
    "accounts": [{"user": "ada", "pin": CANARY}],
    "account": {"user": "ada", "pin": CANARY},
    "maybe": CANARY,
    "db_password": CANARY,
    "apiKey": CANARY,
    "tokens": [CANARY],
    "url": f"postgresql://me:{CANARY}@db:5432/",
}
BROKEN: dict[str, list[Any]] = {
    "count": [CANARY, 1.5, [CANARY], {CANARY: NUMBER}],
    "share": [CANARY, {"a": CANARY}],
    "flag": [CANARY, NUMBER],
    "text": [NUMBER, [CANARY]],
    "wait": [CANARY, -NUMBER, [CANARY]],
    "colour": [CANARY, NUMBER, [CANARY]],
    "choice": [CANARY, NUMBER],
    "numbers": [CANARY, [CANARY], {"a": CANARY}],
    "by_name": [CANARY, {"a": CANARY}, [CANARY]],
    "file": [f"{CANARY}\0", NUMBER],
    "declared": [NUMBER, [CANARY]],
    "declared_number": [CANARY, [NUMBER]],
    "accounts": [CANARY, [CANARY], [{"user": CANARY}], [{"pin": NUMBER}], [{"user": "a", "pin": "b", "x": CANARY}]],
    "account": [CANARY, {"user": "ada"}, {"user": NUMBER, "pin": CANARY}, {"user": "ada", "pin": NUMBER}],
    "maybe": [NUMBER, [CANARY]],
    "db_password": [NUMBER, [CANARY]],
    "apiKey": [NUMBER],
    "tokens": [CANARY, [NUMBER]],
    "url": [NUMBER, f"${{{CANARY}}}", f"${{{CANARY.upper()}", f"${{X:-${{{CANARY}}}}}"],
    "unknown": [CANARY, NUMBER, [CANARY]],
    "coun": [CANARY],
    "unicode": [f"{CANARY}\ud800"],
    "kind": [CANARY.encode(), {CANARY}, object()],
}
FAULTS = [(name, value) for name, values in BROKEN.items() for value in values]


def output_of(error: BaseException) -> Iterator[str]:
    """Yields everything that a program or a tool may show of an exception, variables of the runtime's frames included."""
    yield f"{error} {error!r} {error.args!r}"
    yield "".join(traceback.format_exception(error))
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    while shown is not None:
        for frame in shown.stack:
            if "/micro_rt/" in frame.filename:
                yield f"{frame.name} {frame.locals}"
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)  # type: ignore[assignment]
    seen: BaseException | None = error
    while seen is not None:
        yield f"{seen!r}"
        seen = seen.__cause__ or seen.__context__


def output_of_config(config: Config) -> Iterator[str]:
    yield f"{config!r} {config} {config.status!r} {config.problem}"
    for path in ("", *GOOD):
        for setting in (*config.explain(path), *config.dump()):
            yield f"{setting} {setting!r}"


def check(*outputs: str) -> None:
    for output in outputs:
        for canary in CANARIES:
            assert canary.lower() not in output.lower(), output


class Placed(Source):
    """A source with places, whose settings may be anything."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    @property
    def name(self) -> str:
        return "placed"

    async def read(self) -> Reading:
        return Reading(self.tree, {(name,): f"conf/a.yaml:{line}" for line, name in enumerate(self.tree)})


@pytest.mark.parametrize(("name", "value"), FAULTS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(FAULTS)])
async def test_no_error_at_the_start_has_a_value_in_it(name: str, value: Any) -> None:
    with pytest.raises(micro.FailedPrecondition) as caught:
        async with await Config.open([Placed({**GOOD, name: value})]) as config:
            config.bind("", Everything)
    check(*output_of(caught.value))
    assert name in caught.value.message, "it says which"


@pytest.mark.parametrize("name", GOOD)
async def test_no_error_of_get_has_a_value_in_it(name: str) -> None:
    async with Config([Placed(GOOD), Memory()]) as config:
        for kind in (
            int,
            bool,
            timedelta,
            list[Account],
            dict[str, Account],
            Account,
            Colour,
            Literal[7],
            tuple[int, int],
        ):
            try:
                config.get(name, kind)
            except micro.FailedPrecondition as error:
                check(*output_of(error))
            try:
                config.get(f"{name}.below", kind)
            except micro.FailedPrecondition as error:
                check(*output_of(error))


@pytest.mark.parametrize(("name", "value"), FAULTS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(FAULTS)])
async def test_no_report_of_a_bad_update_has_a_value_in_it(
    name: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    source = Memory(GOOD)
    with caplog.at_level(logging.DEBUG):
        async with Config([source]) as config:
            bound = config.bind("", Everything)
            check(repr(bound), *output_of_config(config))
            source.replace({**GOOD, name: value})
            await eventually(lambda: config.problem)
            check(repr(bound), *output_of_config(config))
            assert bound.value.declared.reveal() == CANARY
    assert [record for record in caplog.records if record.name == "micro_rt.config"]
    check(caplog.text, *(str(record.args) for record in caplog.records))


@pytest.mark.parametrize("name", GOOD)
async def test_no_clash_of_two_sources_has_a_value_in_it(name: str) -> None:
    other: Any = {name: "x"} if isinstance(GOOD[name], dict) else {name: {"a": CANARY}}
    for sources in ([Placed(GOOD), Memory(other)], [Memory(other), Placed(GOOD)]):
        with pytest.raises(micro.FailedPrecondition) as caught:
            await Config.open(sources)
        check(*output_of(caught.value))


@pytest.mark.parametrize("kind", ["memory", "env", "flags", "defaults", "mapping", "secret", "duck"])
async def test_a_secret_of_every_source_is_masked(kind: str) -> None:
    tree: dict[str, Any] = {
        "password": CANARY,
        "inner": {"api_key": CANARY, "pin": CANARY},
        "url": f"amqp://:{CANARY}@host",
    }
    if kind != "secret":
        tree["inner"]["shown"] = "visible"

    class Duck:
        name = "duck"

        async def read(self) -> Any:
            return tree

    variables = {
        "APP_PASSWORD": CANARY,
        "APP_INNER__API_KEY": CANARY,
        "APP_INNER__PIN": CANARY,
        "APP_INNER__SHOWN": "visible",
    }
    argv = [f"--password={CANARY}", "--inner.api_key", CANARY, f"--inner.pin={CANARY}", "--inner.shown=visible"]
    made: dict[str, list[Any]] = {
        "memory": [Memory(tree)],
        "env": [Env("APP", variables)],
        "flags": [Flags(argv)],
        "defaults": [],
        "mapping": [tree],
        "secret": [Memory({**tree, "anything": CANARY, "number": NUMBER}, secret=True)],
        "duck": [Duck()],
    }
    sources = made[kind]
    async with Config(sources, defaults=tree if kind == "defaults" else {}) as config:

        @dataclass(frozen=True)
        class Inner:
            pin: Secret[str]

        assert config.get("inner.pin", Secret[str]).reveal() == CANARY
        check(repr(sources) if kind != "mapping" else "", *output_of_config(config))
        settings = {setting.path: setting.value for setting in config.dump()}
        assert settings["password"] == "***"
        if kind != "secret":
            assert settings["inner.shown"] == '"visible"', "what is no secret is shown"


async def test_a_secret_of_the_environment_is_not_shown_where_it_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VALUE", CANARY)
    async with Config([Memory({"greeting": "hello ${SOME_VALUE}", "list": ["${SOME_VALUE}"]})]) as config:
        assert config.get("greeting", str) == f"hello {CANARY}"
        check(*output_of_config(config))
        assert [setting.value for setting in config.dump()] == ['"hello ${SOME_VALUE}"', '["${SOME_VALUE}"]']


async def test_a_change_shows_no_value() -> None:
    source = Memory({"a": CANARY})
    async with Config([source]) as config:
        changes = config.watch("a")
        source.set("a", f"{CANARY} again")
        change = await anext(changes)
        assert change.new == f"{CANARY} again"
        check(repr(change), str(change))


def test_a_secret_shows_nothing() -> None:
    secret = Secret(CANARY)
    check(
        repr(secret),
        str(secret),
        f"{secret} {secret:>20} {secret!r} {secret!s}",
        "%s %r" % (secret, secret),  # noqa: UP031
        repr([secret]),
        repr({"a": secret}),
        repr(copy.copy(secret)),
        repr(copy.deepcopy(secret)),
        repr(Account("ada", secret)),
        repr(asdict(Account("ada", secret))),
        repr(replace(Account("ada", secret), user="bob")),
        str(vars(Account("ada", secret))),
    )
    assert secret.reveal() == CANARY
    assert secret == Secret(CANARY) != Secret("other")
    assert len({secret, Secret(CANARY)}) == 1
    assert bool(Secret("")) is False


@pytest.mark.parametrize("dump", [pickle.dumps, json.dumps, copy.copy, vars])
def test_what_would_write_a_secret_out_raises_or_keeps_it(dump: Any) -> None:
    try:
        written = dump(Secret(CANARY))
    except TypeError as error:
        check(str(error))
    else:
        assert isinstance(written, Secret)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "db_password",
        "dbPassword",
        "dbpassword",
        "passwd",
        "pwd",
        "secret",
        "client-secret",
        "token",
        "accessToken",
        "api_key",
        "apiKey",
        "APIKEY",
        "key",
        "tls.key",
        "private",
        "credentials",
        "passphrase",
        "auth",
        "dsn",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["monkey", "keyboard", "author", "limits", "rps", "name", "saltwater", "dsname", "turkey", ""]
)
def test_names_of_other_values(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("text", ["host=db password=x", "pwd: x", '{"api_key": 1}', "Authorization token=1"])
def test_texts_that_mention_a_secret(text: str) -> None:
    assert mentions_secret(text)


@pytest.mark.parametrize("text", ["a keyboard", "the token", "monkey business"])
def test_other_texts(text: str) -> None:
    assert not mentions_secret(text)
