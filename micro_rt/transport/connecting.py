"""Why a connection could not be made, in words for whoever called: the same for every transport over HTTP/2."""

from __future__ import annotations

import ssl

from micro_rt.errors import Unavailable

__all__ = ["CONNECT_TIMEOUT", "WANTS_CERTIFICATE", "TlsRefusedError", "cannot_connect", "hung_up", "problem_of"]

CONNECT_TIMEOUT = 5.0
"""Seconds that a connection may take to be made."""


WANTS_CERTIFICATE = "does it want a certificate of this client, or another one?"
"""What may be wrong if a server ends a connection right after the handshake of TLS."""


class TlsRefusedError(ConnectionError):
    """This side or the other one refused TLS; the text says why."""


def problem_of(error: Exception, timeout: float) -> str:
    """Returns what went wrong while a connection was made.

    Args:
        error: what was raised. A registry may hold any address, and looking one up may raise anything.
        timeout: seconds that making it could take.
    """
    match error:
        case TimeoutError():
            return f"no answer within {timeout:g} s"
        case TlsRefusedError():
            return str(error)
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error}; does it speak TLS?"
        case OSError():
            return error.strerror or str(error) or "it hung up while TLS was set up; does it speak TLS?"
        case _:
            return repr(error)


def hung_up(tls: bool) -> str:
    """Returns what is wrong with a peer that accepted a connection and closed it without a frame.

    Args:
        tls: whether the connection had TLS.
    """
    return "it hung up before it said anything that HTTP/2 begins with; " + (
        WANTS_CERTIFICATE if tls else "does it speak TLS, which was not used?"
    )


def cannot_connect(address: str, problem: str) -> Unavailable:
    """Returns what a call ends with that has no connection: it did not run.

    Args:
        address: of the peer.
        problem: what ``problem_of`` or ``hung_up`` returned.
    """
    return Unavailable(f"cannot connect to {address}: {problem}", id="micro.connect_failed", may_have_run=False)
