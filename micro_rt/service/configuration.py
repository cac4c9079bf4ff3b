"""The config of a service: its sources, and the settings of the service itself that are in it.

Rules:

- The sources are given in code, else in ``MICRO_CONFIG``: addresses with commas between, the one that counts least first.
- What a service does not get as an argument, and the environment does not say, is below ``micro`` in its config: ``micro.registry``,
  ``micro.grace``. What a backend reads from the environment by itself is there too: ``micro.home``. A name there that means nothing is an error, with the nearest one.
- The config is opened first and closed last. Settings of the service itself are read when it starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from micro_rt.config.base import AnySource, Source
from micro_rt.config.config import Config
from micro_rt.config.plans import RESERVED
from micro_rt.config.secret import Secret
from micro_rt.service.parts import Configured, names_of, part_at

__all__ = [
    "SECTION",
    "ServiceSettings",
    "configured",
    "configured_setting",
    "opened_config",
    "settings_of",
    "sources_of",
]

SECTION = RESERVED
"""Where a config has the settings of the service itself."""

PlanT = TypeVar("PlanT")


@dataclass(frozen=True)
class ServiceSettings:
    """What a config may say of the service itself, below ``micro``: arguments of ``Service``, and variables of backends."""

    address: str | None = None
    advertise: str | None = None
    broker: str | None = None
    cockroachdb_password: Secret[str] | None = None
    cockroachdb_user: str | None = None
    compression: str | None = None
    grace: timedelta | None = None
    home: str | None = None
    home_owner: int | str | None = None
    kafka_password: Secret[str] | None = None
    kafka_user: str | None = None
    max_memory: int | None = None
    max_message: int | None = None
    namespace: str | None = None
    postgresql_password: Secret[str] | None = None
    postgresql_user: str | None = None
    registry: str | None = None
    selector: str | None = None
    store: str | None = None
    sync: str | None = None
    threads: int | None = None
    timeout: float | str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_roots: str | None = None
    transport: str | None = None
    ttl: timedelta | None = None


def sources_of(given: object) -> tuple[list[Source | AnySource | Mapping[str, Any]], str]:
    """Returns the sources of a config, and the setting that names them.

    Args:
        given: as given in code: an address, or a list of addresses, sources and mappings; None if it was not.

    Raises:
        FailedPrecondition: an address names nothing that can be used.
        TypeError: it is something else.
    """
    setting = "config" if given is not None else "MICRO_CONFIG"
    chosen: Any = os.environ.get("MICRO_CONFIG") or () if given is None else given
    if not isinstance(chosen, str | list | tuple):
        kind = type(chosen).__name__
        raise TypeError(f"config= is a list of sources, or addresses with commas between, not a {kind}")
    listed = _addresses(chosen) if isinstance(chosen, str) else cast("list[Any]", chosen)
    return [part_at("config", each, setting) if isinstance(each, str) else each for each in listed], setting


async def opened_config(given: object) -> tuple[Config, bool]:
    """Returns the config of a service, open, and whether the service is to close it.

    Args:
        given: as given in code: a config, or what ``sources_of`` takes.

    Raises:
        Error: a source cannot be read; the message names it.
        TypeError: it is no config, and not what sources are.
    """
    if isinstance(given, Config):
        owned = not given.is_open
        return await given.__aenter__(), owned
    return await Config.open(sources_of(given)[0]), True


def settings_of(config: Config) -> ServiceSettings:
    """Returns what a config says of the service itself; later updates that make no sense are refused.

    Raises:
        FailedPrecondition: it says something that makes no sense.
    """
    return config.bind(SECTION, ServiceSettings).value


def configured(plan: PlanT, config: Config) -> tuple[PlanT, Mapping[str, str]]:
    """Returns the plan of a run with the settings that code does not give and the config does.

    Returns:
        The plan, and what stands in for the variables that backends read by themselves.

    Raises:
        FailedPrecondition: the config says something of the service that makes no sense.
    """
    places: dict[str, Configured] = {}
    variables: dict[str, str] = {}
    for name, value in _texts(settings_of(config)):
        if not hasattr(plan, name):
            variables[f"MICRO_{name.upper()}"] = value
        elif getattr(plan, name) is None:
            places[name] = Configured(value, _place(config, name))
    return cast("PlanT", replace(cast("Any", plan), **places)), variables


async def configured_setting(name: str) -> tuple[Configured | None, Mapping[str, str]]:
    """Returns what the config that ``MICRO_CONFIG`` names says of a setting, for commands; and what stands in for variables.

    Args:
        name: an argument of ``Service``.

    Raises:
        Error: a source cannot be read, or the config says something of the service that makes no sense.
    """
    async with await Config.open(sources_of(None)[0]) as config:
        found = dict(_texts(settings_of(config)))
        given = Configured(found[name], _place(config, name)) if name in found else None
        return given, {f"MICRO_{each.upper()}": value for each, value in found.items()}


def _texts(settings: ServiceSettings) -> Iterator[tuple[str, str]]:
    """Yields the settings that there are, as a variable of the environment would have them."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Secret):
            value = cast("Secret[str]", value).reveal()
        if isinstance(value, timedelta):
            yield field.name, f"{value.total_seconds():.6f}"
        elif value not in (None, ""):
            yield field.name, str(value)


def _place(config: Config, name: str) -> str:
    path = f"{SECTION}.{name}"
    places = [each.place for each in config.explain(path) if each.wins]
    return f"{path} ({places[0]})" if places else path


def _addresses(text: str) -> list[str]:
    """Returns the addresses of a text with commas between; a comma inside an address separates hosts."""
    schemes = "|".join(map(re.escape, names_of("config")))
    beginning = rf",(?=\s*(?:[a-z][a-z0-9+.\-]*://|(?:{schemes}):))" if schemes else r",(?=\s*[a-z][a-z0-9+.\-]*://)"
    return [address for each in re.split(beginning, text) if (address := each.strip(" ,"))]
