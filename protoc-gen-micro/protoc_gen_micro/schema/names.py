"""From proto names to Python names.

The rules, in the order in which they apply:

1. Messages, enums, values, oneofs and fields keep their names, because the official runtime finds them by those.
2. A method's name becomes ``snake_case``.
3. A name that starts with an underscore gets ``rpc`` in front: Python gives such names meanings of its own.
4. A keyword of Python, with or without underscores behind it, gets one more: ``class`` is ``class_``, and
   ``class_`` is ``class__``. So two names that differ before this step differ after it.
5. Where rules 2 and 3 make one name of several methods of a service (``GetURL``, ``getUrl``), those methods keep
   their names of the .proto, by rules 3 and 4.
6. A folder becomes a package and a file a module as protoc has it: ``-`` becomes ``_``, and ``.`` parts folders.
   Beyond that, a folder that is a keyword gets an underscore behind it, and what begins with a digit one in front.
   A folder in which Python would not find the module, because it has a package called so itself (``io``, ``test``,
   ``grpc``, ``google/protobuf``), gets an underscore behind it (``io_``, ``google_/protobuf``: ``reserved.py``); not so
   with ``package=``, which puts the folder inside a package.
7. The method of an event is called like its message, by rules 2 to 5, with ``event`` in the place of ``rpc``; the names
   of the messages that hold it come first (``Order.Placed`` is ``order_placed``). ``publish_all`` and
   ``tombstone``, which are there already, count as keywords. The classes of a file's events are called like the file, in PascalCase.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

from protoc_gen_micro.schema.reserved import moved

__all__ = [
    "KEYWORDS",
    "class_name",
    "constant_name",
    "event_names",
    "json_name",
    "method_name",
    "method_names",
    "module_name",
    "protoc_module_name",
    "safe",
    "snake_case",
    "unused",
]

# fmt: off
KEYWORDS = frozenset((
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
))
# fmt: on
"""Python's keywords, of every supported version (``keyword.kwlist``; written out, as every import counts)."""

_EVENT_METHODS = frozenset(("publish_all", "tombstone"))
"""The public methods that the classes of events have, beside those of the events themselves."""


def snake_case(name: str) -> str:
    """Returns a name in snake_case: an underscore goes where a word starts.

    >>> [snake_case(name) for name in ("SayHello", "getHTTPStatus", "ListV2Items", "say_hello", "X")]
    ['say_hello', 'get_http_status', 'list_v2_items', 'say_hello', 'x']
    """
    parts: list[str] = []
    for index, letter in enumerate(name):
        if letter.isupper() and index and name[index - 1] != "_":
            before, after = name[index - 1], name[index + 1 : index + 2]
            if not before.isupper() or after.islower():
                parts.append("_")
        parts.append(letter.lower())
    return "".join(parts)


def safe(name: str) -> str:
    """Returns a name that can be written in Python, by rule 4; distinct names stay distinct.

    >>> [safe(name) for name in ("import", "import_", "imports", "match")]
    ['import_', 'import__', 'imports', 'match']
    """
    return f"{name}_" if name.rstrip("_") in KEYWORDS else name


def method_name(name: str) -> str:
    """Returns the name of the Python method of an rpc.

    >>> [method_name(name) for name in ("SayHello", "Import", "List", "_Hidden", "__init__")]
    ['say_hello', 'import_', 'list', 'rpc_hidden', 'rpc__init__']
    """
    return _public(snake_case(name))


def method_names(names: Iterable[str]) -> dict[str, str]:
    """Returns the names of the Python methods of a service's rpcs, by rule 5 where two would be one.

    >>> method_names(["SayHello", "GetURL", "getUrl"])
    {'SayHello': 'say_hello', 'GetURL': 'GetURL', 'getUrl': 'getUrl'}
    """
    short = {name: method_name(name) for name in names}
    counted = Counter(short.values())
    return {name: python_name if counted[python_name] == 1 else _public(name) for name, python_name in short.items()}


def event_names(names: Iterable[str]) -> dict[str, str]:
    """Returns the names of the Python methods of a file's events, by rule 7.

    >>> event_names(["OrderPlaced", "Import", "_Hidden", "PublishAll", "Tombstone"])
    {'OrderPlaced': 'order_placed', 'Import': 'import_', '_Hidden': 'event_hidden', 'PublishAll': 'publish_all_', 'Tombstone': 'tombstone_'}
    >>> event_names(["Line.Added", "Order.Placed", "OrderPlaced"])
    {'Line.Added': 'line_added', 'Order.Placed': 'Order_Placed', 'OrderPlaced': 'OrderPlaced'}

    Args:
        names: the names of the messages within their package.
    """
    flat = {name: name.replace(".", "_") for name in names}
    short = {name: _event_name(snake_case(own)) for name, own in flat.items()}
    counted = Counter(short.values())
    return {name: own if counted[own] == 1 else _event_name(flat[name]) for name, own in short.items()}


def _public(name: str) -> str:
    return safe(f"rpc{name}" if name.startswith("_") else name)


def _event_name(name: str) -> str:
    name = safe(f"event{name}" if name.startswith("_") else name)
    return f"{name}_" if name.rstrip("_") in _EVENT_METHODS else name


def class_name(path: str) -> str:
    """Returns what the classes of a .proto file's events begin with: its name in PascalCase.

    >>> [class_name(path) for path in ("shop/orders.proto", "order_events.proto", "line-item.v1.proto", "3d.proto")]
    ['Orders', 'OrderEvents', 'LineItemV1', 'Events3d']
    """
    file = path.rpartition("/")[2].removesuffix(".proto")
    words = "".join(letter if letter.isalnum() else " " for letter in file).split()
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name[:1].isalpha() else f"Events{name}"


def constant_name(*names: str) -> str:
    """Returns the name of a private constant for a symbol.

    It begins with one underscore: inside a class, Python changes what begins with two.

    >>> constant_name("Greeter", "SayHello"), constant_name("_Greeter")
    ('_GREETER_SAY_HELLO', '_GREETER')
    """
    return "_" + "_".join(snake_case(name).upper() for name in names).lstrip("_")


def module_name(path: str, suffix: str, *, inside: bool = False) -> str:
    """Returns the module that a .proto file becomes, by rule 6.

    >>> module_name("shop/line-item.proto", "_pb2")
    'shop.line_item_pb2'
    >>> module_name("import/v1.0/3d.proto", "_pb2")
    'import_.v1._0._3d_pb2'
    >>> module_name("io/metrics.proto", "_pb2"), module_name("io/metrics.proto", "_pb2", inside=True)
    ('io_.metrics_pb2', 'io.metrics_pb2')

    Args:
        path: the .proto file.
        suffix: what the module's name ends with.
        inside: whether the module is inside a package for sure.
    """
    *folders, file = protoc_module_name(path, "").split(".")
    folders = [safe(_lettered(folder)) for folder in folders]
    if not inside:
        folders = moved(folders)
    return ".".join([*folders, _lettered(file) + suffix])


def protoc_module_name(path: str, suffix: str) -> str:
    """Returns the module that a .proto file becomes by protoc itself, which not every ``import`` can be written for.

    >>> protoc_module_name("import/v1.0/3d.proto", "_pb2")
    'import.v1.0.3d_pb2'
    """
    return path.removesuffix(".proto").replace("-", "_").replace("/", ".") + suffix


def _lettered(name: str) -> str:
    return f"_{name}" if name[:1].isdigit() else name


def json_name(name: str) -> str:
    """Returns protobuf's default JSON name: underscores go, and the letter behind each becomes a capital.

    >>> json_name("order_id")
    'orderId'
    """
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def unused(name: str, taken: Container[str]) -> str:
    """Returns the name, with as many underscores behind it as make it differ from those taken.

    >>> unused("_micro", {"_micro", "_micro_"})
    '_micro__'
    """
    while name in taken:
        name += "_"
    return name
