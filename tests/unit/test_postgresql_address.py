from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from micro_rt.backends.postgresql.address import PostgreSQLAddress, parse_postgresql_address, quoted

SECRET = "s3cret:/@?"
QUOTED = "s3cret%3A%2F%40%3F"


def parse(address: str, **environ: str) -> PostgreSQLAddress:
    return parse_postgresql_address(address, environ=environ)


@pytest.mark.parametrize(
    ("address", "servers"),
    [
        ("postgresql://me@/db", ("127.0.0.1:5432",)),
        ("postgresql://me@a/db", ("a:5432",)),
        ("postgresql://me@a:1,b,[::1]:3/db", ("a:1", "b:5432", "[::1]:3")),
    ],
)
def test_where_it_is(address: str, servers: tuple[str, ...]) -> None:
    assert parse(address).servers == servers


def test_what_is_not_said_is_usual() -> None:
    found = parse("postgresql://me@a/db")
    assert found == PostgreSQLAddress("postgresql", ("a:5432",), "db", "me", schema="micro_rt_default")
    assert found.place == "PostgreSQL at a:5432/db"
    assert found.tls_context() is None


def test_cockroachdb_has_a_port_and_variables_of_its_own() -> None:
    found = parse_postgresql_address(
        "cockroachdb://a/db", "cockroachdb", {"MICRO_COCKROACHDB_USER": "me", "MICRO_COCKROACHDB_PASSWORD": SECRET}
    )
    assert (found.servers, found.user, found.password) == (("a:26257",), "me", SECRET)
    assert found.place == "CockroachDB at a:26257/db"


def test_every_option(tmp_path: Path) -> None:
    for file in ("ca", "cert", "key"):
        (tmp_path / file).touch()
    found = parse(
        f"postgresql://me:{QUOTED}@a/d%22b?schema=s&pool=3&timeout=1m&tls=true&verify=false&ca={tmp_path}/ca"
        f"&cert={tmp_path}/cert&key={tmp_path}/key&pgbouncer=transaction"
    )
    assert found == PostgreSQLAddress(
        scheme="postgresql",
        servers=("a:5432",),
        database='d"b',
        user="me",
        password=SECRET,
        schema="s",
        pool=3,
        timeout=60.0,
        tls=True,
        ca=f"{tmp_path}/ca",
        cert=f"{tmp_path}/cert",
        key=f"{tmp_path}/key",
        verify=False,
        verify_name=False,
        pgbouncer="transaction",
    )


@pytest.mark.parametrize(
    ("mode", "tls", "verify", "name"),
    [
        ("disable", False, False, False),
        ("require", True, False, False),
        ("verify-ca", True, True, False),
        ("verify-full", True, True, True),
    ],
)
def test_sslmode_as_libpq_has_it(mode: str, *, tls: bool, verify: bool, name: bool) -> None:
    found = parse(f"postgresql://me@a/db?sslmode={mode}")
    assert (found.tls, found.verify, found.verify_name) == (tls, verify, name)
    context = found.tls_context()
    assert (context is not None) == tls
    if context is not None:
        assert context.check_hostname == name


def test_the_account_may_be_in_the_environment_and_is_never_shown() -> None:
    found = parse("postgresql://a/db", MICRO_POSTGRESQL_USER="me", MICRO_POSTGRESQL_PASSWORD=SECRET)
    assert (found.user, found.password) == ("me", SECRET)
    assert SECRET not in repr(found)
    assert SECRET not in found.place
    both = parse("postgresql://you@a/db", MICRO_POSTGRESQL_USER="me", MICRO_POSTGRESQL_PASSWORD=SECRET)
    assert (both.user, both.password) == ("you", SECRET)


def test_the_namespace_names_the_schema() -> None:
    assert parse("postgresql://me@a/db", MICRO_NAMESPACE='te"st; é').schema == 'micro_rt_te"st; é'
    assert quoted('te"st; é') == '"te""st; é"'
    with pytest.raises(ValueError, match="MICRO_NAMESPACE"):
        parse("postgresql://me@a/db", MICRO_NAMESPACE="é" * 28)
    assert parse("postgresql://me@a/db", MICRO_NAMESPACE="é" * 27).schema == f"micro_rt_{'é' * 27}"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("mysql://me@a/db", "looks like postgresql://"),
        ("postgresql:me@a/db", "looks like postgresql://"),
        ("postgresql://me@a/db/more", "looks like postgresql://"),
        ("postgresql://me@a/db#x", "looks like postgresql://"),
        (f"postgresql://me:{SECRET}@a/db", "percent-encode"),
        ("postgresql://me@a", "looks like postgresql://"),
        ("postgresql://me@a/", "names no database"),
        ("postgresql://me@a/%00", "NUL"),
        (f"postgresql://me@a/{'x' * 64}", "63 bytes"),
        ("postgresql://:word@a/db", "user:password"),
        ("postgresql://m%00e@a/db", "NUL"),
        ("postgresql://me@a:0/db", "host:port"),
        ("postgresql://me@a,/db", "host:port"),
        ("postgresql://me@a/db?schema=pg_mine", "pg_"),
        (f"postgresql://me@a/db?schema={'x' * 64}", "schema="),
        ("postgresql://me@a/db?pool=0", "pool=0"),
        ("postgresql://me@a/db?pool=1001", "at most 1000"),
        ("postgresql://me@a/db?timeout=0", "timeout=0"),
        ("postgresql://me@a/db?timeout=nan", "timeout=nan"),
        ("postgresql://me@a/db?tls=maybe", "tls=maybe"),
        ("postgresql://me@a/db?sslmode=prefer", "disable, require, verify-ca or verify-full"),
        ("postgresql://me@a/db?sslmode=require&tls=true", "one of them"),
        ("postgresql://me@a/db?ca=/none&tls=true", "there is no such file"),
        ("postgresql://me@a/db?pgbouncer=statement", "transaction or session"),
        ("postgresql://me@a/db?pol=3", "known: ca, cert"),
        ("postgresql://me@a/db?pool=1&pool=2", "twice"),
    ],
)
def test_mistakes_are_named_and_no_secret_is_shown(address: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse(address)
    assert SECRET not in str(caught.value)


def test_pgbouncer_is_not_for_cockroachdb() -> None:
    with pytest.raises(ValueError, match="postgresql:// only"):
        parse_postgresql_address("cockroachdb://me@a/db?pgbouncer=transaction", "cockroachdb", {})


def test_the_user_is_the_one_who_runs_the_process_if_the_address_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert parse_postgresql_address("postgresql://127.0.0.1:26257/app", environ={}).user == "ada"

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    with pytest.raises(ValueError, match="MICRO_POSTGRESQL_USER"):
        parse_postgresql_address("postgresql://127.0.0.1:26257/app", environ={})
