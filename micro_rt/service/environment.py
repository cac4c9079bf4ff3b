"""The environment variables that micro-rt reads, and a warning about others that begin like them.

Rules:

- A variable ``MICRO_…`` that nothing reads is most often a misspelling, and its setting has no effect. A service that
  starts logs it, with the near name, and without its value.
- A backend of another distribution may read variables of its own: ``MICRO_<SCHEME>_…``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points

__all__ = ["KNOWN", "unknown_variables"]

KNOWN = (
    "MICRO_ADDRESS",
    "MICRO_ADVERTISE",
    "MICRO_BROKER",
    "MICRO_COCKROACHDB_PASSWORD",
    "MICRO_COCKROACHDB_USER",
    "MICRO_COMPRESSION",
    "MICRO_CONFIG",
    "MICRO_GRACE",
    "MICRO_HOME",
    "MICRO_HOME_OWNER",
    "MICRO_KAFKA_PASSWORD",
    "MICRO_KAFKA_USER",
    "MICRO_MAX_MEMORY",
    "MICRO_MAX_MESSAGE",
    "MICRO_NAMESPACE",
    "MICRO_POSTGRESQL_PASSWORD",
    "MICRO_POSTGRESQL_USER",
    "MICRO_REGISTRY",
    "MICRO_SELECTOR",
    "MICRO_STORE",
    "MICRO_SYNC",
    "MICRO_THREADS",
    "MICRO_TIMEOUT",
    "MICRO_TLS_CERT",
    "MICRO_TLS_KEY",
    "MICRO_TLS_ROOTS",
    "MICRO_TRANSPORT",
    "MICRO_TTL",
)
"""Every variable that the runtime reads."""

# The tests of micro-rt itself read these: see CONTRIBUTING.md.
_OF_TESTS = re.compile(r"MICRO_(?:TEST_\w+|REQUIRE_SERVERS|SERVER_CACHE)")


def unknown_variables(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yields a warning for each variable ``MICRO_…`` that nothing reads.

    Args:
        environment: the variables; by default those of this process.
    """
    names = sorted(name for name in environment if name.startswith("MICRO_") and name not in KNOWN)
    if not names:
        return
    others = tuple(f"MICRO_{scheme}_" for scheme in _schemes_of_others())
    for name in names:
        if _OF_TESTS.fullmatch(name) or name.startswith(others):
            continue
        near = get_close_matches(name, KNOWN, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}?" if near else f"micro-rt reads {', '.join(KNOWN)}"
        yield f"nothing reads the environment variable {name}; {hint}"


def _schemes_of_others() -> set[str]:
    """Returns the names of the backends of other distributions, as they are written in a variable."""
    groups = ("registry", "broker", "store", "sync", "config", "transport", "selector", "codec")
    points = [point for group in groups for point in entry_points(group=f"micro_rt.{group}")]
    return {point.name.upper().replace("-", "_") for point in points if not point.value.startswith("micro_rt.")}
