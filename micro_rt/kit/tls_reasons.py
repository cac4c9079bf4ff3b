"""Why TLS was refused, in the same words for the side that refuses and for the side that gets its alert.

An alert (RFC 8446, section 6) holds less than its sender knows. Both sides report what the alert says, and the side that
refuses adds the details.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["reason_of"]

_NO_CERTIFICATE: Final = "no certificate was presented"
_EXPIRED: Final = "the certificate has expired, or is not valid yet"
_UNKNOWN_CA: Final = "no trusted authority issued the certificate"
_REVOKED: Final = "the certificate is revoked"
_BAD: Final = "the certificate is not acceptable"
_VERSION: Final = "the two sides have no version of TLS in common"
_FAILED: Final = "the two sides have no TLS settings in common"
_PROTOCOL: Final = "the two sides have no protocol in common (ALPN)"
_NOT_TLS: Final = "what came is not TLS; does it speak TLS?"

_BY_ALERT: Mapping[str, str] = MappingProxyType(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED": _NO_CERTIFICATE,
        "TLSV1_ALERT_UNKNOWN_CA": _UNKNOWN_CA,
        "SSLV3_ALERT_CERTIFICATE_EXPIRED": _EXPIRED,
        "SSLV3_ALERT_CERTIFICATE_REVOKED": _REVOKED,
        "SSLV3_ALERT_BAD_CERTIFICATE": _BAD,
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _BAD,
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _BAD,
        "TLSV1_ALERT_PROTOCOL_VERSION": _VERSION,
        "SSLV3_ALERT_HANDSHAKE_FAILURE": _FAILED,
        "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": _PROTOCOL,
    }
)
"""What an alert of the other side means, by OpenSSL's name of it."""

_BY_REASON: Mapping[str, str] = MappingProxyType(
    {
        "PEER_DID_NOT_RETURN_A_CERTIFICATE": _NO_CERTIFICATE,
        "UNSUPPORTED_PROTOCOL": _VERSION,
        "NO_PROTOCOLS_AVAILABLE": _VERSION,
        "NO_SHARED_CIPHER": _FAILED,
        "NO_SUITABLE_SIGNATURE_ALGORITHM": _FAILED,
        "NO_APPLICATION_PROTOCOL": _PROTOCOL,
        "WRONG_VERSION_NUMBER": _NOT_TLS,
        "HTTP_REQUEST": _NOT_TLS,
        "HTTPS_PROXY_REQUEST": _NOT_TLS,
        "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
        "RECORD_TOO_SMALL": _NOT_TLS,
        "UNEXPECTED_MESSAGE": _NOT_TLS,
    }
)
"""What this side found, by OpenSSL's name of the error."""

_BY_VERIFICATION: Mapping[int, str] = MappingProxyType(
    {
        9: _EXPIRED,  # X509_V_ERR_CERT_NOT_YET_VALID
        10: _EXPIRED,
        18: _UNKNOWN_CA,  # a certificate that has issued itself
        19: _UNKNOWN_CA,
        20: _UNKNOWN_CA,
        21: _UNKNOWN_CA,
        23: _REVOKED,
    }
)
"""What this side found about the certificate, by the number of OpenSSL (``X509_V_ERR_…``)."""


def reason_of(error: Exception) -> str:
    """Returns why a handshake failed, or why a connection with TLS was ended.

    Args:
        error: of ``ssl``, or of the connection.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _BY_VERIFICATION.get(error.verify_code, _BAD)
        return f"its certificate is not accepted: {known} ({error.verify_message.rstrip('.')})"
    if isinstance(error, ssl.SSLError):
        name = error.reason or ""
        reported = _BY_ALERT.get(name)
        if reported is not None:
            return f"{reported} (reported by the other side)"
        found = _BY_REASON.get(name)
        if found is not None:
            return found
        return f"TLS failed: {name.lower().replace('_', ' ') or error}"
    if isinstance(error, OSError):
        return error.strerror or str(error) or "the connection was lost"
    return f"TLS failed: {error!r}"
