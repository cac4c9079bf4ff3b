"""Whether descriptors that others made are a schema: a descriptor set may hold what no compiler writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf import descriptor_pb2, descriptor_pool

__all__ = ["problem_of"]

_LONGEST = 300
"""Characters that are shown of what protobuf says."""


def problem_of(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> str:
    """Returns why protobuf accepts no such files, or an empty string if it does.

    Args:
        files: the files, with all that they import.
    """
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in _ordered(files):
            pool.Add(file)
    except (TypeError, ValueError, KeyError) as error:
        problem = str(error).removeprefix("Couldn't build proto file into descriptor pool: ")
        return problem if len(problem) <= _LONGEST else f"{problem[:_LONGEST]}…"
    return ""


def _ordered(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    """Yields the files, each after those that it imports.

    Raises:
        ValueError: two files have one name, or files import each other in a circle.
    """
    left: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for file in files:
        if left.setdefault(file.name, file) is not file:
            raise ValueError(f"two files are called {file.name}")
    under_way: set[str] = set()
    pending = list(reversed(left))
    while pending:
        name = pending[-1]
        if name not in left:
            pending.pop()
            continue
        imports = [path for path in left[name].dependency if path in left]
        if not imports:
            pending.pop()
            under_way.discard(name)
            yield left.pop(name)
        elif name in under_way:
            raise ValueError(f"{name} imports itself, through {imports[0]}")
        else:
            under_way.add(name)
            pending += reversed(imports)
