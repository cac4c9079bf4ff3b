"""The registry in Consul keeps its promises on python-consul2 as well, which brings another package called ``consul``."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.missing import missing
from tests.helpers.sizes import Size
from tests.servers.cache import Unobtainable
from tests.servers.pip import python_with

ROOT = Path(__file__).parent.parent.parent
PURELIB = sysconfig.get_paths()["purelib"]
VERSION = "0.1.5"


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has python-consul2 before everything that this one has; kept in the user's cache folder."""
    try:
        python = python_with("python-consul2", VERSION)
    except Unobtainable as error:
        missing(f"python-consul2 cannot be installed: {error}")
    # What a .pth file names comes behind what is installed there.
    found = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True,
        capture_output=True,
        text=True,
    )
    names = Path(found.stdout.strip(), "tests.pth")
    names.write_text(f"{PURELIB}\n")
    names.chmod(0o644)  # Whatever the umask is: others must not be able to change it.
    return python


@pytest.mark.verify("registry")
def test_the_contract_holds_on_python_consul2(python: Path, consul: Any, size: Size) -> None:
    environment = {**os.environ, "MICRO_TEST_CONSUL": consul.address}
    program = "import consul, consul.base; print(consul.__file__); print(hasattr(consul.base.Consul, 'KV'))"
    used = subprocess.run([str(python), "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    file, is_old = used.stdout.split()
    assert Path(file).is_relative_to(python.parent.parent)
    assert is_old == "True"
    command = [
        *(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "tests/contracts/test_registry_consul.py",
        "tests/unit/test_consul_nodes.py",
        *("-k", f"{size('ConsulWithA or ConsulWithClient', ci='ConsulWithA')} or permissions or tls or kind"),
    ]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr[-2000:]
    (passed,) = re.findall(r"(\d+) passed", result.stdout)
    assert int(passed) > size(50, ci=25)
    assert "skipped" not in result.stdout
