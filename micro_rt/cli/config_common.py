"""What the commands for settings share: the config that a service would have, and how settings are printed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import asdict, fields

from micro_rt.cli.commands import CommandParser
from micro_rt.config.config import Config
from micro_rt.config.secret import is_secret_name
from micro_rt.config.showing import Setting
from micro_rt.events.memory import MAX_MEMORY
from micro_rt.kit.secrets import HIDDEN, scrubbed
from micro_rt.registry.base import LEASE_TTL
from micro_rt.service.configuration import SECTION, ServiceSettings, settings_of, sources_of
from micro_rt.service.environment import KNOWN
from micro_rt.service.life import GRACE
from micro_rt.transport.limits import MAX_MESSAGE

__all__ = ["add_config", "opened_config", "settings_of_service", "show"]

_DEFAULTS: Mapping[str, str | float] = {
    "broker": "local:",
    "grace": GRACE,
    "max_memory": MAX_MEMORY,
    "max_message": MAX_MESSAGE,
    "registry": "local:",
    "selector": "round_robin",
    "store": "local:",
    "sync": "local:",
    "transport": "grpc",
    "ttl": LEASE_TTL,
}
"""What a service has where nothing says anything. Its addresses are chosen when it starts."""


def add_config(command: argparse.ArgumentParser | CommandParser) -> None:
    """Adds the arguments that name the sources, and the form of the output."""
    command.add_argument(
        "--config",
        metavar="ADDRESSES",
        help="addresses of the sources with commas between, the one that counts least first (default: MICRO_CONFIG)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON array, for programs")


@contextlib.asynccontextmanager
async def opened_config(arguments: argparse.Namespace) -> AsyncGenerator[Config]:
    """Opens the config that the command line or the environment names.

    Raises:
        Error: a source cannot be read, or what it says of the service makes no sense.
    """
    async with await Config.open(sources_of(arguments.config or None)[0]) as config:
        settings_of(config)
        yield config


def settings_of_service(config: Config) -> Iterator[Setting]:
    """Yields the settings of a service, each as its default, the sources and the environment say it: the first one counts least.

    What the environment says wins over what sources say, and arguments in code win over both; a command does not know these.
    """
    names = {field.name for field in fields(ServiceSettings)}
    others = {name.removeprefix("MICRO_").lower() for name in KNOWN}
    for name in sorted(names | others):
        variable, path = f"MICRO_{name.upper()}", f"{SECTION}.{name}"
        value = os.environ.get(variable)
        said = config.explain(path) if name in names else []  # MICRO_CONFIG is not in a config.
        won = value or any(each.wins for each in said)
        if name in _DEFAULTS:
            yield Setting(path, json.dumps(_DEFAULTS[name]), "defaults", "default", not won)
        for each in said:
            yield Setting(path, each.value, each.source, each.place, each.wins and not value)
        if value:
            shown = HIDDEN if is_secret_name(name) else json.dumps(scrubbed(value), ensure_ascii=False)
            yield Setting(path, shown, "environment", variable, True)


def show(settings: Iterable[Setting], *, as_json: bool, marks: bool) -> None:
    """Prints settings: each with its value and its place.

    Args:
        settings: in the order in which they are printed.
        as_json: whether they are printed as JSON.
        marks: whether each line says if it is the value that programs get.
    """
    listed = list(settings)
    if as_json:
        print(json.dumps([asdict(setting) for setting in listed], indent=2, ensure_ascii=False))
        return
    for setting in listed:
        mark = ("* " if setting.wins else "  ") if marks else ""
        print(f"{mark}{setting}")
