"""Makes one reading of the files of a folder: each is parsed by its format, and a later one is laid over the earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath

from micro_rt.config.base import Path, Reading, Value
from micro_rt.config.files.document import Document, Malformed, shown_key
from micro_rt.config.files.json_text import read_json_document
from micro_rt.config.files.snapshot import SUFFIXES, Problem
from micro_rt.config.files.toml_text import read_toml_document
from micro_rt.config.files.yaml_text import has_yaml, read_yaml_document
from micro_rt.errors import FailedPrecondition, NotFound, Unavailable

__all__ = ["UNREADABLE", "merged", "parsed"]

UNREADABLE = "micro.config_unreadable"
"""The id of errors that say that the content of a source makes no sense."""
MISSING = "micro.config_missing"
"""The id of errors that say that there is no such file."""

_READERS: Mapping[str, Callable[[str], Document]] = {
    "json": read_json_document,
    "toml": read_toml_document,
    "yaml": read_yaml_document,
}


def parsed(place: str, name: str, content: bytes | Problem, format: str) -> tuple[str, Document]:
    """Parses one file.

    Args:
        place: what it is called in errors and places.
        name: its name, which says the format.
        content: what is in it.
        format: its format; empty if its name says it.

    Raises:
        NotFound: there is no such file.
        Unavailable: the system refuses to read it.
        FailedPrecondition: it makes no sense. The message shows nothing of it.
    """
    if isinstance(content, Problem):
        if content.missing:
            raise NotFound(f"file:{place}: {content.text}; create it, or add ?optional=true to its address", id=MISSING)
        raise Unavailable(f"file:{place} cannot be read: {content.text}", id=UNREADABLE)
    kind = format or SUFFIXES.get(PurePath(name).suffix.lower(), "")
    if not kind:
        raise FailedPrecondition(
            f"file:{place}: its name does not say its format: it must end with {', '.join(SUFFIXES)}, or format=json, toml or yaml "
            "must follow its address after a question mark",
            id=UNREADABLE,
        )
    if kind == "yaml" and not has_yaml():
        raise FailedPrecondition(
            f'file:{place}: reading YAML needs ruamel.yaml: pip install "micro-rt[yaml]"', id="micro.config_needs_extra"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem, line = "it is not UTF-8", content.count(b"\n", 0, error.start) + 1
    else:
        try:
            return place, _READERS[kind](text)
        except Malformed as error:
            problem, line = error.problem, error.line
    # Outside of the handler: what the libraries have raised repeats what is in the file, and would be the context of this error.
    raise FailedPrecondition(f"file:{place}:{line}: {problem}" if line else f"file:{place}: {problem}", id=UNREADABLE)


def merged(documents: Iterable[tuple[str, Document]]) -> Reading:
    """Lays documents over each other: mappings are merged, and everything else replaces what was there.

    Args:
        documents: what each file is called, and what it says.

    Raises:
        FailedPrecondition: a name is a mapping in one file and a value in another.
    """
    tree: dict[str, Value] = {}
    places: dict[Path, str] = {}
    for place, document in documents:
        _lay(tree, document.tree, (), places, place, document.lines)
    return Reading(tree, places)


def _lay(
    tree: dict[str, Value],
    over: Mapping[str, Value],
    above: Path,
    places: dict[Path, str],
    place: str,
    lines: Mapping[Path, int],
) -> None:
    for key, value in over.items():
        path = (*above, key)
        line = lines.get(path)
        here = place if line is None else f"{place}:{line}"
        before = tree.get(key)
        if before is not None and value is not None and isinstance(before, Mapping) != isinstance(value, Mapping):
            kinds = ("a value", "a mapping") if isinstance(value, Mapping) else ("a mapping", "a value")
            name = shown_key(".".join(path))
            raise FailedPrecondition(
                f"{name} is {kinds[0]} in {places.get(path, 'another file')}, and {kinds[1]} in {here}", id=UNREADABLE
            )
        if isinstance(value, Mapping):
            inside: dict[str, Value] = dict(before) if isinstance(before, Mapping) else {}
            _lay(inside, value, path, places, place, lines)
            tree[key] = inside
        else:
            if isinstance(before, Mapping):
                for other in [each for each in places if each[: len(path)] == path]:
                    del places[other]
            tree[key] = value
        places[path] = here
