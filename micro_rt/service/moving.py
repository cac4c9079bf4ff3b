"""A machine that moves: when it loses the address that a service chose, the service is registered at another one.

Rules:

- Only a host that the service chose is replaced (addresses.py). What the user gave stays, whatever the machine has.
- A chosen host stays for as long as an interface that is up and connected has it. So a VPN that takes over the way outside
  moves no service, and neither does a temporary IPv6 address that is preferred today.
- When the host is lost, the service chooses as at its start. It keeps what is registered while nothing can be chosen, such as
  between two networks; ``problem`` says so meanwhile, and each later change of the interfaces is a new try.
"""

from __future__ import annotations

from collections.abc import Callable

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.interfaces import InterfaceWatch, is_in_use
from micro_rt.logs import logger
from micro_rt.service.addresses import Advertised

__all__ = ["Mover"]

_log = logger("micro_rt.service")


class Mover:
    """Moves a service to another address when this machine has lost the one that is registered.

    Args:
        name: of the service, for the log.
        advertised: what is registered now.
        choose: returns what would be registered now; raises FailedPrecondition if that cannot be said.
        move: registers the service at an address.
    """

    def __init__(
        self, name: str, advertised: Advertised, choose: Callable[[], Advertised], move: Callable[[str], None]
    ) -> None:
        self.problem = ""
        """Why what is registered cannot be reached; empty if it can, as far as this machine knows."""
        self._name = name
        self._advertised = advertised
        self._choose = choose
        self._move = move
        self._watch = InterfaceWatch(self._look)

    async def open(self) -> None:
        """Begins to look, unless the address was given."""
        if self._advertised.chosen_host:
            await self._watch.open()
            self._look()  # It may have been lost while the service started.

    async def close(self) -> None:
        """Ends it."""
        await self._watch.close()

    def _look(self) -> None:
        before = self._advertised
        if is_in_use(before.chosen_host):
            self.problem = ""
            return
        try:
            now = self._choose()
        except FailedPrecondition as error:
            if not self.problem:
                _log.warning(
                    "%s stays registered at %s, which this machine has lost: %s", self._name, before.address, error
                )
            self.problem = f"this machine has lost {before.address}, which is registered: {error.message}"
            return
        self.problem = ""
        if now.address != before.address:
            _log.warning(
                "%s is registered at %s from now on: this machine has lost %s", self._name, now.address, before.address
            )
            self._advertised = now
            self._move(now.address)
