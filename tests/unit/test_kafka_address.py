from __future__ import annotations

from pathlib import Path

import pytest

from micro_rt.backends.kafka.address import KafkaAddress, parse_kafka_address
from micro_rt.backends.kafka.broker import KafkaBroker

SECRET = "s3cret:/@?"
QUOTED = "s3cret%3A%2F%40%3F"


def parse(address: str, **environ: str) -> KafkaAddress:
    return parse_kafka_address(address, environ)


@pytest.mark.parametrize(
    ("address", "servers"),
    [
        ("kafka://", ("127.0.0.1:9092",)),
        ("kafka://a", ("a:9092",)),
        ("kafka://a:1,b,[::1]:3", ("a:1", "b:9092", "[::1]:3")),
        ("kafka://u:p@a:1,b:2/", ("a:1", "b:2")),
    ],
)
def test_where_it_is(address: str, servers: tuple[str, ...]) -> None:
    assert parse(address).servers == servers


def test_what_is_not_said_is_usual() -> None:
    found = parse("kafka://a")
    assert found == KafkaAddress(("a:9092",))
    assert found.protocol == "PLAINTEXT"


def test_every_option(tmp_path: Path) -> None:
    for file in ("ca", "cert", "key"):
        (tmp_path / file).touch()
    found = parse(
        f"kafka://me:{QUOTED}@a/?sasl=scram-sha-512&tls=true&ca={tmp_path}/ca&cert={tmp_path}/cert&key={tmp_path}/key"
        "&verify=false&compression=zstd&client_id=billing&instance=billing-1&session=10&rebalance=60&assignor=range"
        "&create=false&partitions=3&replication=2&linger=0.01&max_message=5000&buffer=6000&timeout=7.5"
        "&isolation=uncommitted&envelope=micro"
    )
    assert found == KafkaAddress(
        servers=("a:9092",),
        sasl="SCRAM-SHA-512",
        user="me",
        password=SECRET,
        tls=True,
        ca=f"{tmp_path}/ca",
        cert=f"{tmp_path}/cert",
        key=f"{tmp_path}/key",
        verify=False,
        compression="zstd",
        client_id="billing",
        instance="billing-1",
        session=10.0,
        rebalance=60.0,
        assignor="range",
        create=False,
        partitions=3,
        replication=2,
        linger=0.01,
        max_message=5000,
        buffer=6000,
        timeout=7.5,
        isolation="uncommitted",
        envelope="micro",
    )
    assert found.protocol == "SASL_SSL"


def test_the_account_may_be_in_the_environment_and_is_never_shown() -> None:
    found = parse("kafka://a/?sasl=plain", MICRO_KAFKA_USER="me", MICRO_KAFKA_PASSWORD=SECRET)
    assert (found.sasl, found.user, found.password) == ("PLAIN", "me", SECRET)
    assert SECRET not in repr(found)
    assert SECRET not in found.place
    # An account before the @ says that there is to be one.
    assert parse(f"kafka://me:{QUOTED}@a").sasl == "PLAIN"
    # One in the environment alone does not: it may be meant for another cluster.
    assert parse("kafka://a", MICRO_KAFKA_USER="me", MICRO_KAFKA_PASSWORD=SECRET) == KafkaAddress(("a:9092",))


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("redis://a", "looks like kafka://"),
        ("kafka://a/b", "looks like"),
        ("kafka://a:x", "is not host:port"),
        ("kafka://a:0", "is not host:port"),
        ("kafka://a,,b", "is not host:port"),
        ("kafka://a?acks=1", "no option 'acks'; known: assignor, buffer, ca, cert, client_id, compression, create"),
        ("kafka://a?session=1&session=2", "given twice"),
        ("kafka://a?session=", "has no value"),
        ("kafka://a?session=soon", "session=soon: 'soon' is not a number of seconds above 0"),
        ("kafka://a?session=0", "session=0: '0' is not a number of seconds above 0"),
        ("kafka://a?session=nan", "is not a number of seconds above 0"),
        ("kafka://a?partitions=0", "partitions=0: '0' is not a whole number above 0"),
        ("kafka://a?partitions=1.5", "is not a whole number above 0"),
        ("kafka://a?tls=maybe", "tls=maybe: 'maybe' is neither true nor false"),
        ("kafka://a?compression=brotli", "it can be none, gzip, snappy, lz4 or zstd"),
        ("kafka://a?envelope=xml", "it can be cloudevents or micro"),
        ("kafka://a?isolation=none", "it can be committed or uncommitted"),
        ("kafka://a?sasl=gssapi", "it can be plain, scram-sha-256 or scram-sha-512"),
        ("kafka://a?sasl=plain", "MICRO_KAFKA_PASSWORD"),
        ("kafka://me@a", "belong user:password"),
        ("kafka://a?ca=/nowhere/ca.pem&tls=true", "there is no such file"),
        ("kafka://a?key=/dev/null&tls=true", "key= belongs to a cert="),
        ("kafka://a?instance=a/b", "letters, digits"),
        ("kafka://a?buffer=10&max_message=11", "has no room for one message"),
    ],
)
def test_an_address_that_is_wrong_says_why(address: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        KafkaBroker(address)


def test_files_are_for_tls(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="of use with tls=true only"):
        parse(f"kafka://a?ca={file}")
    with pytest.raises(ValueError, match="belongs to a cert="):
        parse(f"kafka://a?key={file}&tls=true")


def test_no_error_has_the_password_in_it() -> None:
    for wrong in ("?nothing=1", "?tls=maybe", "b/c", "?session=x"):
        with pytest.raises(ValueError, match=r"option|true|looks|seconds") as raised:
            parse(f"kafka://me:{QUOTED}@a{wrong}")
        assert "s3cret" not in str(raised.value)
