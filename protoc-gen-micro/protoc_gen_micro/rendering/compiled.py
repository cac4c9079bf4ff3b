"""The built-in templates as Python: written by ``python -m protoc_gen_micro.rendering.compile_templates``, not by hand."""

# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING

from protoc_gen_micro.python.aliases import alias_lines, builtins_of, globals_of, private_name
from protoc_gen_micro.python.header import header, protobuf_guard, protobuf_needed, runtime_guard
from protoc_gen_micro.python.hints import Hints
from protoc_gen_micro.python.imports import Imports
from protoc_gen_micro.python.stubs import Stubs
from protoc_gen_micro.python.text import (
    annotated,
    bytes_literal,
    docstring,
    indented,
    layout,
    literal,
    returned,
    signature,
)
from protoc_gen_micro.schema.model import Enum, Field, File, Message

if TYPE_CHECKING:
    from protoc_gen_micro.betterproto.classes import Classes
    from protoc_gen_micro.betterproto.codecs import Codecs

__all__ = ["codecs_py", "dataclasses_py", "messages_py", "messages_pyi", "stubs_py"]


def codecs_py(file: File, use: Codecs) -> str:
    """Renders ``codecs.py.j2``."""
    out: list[str] = []
    out += (
        header(file.path), "\n",
        docstring("Codecs of the messages of " + file.path + "."), "\n",
        "# fmt: off\n",
        "\n",
        "from typing import TYPE_CHECKING\n",
        "\n",
        "if not TYPE_CHECKING:\n",
    )
    for line in use.imports:
        out += ("    ", indented(line), "\n",)
    if use.inside:
        out += (
            "\n",
            "    if __package__:\n",
            "        ", indented(use.inside, 2), "\n",
            "    else:\n",
            "        ", indented(use.outside, 2), "\n",
        )
    for message in file.messages:
        out += (
            "\n",
            "    ", indented(use.head(message)), "\n",
        )
        for line in use.constructor(message):
            out += ("        ", line, "\n",)
        out += (
            "\n",
            "    def write_", message.name, "(self):\n",
        )
        for line in use.writer(message):
            out += ("        ", line, "\n",)
        out += (
            "\n",
            "    def read_", message.name, "(self, data, p, end, depth, fresh):\n",
        )
        for line in use.reader(message):
            out += ("        ", line, "\n",)
    return "".join(out)


def dataclasses_py(file: File, use: Classes) -> str:
    """Renders ``dataclasses.py.j2``."""
    out: list[str] = []
    out += (
        header(file.path), "\n",
        docstring("Messages of " + file.path + ".\n\n" + file.comment), "\n",
    )
    if use.imports.disabled:
        out += ('# mypy: disable-error-code="', use.imports.disabled, '"\n',)
    out += (
        "\n",
        "from __future__ import annotations\n",
        "\n",
    )
    for line in use.helpers:
        out += (line, "\n",)
    if use.helpers:
        out += ("\n",)
    if use.imports.plain:
        for line in use.imports.plain:
            out += (line, "\n",)
        out += ("\n",)
    if file.messages or file.enums:
        out += ("from micro_rt.dialects import betterproto as _betterproto\n",)
    if use.imports.checked:
        out += (
            "\n",
            "if TYPE_CHECKING:\n",
        )
        for line in use.imports.checked:
            out += ("    ", indented(line), "\n",)
        out += ("elif ", use.imports.condition, ":\n",)
        for line in use.imports.inside:
            out += ("    ", indented(line), "\n",)
        out += ("else:\n",)
        for line in use.imports.outside:
            out += ("    ", indented(line), "\n",)
    if file.messages or file.enums:
        out += (
            "\n",
            runtime_guard("_betterproto"), "\n",
        )
    out += (
        "\n",
        use.all, "\n",
    )
    for enum in file.enums:
        out += (
            "\n",
            "\n",
            layout("class " + enum.name + "(", ["_betterproto.Enum"], "):"), "\n",
        )
        if enum.comment or enum.deprecated:
            out += (
                "    ", indented(docstring(enum.comment, enum.deprecated)), "\n",
                "\n",
            )
        for name, value in use.members(enum):
            out += ("    ", name, " = ", str(value.number), "\n",)
            if value.comment or value.deprecated:
                out += ("    ", indented(docstring(value.comment, value.deprecated)), "\n",)
        if use.originals(enum):
            out += (
                "\n",
                "    ", indented(layout("__proto_names__ = {", use.originals(enum), "}", 1)), "\n",
            )
    for message in file.messages:
        out += (
            "\n",
            "\n",
            use.decorator(message), "\n",
            layout("class " + message.name + "(", ["_betterproto.Message"], "):"), "\n",
        )
        if use.text(message) or message.deprecated:
            out += ("    ", indented(docstring(use.text(message), message.deprecated)), "\n",)
            if message.fields:
                out += ("\n",)
        for field in message.fields:
            out += ("    ", indented(use.field(message, field)), "\n",)
            if field.comment or field.deprecated:
                out += ("    ", indented(docstring(field.comment, field.deprecated)), "\n",)
        if ((not message.fields) and (not use.text(message))) and (not message.deprecated):
            out += ("    pass\n",)
    return "".join(out)


def messages_py(file: File, imports: Imports) -> str:
    """Renders ``messages.py.j2``."""
    out: list[str] = []
    out += (
        header(file.path), "\n",
        docstring("Messages of " + file.path + ".\n\n" + file.comment), "\n",
    )
    if file.public_dependencies and (not imports.stars):
        out += ("# pyright: reportConstantRedefinition=false, ", imports.pyright, "\n",)
    elif file.dependencies:
        out += ("# pyright: ", imports.pyright, "\n",)
    out += ("\n",)
    if builtins_of(file, imports):
        out += ("import builtins as ", builtins_of(file, imports), "\n",)
    if protobuf_needed(file.edition):
        out += ("from google.protobuf import __version__ as _version\n",)
    out += (
        "from google.protobuf import descriptor_pool as ", private_name("_descriptor_pool", imports), "\n",
        "from google.protobuf.internal import builder as ", private_name("_builder", imports), "\n",
    )
    if protobuf_needed(file.edition):
        out += (
            "\n",
            protobuf_guard(file.path, file.edition), "\n",
        )
    out += ("\n",)
    for line in imports.plain:
        out += (line, "\n",)
    if imports.inside and imports.plain:
        out += ("\n",)
    if imports.inside:
        out += ("if ", imports.condition, ":\n",)
        for line in imports.inside:
            out += ("    ", line, "\n",)
        out += ("else:\n",)
        for line in imports.outside:
            out += ("    ", line, "\n",)
    if imports.plain or imports.inside:
        out += ("\n",)
    out += (
        layout("DESCRIPTOR = " + private_name("_descriptor_pool", imports) + ".Default().AddSerializedFile(", [bytes_literal(file.descriptor)], ")"), "\n",
        "\n",
        private_name("_builder", imports), ".BuildMessageAndEnumDescriptors(DESCRIPTOR, ", globals_of(file, imports), ")\n",
        private_name("_builder", imports), ".BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, ", globals_of(file, imports), ")\n",
    )
    for line in alias_lines(file, imports):
        out += (line, "\n",)
    return "".join(out)


def messages_pyi(file: File, use: Hints) -> str:
    """Renders ``messages.pyi.j2``."""
    out: list[str] = []

    def enum_class(enum: Enum) -> str:
        out: list[str] = []
        if enum.deprecated:
            out += (use.deprecation(enum.type_name), "\n",)
        out += (layout("class " + use.class_name(enum) + "(", [use.builtin("int"), "metaclass=" + use.helper("enums") + ".EnumTypeWrapper"], "):", use.level(enum)), "\n",)
        if enum.comment or enum.deprecated:
            out += (
                "    ", indented(docstring(enum.comment, enum.deprecated)), "\n",
                "\n",
            )
        for value in use.members(enum):
            out += ("    ", indented(annotated(value.name, use.helper("typing") + ".ClassVar[" + use.type_name(enum.type_name) + "]", use.depth(enum))), "\n",)
            if value.comment or value.deprecated:
                out += ("    ", indented(docstring(value.comment, value.deprecated)), "\n",)
        out += (
            "    ", indented(annotated("ValueType", use.helper("typing") + ".TypeAlias = " + use.type_name(enum.type_name), use.depth(enum))), "\n",
            "\n",
            "    @", use.builtin("classmethod"), "\n",
            "    ", indented(signature("def Value(", ["cls", "name: " + use.name()], use.type_name(enum.type_name), ": ...", use.depth(enum))), "\n",
            "    @", use.builtin("classmethod"), "\n",
            "    ", indented(signature("def values(", ["cls"], use.listed(), ": ...", use.depth(enum))), "\n",
            "    @", use.builtin("classmethod"), "\n",
            "    ", indented(signature("def items(", ["cls"], use.items(), ": ...", use.depth(enum))), "\n",
        )
        return "".join(out)


    def attribute(message: Message, field: Field) -> str:
        out: list[str] = []
        if use.assignable(field):
            out += (annotated(field.name, use.attribute(field), use.depth(message)), "\n",)
            if field.comment or field.deprecated:
                out += (docstring(field.comment, field.deprecated), "\n",)
        else:
            out += ("@", use.builtin("property"), "\n",)
            if field.comment or field.deprecated:
                out += (
                    signature("def " + field.name + "(", ["self"], use.attribute(field), ":", use.depth(message)), "\n",
                    "    ", indented(docstring(field.comment, field.deprecated)), "\n",
                )
            else:
                out += (signature("def " + field.name + "(", ["self"], use.attribute(field), ": ...", use.depth(message)), "\n",)
            if use.assigned(field):
                out += (
                    "@", field.name, ".setter\n",
                    layout("def " + field.name + "(", ["self", "value: " + use.assigned(field)], ") -> None: ...", use.depth(message)), "\n",
                )
        return "".join(out)


    def extension(field: Field, levels: int) -> str:
        out: list[str] = []
        out += (field.name.upper(), "_FIELD_NUMBER: ", use.builtin("int"), "\n",)
        if use.accessible(field):
            out += (annotated(field.name, use.extension(field), levels), "\n",)
            if field.comment or field.deprecated:
                out += (docstring(field.comment, field.deprecated), "\n",)
        return "".join(out)


    def entry_body(message: Message) -> str:
        out: list[str] = []
        for field in message.fields:
            out += ("    ", indented(attribute(message, field)), "\n",)
        if use.apart(message):
            out += ("\n",)
        out += (
            "    ", indented(layout("def __init__(", use.parameters(message), ") -> None: ...", use.depth(message))), "\n",
            "    ", indented(layout("def HasField(", use.present(message), ") -> " + use.builtin("bool") + ": ...", use.depth(message))), "\n",
            "    ", indented(layout("def ClearField(", use.clearable(message), ") -> None: ...", use.depth(message))), "\n",
            "\n",
            "    KEY_FIELD_NUMBER: ", use.helper("typing"), ".Final = 1\n",
            "    VALUE_FIELD_NUMBER: ", use.helper("typing"), ".Final = 2\n",
        )
        return "".join(out)


    def entry_class(message: Message) -> str:
        out: list[str] = []
        out += (
            "@", use.helper("typing"), ".final\n",
            layout("class " + use.class_name(message) + "(", [use.helper("message") + ".Message"], "):", use.level(message)), "\n",
            use.known_body(message) or use.keep_body(message, entry_body(message)), "\n",
        )
        return "".join(out)


    def message_class(message: Message) -> str:
        out: list[str] = []
        if message.deprecated:
            out += (use.deprecation(message.type_name), "\n",)
        out += (
            "@", use.helper("typing"), ".final\n",
            layout("class " + use.class_name(message) + "(", [use.helper("message") + ".Message"], "):", use.level(message)), "\n",
        )
        if message.comment or message.deprecated:
            out += (
                "    ", indented(docstring(message.comment, message.deprecated)), "\n",
                "\n",
            )
        for field in use.attributes(message):
            out += ("    ", indented(attribute(message, field)), "\n",)
        if use.apart(message):
            out += ("\n",)
        out += ("    ", indented(layout("def __init__(", use.parameters(message), ") -> None: ...", use.depth(message))), "\n",)
        if use.defines(message, "HasField"):
            out += ("    ", indented(layout("def HasField(", use.present(message), ") -> " + use.builtin("bool") + ": ...", use.depth(message))), "\n",)
        if use.defines(message, "ClearField"):
            out += ("    ", indented(layout("def ClearField(", use.clearable(message), ") -> None: ...", use.depth(message))), "\n",)
        for oneof in use.oneofs(message):
            if use.overloaded(message):
                out += ("    @", use.helper("typing"), ".overload\n",)
            if oneof.comment:
                out += (
                    "    ", indented(signature("def WhichOneof(", ["self", "oneof_group: " + use.literal(oneof.name)], use.choices(oneof), ":", use.depth(message))), "\n",
                    "        ", indented(docstring(oneof.comment), 2), "\n",
                )
            else:
                out += ("    ", indented(signature("def WhichOneof(", ["self", "oneof_group: " + use.literal(oneof.name)], use.choices(oneof), ": ...", use.depth(message))), "\n",)
        if message.fields:
            out += ("\n",)
            for constant in use.constants(message):
                out += ("    ", constant, "\n",)
        for enum in message.enums:
            out += (
                "\n",
                "    ", indented(enum_class(enum)), "\n",
            )
            if use.values(enum):
                out += ("\n",)
            for value in use.values(enum):
                out += ("    ", indented(annotated(value.name, use.helper("typing") + ".ClassVar[" + use.type_name(enum.type_name) + "]", use.depth(message))), "\n",)
        for entry in message.entries:
            out += (
                "\n",
                "    ", indented(entry_class(entry)), "\n",
            )
        for nested in message.messages:
            out += (
                "\n",
                "    ", indented(message_class(nested)), "\n",
            )
        for field in message.extensions:
            out += (
                "\n",
                "    ", indented(extension(field, use.depth(message))), "\n",
            )
        return "".join(out)


    def contents(file: File) -> str:
        out: list[str] = []
        if use.exported:
            out += ("__all__ = [\n",)
            for name in use.exported:
                out += ("    ", literal(name), ",\n",)
            out += ("]\n",)
        else:
            out += ("__all__: ", use.builtin("list"), "[", use.builtin("str"), "] = []\n",)
        if use.describes:
            out += (
                "\n",
                "DESCRIPTOR: ", use.helper("descriptor"), ".FileDescriptor\n",
            )
        for enum in file.enums:
            out += (
                "\n",
                indented(enum_class(enum), 0), "\n",
            )
            if use.values(enum):
                out += ("\n",)
            for value in use.values(enum):
                out += (annotated(value.name, use.type_name(enum.type_name)), "\n",)
        for message in file.messages:
            out += (
                "\n",
                indented(message_class(message), 0), "\n",
            )
        for field in file.extensions:
            out += (
                "\n",
                indented(extension(field, 0), 0), "\n",
            )
        for definition in use.keywords:
            out += (
                "\n",
                definition, "\n",
            )
        for name, target in use.aliases:
            out += (
                "\n",
                name, ": ", use.helper("typing"), ".TypeAlias = ", target, "\n",
            )
        return "".join(out)

    body = contents(file)
    out += (
        header(file.path), "\n",
        docstring("Messages of " + file.path + ".\n\n" + file.comment), "\n",
    )
    for line in use.suppressed:
        out += (line, "\n",)
    out += ("\n",)
    for line in use.helpers:
        out += (line, "\n",)
    for line in use.imports.plain:
        out += (line, "\n",)
    for line in use.imports.checked:
        out += (line, "\n",)
    out += (
        "\n",
        body,
    )
    return "".join(out)


def stubs_py(file: File, imports: Imports, stubs: Stubs) -> str:
    """Renders ``stubs.py.j2``."""
    out: list[str] = []
    out += (
        header(file.path), "\n",
        docstring(stubs.title + " of " + file.path + ".\n\n" + file.comment), "\n",
    )
    for line in stubs.suppressed:
        out += (line, "\n",)
    out += (
        "\n",
        "from __future__ import annotations\n",
        "\n",
    )
    if stubs.helpers:
        for line in stubs.helpers:
            out += (line, "\n",)
        out += ("\n",)
    out += (
        "import micro_rt as ", stubs.micro, "\n",
        "\n",
    )
    for line in imports.plain:
        out += (line, "\n",)
    if imports.checked and imports.plain:
        out += ("\n",)
    if imports.checked:
        out += ("if ", stubs.type_checking, ":\n",)
        for line in imports.checked:
            out += ("    ", indented(line), "\n",)
        out += ("elif ", imports.condition, ":\n",)
        for line in imports.inside:
            out += ("    ", indented(line), "\n",)
        out += ("else:\n",)
        for line in imports.outside:
            out += ("    ", indented(line), "\n",)
    out += (
        "\n",
        runtime_guard(stubs.micro), "\n",
        "\n",
        layout("__all__ = [", stubs.exported, "]"), "\n",
    )
    if stubs.descriptors:
        out += (
            "\n",
            stubs.descriptors, "\n",
        )
    for service in file.services:
        out += ("\n",)
        if stubs.follows(service):
            out += ("\n",)
        for method in service.methods:
            out += (layout(stubs.constant(method) + " = " + stubs.micro + ".Method(", stubs.arguments(service, method), ")"), "\n",)
        out += (
            layout(stubs.info(service) + " = " + stubs.micro + ".ServiceInfo(", stubs.described(service), ")"), "\n",
            "\n",
            "\n",
            layout("class " + service.name + "Client(", [stubs.micro + ".Client"], "):"), "\n",
            "    ", indented(docstring(stubs.client_text(service), service.deprecated)), "\n",
            "\n",
            "    _info_ = ", stubs.info(service), "\n",
        )
        for method in service.methods:
            out += ("\n",)
            if method.deprecated:
                out += ("    ", indented(stubs.deprecation(method)), "\n",)
            out += (
                "    ", "async def" if method.kind == "UNARY" else "def", " ", method.python_name, "(\n",
                "        self,\n",
                "        ", indented(stubs.argument(method), 2), ",\n",
                "        *,\n",
                "        timeout: ", stubs.float, " | None = None,\n",
                "        metadata: ", stubs.micro, ".MetadataLike | None = None,\n",
                "        info: ", stubs.micro, ".CallInfo | None = None,\n",
                "    ) -> ", indented(returned(stubs.call(method), ":", 1)), "\n",
            )
            if method.comment or method.deprecated:
                out += ("        ", indented(docstring(method.comment, method.deprecated), 2), "\n",)
            out += ("        ", indented(layout(stubs.sends(method), stubs.sent(method), ")", 2), 2), "\n",)
        out += (
            "\n",
            "\n",
            layout("class " + service.name + "Base(", [stubs.micro + ".Handler"], "):"), "\n",
            "    ", indented(docstring(stubs.base_text(service), service.deprecated)), "\n",
            "\n",
            "    _info_ = ", stubs.info(service), "\n",
        )
        for method in service.methods:
            out += (
                "\n",
                "    ", indented(signature(stubs.head(method), stubs.parameters(method), stubs.answer(method), ":", 1)), "\n",
            )
            if method.comment or method.deprecated:
                out += ("        ", indented(docstring(method.comment, method.deprecated), 2), "\n",)
            out += ("        ", indented(layout("raise self._unimplemented(", [stubs.constant(method)], ")", 2), 2), "\n",)
    if file.events:
        out += ("\n",)
        if file.services:
            out += ("\n",)
        for event in file.events:
            out += (layout(stubs.events.constant(event) + " = " + stubs.micro + ".Event(", stubs.events.arguments(event), ")"), "\n",)
        out += (
            layout(stubs.events.info + " = " + stubs.micro + ".EventsInfo(", [literal(file.path), stubs.events.tuple()], ")"), "\n",
            "\n",
            "\n",
            layout("class " + stubs.events.publisher + "(", [stubs.micro + ".Publisher"], "):"), "\n",
            "    ", indented(docstring("Publishes the events of " + file.path + ".")), "\n",
            "\n",
            "    _info_ = ", stubs.events.info, "\n",
        )
        for event in file.events:
            out += ("\n",)
            if event.deprecated:
                out += ("    ", indented(stubs.events.deprecation(event)), "\n",)
            out += ("    ", indented(signature("async def " + event.python_name + "(", stubs.events.publish(event), stubs.micro + ".Published", ":", 1)), "\n",)
            if event.comment or event.deprecated:
                out += ("        ", indented(docstring(event.comment, event.deprecated), 2), "\n",)
            out += ("        ", indented(layout("return await self._publish(", [stubs.events.constant(event), "event", "key", "headers", "time", "timeout"], ")", 2), 2), "\n",)
        out += (
            "\n",
            "    ", indented(signature("async def publish_all(", stubs.events.publish_all(), stubs.events.published(), ":", 1)), "\n",
            '        """Publishes many events of this file at once; what comes back is in their order."""\n',
            "        return await self._publish_all(events, headers, timeout)\n",
            "\n",
            "\n",
            layout("class " + stubs.events.subscriber + "(", [stubs.micro + ".Subscriber"], "):"), "\n",
            "    ", indented(docstring("Handles the events of " + file.path + "; a method that is left out is not subscribed.")), "\n",
            "\n",
            "    _info_ = ", stubs.events.info, "\n",
        )
        for event in file.events:
            out += (
                "\n",
                "    ", indented(stubs.events.handle(event)), "\n",
            )
            if event.comment or event.deprecated:
                out += ("        ", indented(docstring(event.comment, event.deprecated), 2), "\n",)
            out += ("        ", indented(layout("raise self._not_subscribed(", [stubs.events.constant(event)], ")", 2), 2), "\n",)
    return "".join(out)
