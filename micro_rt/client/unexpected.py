"""What becomes of an exception that a transport must not raise.

A transport raises ``micro.Error`` alone. If it raises something else, what the other side has sent was not foreseen, or the
transport has a bug. The caller gets a ``micro.Error`` all the same, and the log has the cause.
"""

from __future__ import annotations

from micro_rt.client.remote import RemoteNode
from micro_rt.errors import Internal
from micro_rt.logs import logger, sparsely

__all__ = ["unexpected"]

_log = logger("micro_rt.client")


def unexpected(path: str, remote: RemoteNode | None, error: Exception) -> Internal:
    """Returns what a call ends with whose transport raised something else than ``micro.Error``.

    Args:
        path: of the call.
        remote: the node that the call went to, if that is still known.
        error: what was raised.
    """
    where = "" if remote is None else f" to {remote.node.id} at {remote.node.address}"
    name = type(error).__name__
    _log.error("the transport raised %s in a call of %s%s", name, path, where, exc_info=error, extra=sparsely(path))
    return Internal(f"{path}: the transport raised {name} in the call{where}; the log of this client has the cause")
