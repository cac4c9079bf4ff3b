"""Broker ``acme-wire:``, which needs the library of the extra ``wire``."""

import acme_wire

from acme_micro.broker import AcmeBroker

__all__ = ["RemoteBroker"]


class RemoteBroker(AcmeBroker):
    """A broker that is elsewhere."""

    library = acme_wire
