"""Backends that cannot be loaded: what the error says, from what the backend's own distribution declares."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from micro_rt.errors import FailedPrecondition
from micro_rt.service.parts import backend, codec_named, names_of

Declare = Callable[..., None]


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Installs a distribution ``acme-micro`` with one backend, in a module that imports a library that is not there."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def declare(library: str, *requirements: str, value: str = "acme_backend:Backend") -> None:
        info = tmp_path / "acme_micro-1.0.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", "Name: acme-micro", "Version: 1.0"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(f"[micro_rt.broker]\nacme = {value}\n")
        (tmp_path / "acme_backend.py").write_text(f"import {library}\n\n\nclass Backend: ...\n")

    return declare


@pytest.mark.parametrize(
    ("library", "requirements", "advice"),
    [
        ("nats", ('nats-py>=2; extra == "nats"',), 'not installed: pip install "acme-micro[nats]"'),
        ("nats", ("nats-py>=2 ; extra == 'all'", "nats-py ; extra == 'acme'"), 'pip install "acme-micro[acme]"'),
        ("nats.aio", ('python_nats>=2 ; (sys_platform != "win32") and extra == "nats"',), "acme-micro[nats]"),
        ("nats", ("protobuf", "nats-py[nkeys]>=2"), "acme-micro requires nats-py; pip install nats-py"),
        ("acme_yaml", ("protobuf", 'PyAcmeYaml; extra == "acme"'), 'pip install "acme-micro[acme]"'),
        ("acme_yaml", ("protobuf", "PyAcmeYaml"), "acme-micro requires PyAcmeYaml; pip install PyAcmeYaml"),
        ("acme_yaml", ("protobuf", 'acme-sphinx; extra == "docs"'), "acme-micro does not declare what brings it"),
        ("acme_yaml", (), "acme-micro does not declare what brings it"),
        ("nats", ('acme-micro[nats]; extra == "all"',), "acme-micro does not declare what brings it"),
    ],
)
def test_a_missing_library_names_what_the_backends_own_distribution_declares(
    declare: Declare, library: str, requirements: tuple[str, ...], advice: str
) -> None:
    declare(library, *requirements)
    with pytest.raises(FailedPrecondition) as caught:
        backend("broker", "acme", "MICRO_BROKER")
    message = caught.value.message
    assert message.startswith(f"MICRO_BROKER='acme' needs {library.partition('.')[0]}, which is not installed")
    assert message.endswith(advice) or advice in message
    assert "micro-rt[" not in message


@pytest.mark.parametrize("value", ["acme_nothing:Backend", "acme_nothing.inside:Backend"])
def test_an_entry_point_that_names_no_module_says_so(declare: Declare, value: str) -> None:
    declare("sys", value=value)
    with pytest.raises(
        FailedPrecondition, match=rf"its entry point names {value}, and there is no module acme_nothing"
    ):
        backend("broker", "acme", "broker")


@pytest.mark.parametrize(
    ("part", "name", "library", "advice"),
    [
        ("broker", "kafka", "aiokafka", 'pip install "micro-rt[kafka]"'),
        ("registry", "consul", "consul", 'pip install "micro-rt[consul]"'),
        ("registry", "consul", "aiohttp", 'pip install "micro-rt[consul]"'),
        ("registry", "mdns", "zeroconf", 'pip install "micro-rt[mdns]"'),
        ("transport", "grpclib", "grpclib", 'pip install "micro-rt[grpclib]"'),
        ("transport", "grpclib", "h2", 'pip install "micro-rt[grpclib]"'),
    ],
)
def test_a_missing_library_of_ours_names_our_extra(part: str, name: str, library: str, advice: str) -> None:
    # In a process of its own: modules that are imported anew are other modules than those that other tests hold.
    script = f"""
import sys
sys.modules[{library!r}] = None
from micro_rt.errors import FailedPrecondition
from micro_rt.service.parts import backend
try:
    backend({part!r}, {name!r}, {part!r})
except FailedPrecondition as error:
    print(error.message)
"""
    message = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert message.startswith(f"{part}={name!r} needs {library}")
    assert message.endswith(f", which is not installed: {advice}")


def test_a_name_that_nothing_implements_lists_those_that_are() -> None:
    with pytest.raises(FailedPrecondition, match=r"there is no such codec; known: .*proto"):
        codec_named("nothing")
    assert {"grpc", "memory"} <= set(names_of("transport"))
