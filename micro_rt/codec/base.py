"""The interface of a codec, and what every codec promises.

- What the encoder of a message type makes of a message, the decoder of that type makes an equal message of: every field, every
  value that the type can hold, and which fields are set. An empty message survives too, even if its encoding is empty.
- Encoding leaves the message as it is, and returns ``bytes``.
- Decoding never changes what it is given, and raises ``ValueError``, and nothing else, for bytes that are no encoding of a
  message of the type.
- What one object encodes, every other object of the same content subtype decodes, also in another process.
- The functions are asked for once for each method and side, kept, and used for every call: for many calls in turn and in any order.
  They depend on nothing but their argument.
- A codec that cannot encode the messages of a type raises ``TypeError`` when it is asked for a function, and says why. A server
  then refuses calls of such methods in this codec with ``Unimplemented``.
- The content subtype is lower case: letters, digits, ``.``, ``_`` and ``-``.

A codec is made without arguments. ``micro_rt.testing.contracts.CodecContract`` checks these promises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

__all__ = ["Codec"]


class Codec(ABC):
    """Turns messages into bytes and back; found by its content subtype in the entry points ``micro_rt.codec``.

    A client sends with the codec of its service. A server answers in the codec of the request.
    """

    content_subtype: ClassVar[str]
    """What follows ``application/grpc+`` in the content type, such as ``"json"``; also the name of the entry point."""

    @abstractmethod
    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        """Returns the function that encodes messages of one type.

        The function raises any exception for a message that cannot be encoded, such as one without a required field: on the
        client, the call then fails with ``InvalidArgument`` and is not sent.

        Args:
            message_type: the generated class, of whichever dialect the user generates.

        Raises:
            TypeError: this codec cannot encode messages of the type.
        """

    @abstractmethod
    def decoder(self, message_type: type[Any]) -> Callable[[bytes], Any]:
        """Returns the function that decodes messages of one type; it raises ``ValueError`` for damaged bytes.

        Raises:
            TypeError: this codec cannot decode messages of the type.
        """
