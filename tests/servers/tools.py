"""The programs in Go that tests call our servers with. Each is built once, at the version that is named here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.cache import Say, show
from tests.servers.obtain import go_sources, go_tool

__all__ = ["TOOLS", "GoTool"]


@dataclass(frozen=True)
class GoTool:
    """A program in Go that somebody published."""

    module: str
    version: str
    package: str
    """The program's, relative to the module."""

    def path(self, say: Say = show) -> Path:
        """Returns where it is, built the first time.

        Raises:
            Unobtainable: it cannot be built here; says why.
        """
        return go_tool(self.module, self.version, f"{self.module}/{self.package}", say=say)

    def sources(self, folder: str, say: Say = show) -> Path:
        """Returns a copy of a folder of the module, downloaded the first time.

        Raises:
            Unobtainable: it cannot be downloaded here; says why.
        """
        return go_sources(self.module, self.version, folder, self.package.rpartition("/")[2], say=say)


TOOLS: Mapping[str, GoTool] = {
    "connectconformance": GoTool("connectrpc.com/conformance", "v1.0.7", "cmd/connectconformance"),
    "ghz": GoTool("github.com/bojand/ghz", "v0.93.0", "cmd/ghz"),
    "grpcurl": GoTool("github.com/fullstorydev/grpcurl", "v1.9.4", "cmd/grpcurl"),
    "h2spec": GoTool("github.com/summerwind/h2spec", "v2.2.1+incompatible", "cmd/h2spec"),
}
"""By name. Two cores build all of them in about two minutes, once what they share with Consul and etcd is built."""
