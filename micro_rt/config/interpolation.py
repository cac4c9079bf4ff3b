"""``${NAME}`` in texts: the environment, put in once.

- ``${NAME}`` is the variable; if it is not set, that is an error. ``${NAME:-default}`` is the default if it is not set or empty.
- ``$${`` is ``${`` as it is. Anything else that begins with ``${`` is an error, so that a typing mistake is no setting.
- What is put in is not looked through again: neither a variable nor a default has references.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["Unresolved", "interpolated"]

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]{0,127})(?P<default>:-[^{}]*)?\}|\$\{", re.ASCII)
_SHOWN = re.compile(r"[A-Z][A-Z0-9_]{2,60}", re.ASCII)
"""Names that an error repeats. Others may be a piece of a password with ``${`` in it."""


class Unresolved(Exception):  # noqa: N818 - never leaves the package
    """A reference that cannot be resolved; the text says which, without any value."""


def interpolated(text: str, environ: Mapping[str, str], *, secret: bool) -> str:
    """Returns a text with the environment put in.

    Args:
        text: as it was written.
        environ: the variables.
        secret: whether the text is a secret, of which no error repeats anything.

    Raises:
        Unresolved: a variable is not set, or a reference is malformed.
    """

    def resolved(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name: str | None = match["name"]
        if name is None:
            raise Unresolved(
                "has a ${ that is neither ${NAME} nor ${NAME:-default}; write $${ for the two characters as they are"
            )
        found, default = environ.get(name), match["default"]
        if default is not None:
            return found or default[2:]
        if found is None:
            which = f"variable {name}" if _SHOWN.fullmatch(name) and not secret else "variable that it names"
            raise Unresolved(f"needs the environment {which}, which is not set; set it, or write ${{NAME:-default}}")
        return found

    return _REFERENCE.sub(resolved, text) if "${" in text else text
