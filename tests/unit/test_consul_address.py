"""How the address of a Consul is read, without a Consul."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from micro_rt.backends.consul.address import ConsulAddress, parse_consul_address
from micro_rt.backends.consul.registry import ConsulRegistry


def parsed(address: str, **environ: str) -> ConsulAddress:
    return parse_consul_address(address, environ=environ)[0]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("consul://", "http://127.0.0.1:8500"),
        ("consul://host", "http://host:8500"),
        ("consul://host:1/", "http://host:1"),
        ("consul://host:1?dc=x", "http://host:1"),
        ("consul://[::1]:9", "http://[::1]:9"),
        ("consul://host/?tls=true", "https://host:8500"),
    ],
)
def test_where_it_is(address: str, url: str) -> None:
    assert parsed(address).url == url


def test_every_option(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    (tmp_path / "token").write_text("secret\n")
    address = (
        f"consul://user:p%40ss@host:1/?tls=true&ca={tmp_path}/ca&cert={tmp_path}/cert&key={tmp_path}/key&server_name=n"
        f"&verify=false&token_file={tmp_path}/token&dc=d&namespace=s&timeout=1m30s"
    )
    assert parsed(address) == ConsulAddress(
        host="host",
        port=1,
        tls=True,
        ca=f"{tmp_path}/ca",
        cert=f"{tmp_path}/cert",
        key=f"{tmp_path}/key",
        server_name="n",
        verify=False,
        token="secret",
        token_file=f"{tmp_path}/token",
        user="user:p@ss",
        dc="d",
        namespace="s",
        timeout=90.0,
    )


def test_what_is_left_out_comes_from_the_variables_of_consul(tmp_path: Path) -> None:
    (tmp_path / "ca").touch()
    (tmp_path / "token").write_text("filed")
    environ = {
        "CONSUL_HTTP_ADDR": "https://elsewhere:8501",
        "CONSUL_HTTP_TOKEN": "told",
        "CONSUL_HTTP_AUTH": "a:b",
        "CONSUL_HTTP_SSL_VERIFY": "false",
        "CONSUL_CACERT": f"{tmp_path}/ca",
        "CONSUL_NAMESPACE": "n",
    }
    found = parsed("consul://", **environ)
    assert found.url == "https://elsewhere:8501"
    assert (found.token, found.user, found.verify, found.namespace) == ("told", "a:b", False, "n")
    assert parsed("consul://here:1/?token=mine&verify=true&tls=false", **environ).token == "mine"
    assert parsed("consul://here:1/?tls=false", **environ).url == "http://here:1"
    assert parsed("consul://", CONSUL_HTTP_TOKEN_FILE=f"{tmp_path}/token").token == "filed"
    assert parsed("consul://", CONSUL_HTTP_ADDR="plain:2", CONSUL_HTTP_SSL="true").url == "https://plain:2"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("consul:8500", "looks like consul://"),
        ("consul://host:1/path", "looks like consul://"),
        ("consul://host:x", "is not host:port"),
        ("consul://host:99999", "'host:99999' is not host:port"),
        ("consul://host/?tokn=1", "there is no option 'tokn'; known: agents, ca, cert, check, dc, deregister_after,"),
        ("consul://host/?dc=a&dc=b", "'dc' is given twice"),
        ("consul://host/?dc=", "'dc' has no value"),
        ("consul://host/?tls=maybe", "tls=maybe: 'maybe' is neither true nor false"),
        ("consul://host/?stale=maybe", "stale=maybe: 'maybe' is neither true nor false"),
        ("consul://host/?timeout=soon", "timeout=soon: 'soon' is not a number of seconds above 0, nor a duration"),
        ("consul://host/?timeout=0", "timeout=0: '0' is not a number of seconds above 0"),
        ("consul://token@host", "name:password; a token is given as token="),
        ("consul://host/?ca=/not/there", "ca=/not/there: there is no such file"),
        ("consul://host/?token_file=/not/there", "the token cannot be read from /not/there"),
        ("consul://host/?token=a&token_file=b", "give one of them"),
        ("consul://host/?cert=/dev/null", "cert= is of use with tls=true only"),
        ("consul://host/?tls=true&key=/dev/null", "key= belongs to a cert="),
        ("consul://host/?check=http", "check=http: it can be ttl or grpc"),
        ("consul://host/?interval=10s", "interval= is of use with check=grpc only"),
        ("consul://host/?deregister_after=30s", "Consul takes no less than a minute"),
    ],
)
def test_what_is_wrong_is_said(address: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")) as raised:
        ConsulRegistry(address)
    assert "secret" not in str(raised.value)


def test_a_variable_that_is_wrong_is_named() -> None:
    with pytest.raises(ValueError, match="CONSUL_HTTP_SSL: 'maybe'"):
        parsed("consul://", CONSUL_HTTP_SSL="maybe")
    with pytest.raises(ValueError, match="CONSUL_HTTP_ADDR: unix:// is not supported"):
        parsed("consul://", CONSUL_HTTP_ADDR="unix:///run/consul.sock")


def test_a_token_is_not_shown() -> None:
    address = parsed("consul://name:password@host/?token=secret")
    assert "secret" not in repr(address)
    assert "password" not in repr(address)


def test_the_documentation_has_every_option() -> None:
    with pytest.raises(ValueError, match="known: ") as raised:
        ConsulRegistry("consul://host/?nosuch=1")
    known = set(str(raised.value).partition("known: ")[2].split(", "))
    text = (Path(__file__).parent.parent.parent / "docs" / "consul.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == known
