"""The names that ``stubs.py.j2`` writes beside those of the .proto."""

from __future__ import annotations

from collections.abc import Iterable

from protoc_gen_micro.python.event_stubs import EventStubs, classes_of
from protoc_gen_micro.python.imports import Imports, plan_names
from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.python.text import WIDTH, broken, bytes_literal, layout, literal, tuple_of
from protoc_gen_micro.schema.model import Auth, File, Limits, Method, Policy, Retry, Service, TypeName
from protoc_gen_micro.schema.names import constant_name, unused

__all__ = ["Stubs"]


class Stubs:
    """The stubs of one file.

    Args:
        file: the file.
        modules: where the modules are, and what star imports of them bring.

    Attributes:
        imports: how the messages are imported.
        helpers: the lines that import from the standard library.
        exported: the items of ``__all__``.
        micro: the name of the runtime.
        type_checking: the name of ``typing.TYPE_CHECKING``.
        float: the name of the builtin.
        suppressed: comments that switch off what type checkers would say of deprecated messages.
        title: what the module holds.
        events: the stubs of the file's events.
        descriptors: the lines that hold the file's descriptors, where the stubs do.
    """

    def __init__(self, file: File, modules: Modules) -> None:
        methods = [method for service in file.services for method in service.methods]
        classes = [f"{service.name}{suffix}" for service in file.services for suffix in ("Base", "Client")]
        classes += classes_of(file)
        messages = [message for method in methods for message in (method.request, method.reply)]
        messages += [event.type_name for event in file.events]
        needs: dict[str, set[str]] = {}
        for message in messages:
            needs.setdefault(message.file, set()).add(message.names[0])
        # In the body of a class, its methods hide what the module calls so; and annotations is from __future__.
        members = {"annotations", *(method.python_name for method in methods)}
        if file.events:
            members.update(("publish_all", "tombstone", *(event.python_name for event in file.events)))
        self.imports: Imports = plan_names(file.path, needs, modules, {*members, *classes})
        taken = {*members, *classes, *self.imports.local.values()}
        for path in needs:
            taken |= modules.exports[path]
        self.micro = unused("_micro", taken)
        self.float = "float"
        self._async_iterator, self._iterator = unused("AsyncIterator", taken), unused("Iterator", taken)
        self._awaitable = unused("Awaitable", taken)
        self.type_checking = "TYPE_CHECKING"
        self.helpers: list[str] = []
        if "float" in taken:
            self.float = unused("_float", taken)
            self.helpers.append(f"from builtins import float as {self.float}")
        self.events = EventStubs(file, self.imports, self.micro, self.float, taken)
        self.helpers += self.events.builtins
        collections: list[tuple[str, str]] = []
        if any(method.server_streams for method in methods):
            collections += [("AsyncIterator", self._async_iterator), ("Iterator", self._iterator)]
        if not all(method.server_streams for method in methods):
            collections.append(("Awaitable", self._awaitable))
        if file.events:
            collections.append(self.events.iterable)
        if collections:
            self.helpers.append(_import("collections.abc", *sorted(collections)))
        if file.events:
            self.helpers.append(_import("datetime", self.events.datetime))
        if self.imports.checked:
            self.helpers.append(self._import_type_checking(taken))
        self.suppressed = self._suppressed(messages)
        self.exported = [literal(name) for name in sorted(classes)]
        self.title = _title(file)
        self._first = file.services[0].full_name if file.services else ""
        self._constants: dict[str, str] = {}
        for service in file.services:
            self._constants[service.full_name] = self._constant(taken, service.name)
            for method in service.methods:
                self._constants[method.full_name] = self._constant(taken, service.name, method.name)
        self.events.name_constants(taken)
        self._descriptors = unused("_DESCRIPTORS", taken) if file.descriptors else ""
        self.descriptors = _bytes(self._descriptors, file.descriptors) if file.descriptors else ""

    def follows(self, service: Service) -> bool:
        """Returns whether a service comes behind another one."""
        return service.full_name != self._first

    def info(self, service: Service) -> str:
        """Returns the name of the constant that describes a service."""
        return self._constants[service.full_name]

    def constant(self, method: Method) -> str:
        """Returns the name of the constant that describes a method."""
        return self._constants[method.full_name]

    def client_text(self, service: Service) -> str:
        """Returns what the docstring of a service's client says."""
        return service.comment or _described("Calls the service", service)

    def base_text(self, service: Service) -> str:
        """Returns what the docstring of the base class of a service's handlers says."""
        return service.comment or _described("Handles calls of the service", service)

    def described(self, service: Service) -> list[str]:
        """Returns the arguments of the constant that describes a service."""
        methods = tuple_of((self.constant(method) for method in service.methods), 1)
        arguments = [literal(service.full_name), literal(service.target), methods]
        return [*arguments, self._descriptors] if self._descriptors else arguments

    def arguments(self, service: Service, method: Method) -> list[str]:
        """Returns the arguments of a method's constant."""
        arguments = [
            literal(service.full_name),
            literal(method.name),
            literal(method.python_name),
            f"{self.micro}.Kind.{method.kind}",
            self.imports.name(method.request),
            self.imports.name(method.reply),
        ]
        if method.idempotency != "UNKNOWN":
            arguments.append(f"{self.micro}.Idempotency.{method.idempotency}")
        if method.policy is not None:
            arguments.append(self._made("policy", "Policy", 1, self._policy(method.policy)))
        return arguments

    def call(self, method: Method) -> str:
        """Returns what the client's method returns."""
        request, reply = self.imports.name(method.request), self.imports.name(method.reply)
        return {
            "UNARY": reply,
            "SERVER_STREAM": f"{self.micro}.ServerStreamCall[{reply}]",
            "CLIENT_STREAM": f"{self.micro}.ClientStreamCall[{request}, {reply}]",
            "BIDI_STREAM": f"{self.micro}.BidiStreamCall[{request}, {reply}]",
        }[method.kind]

    def deprecation(self, method: Method) -> str:
        """Returns the decorator of a deprecated method of a client."""
        return layout(f"@{self.micro}.deprecated(", [literal(f"{method.full_name} is deprecated")], ")", 1)

    def argument(self, method: Method) -> str:
        """Returns the parameter that a client's method takes its request or its requests by."""
        request = self.imports.name(method.request)
        if not method.client_streams:
            return f"request: {request}"
        return broken(f"requests: {self.micro}.Messages[{request}] | None = None", 2)

    def sends(self, method: Method) -> str:
        """Returns how a client's method begins its call into the runtime."""
        return {
            "UNARY": "return await self._unary(",
            "SERVER_STREAM": "return self._server_stream(",
            "CLIENT_STREAM": "return self._client_stream(",
            "BIDI_STREAM": "return self._bidi_stream(",
        }[method.kind]

    def sent(self, method: Method) -> list[str]:
        """Returns the arguments of a client's call into the runtime."""
        request = "requests" if method.client_streams else "request"
        return [self.constant(method), request, "timeout", "metadata", "info"]

    def head(self, method: Method) -> str:
        """Returns how the definition of a handler's method begins: its overrides are coroutine functions or plain ones."""
        return f"def {method.python_name}("

    def parameters(self, method: Method) -> list[str]:
        """Returns the parameters of a handler's method."""
        request = self.imports.name(method.request)
        first = f"requests: {self.micro}.Requests[{request}]" if method.client_streams else f"request: {request}"
        return ["self", first, f"context: {self.micro}.Context"]

    def answer(self, method: Method) -> str:
        """Returns what a handler's method returns."""
        reply = self.imports.name(method.reply)
        if not method.server_streams:
            return f"{self._awaitable}[{reply}] | {reply}"
        return f"{self._async_iterator}[{reply}] | {self._iterator}[{reply}]"

    def _import_type_checking(self, taken: set[str]) -> str:
        """Returns the line that imports the condition, which mypy knows by this name alone, as a name or as an attribute."""
        if self.type_checking not in taken:
            return _import("typing", (self.type_checking, self.type_checking))
        module = unused("_typing", taken)
        taken.add(module)
        self.type_checking = f"{module}.{self.type_checking}"
        return f"import typing as {module}"

    def _suppressed(self, messages: Iterable[TypeName]) -> list[str]:
        mypy = [self.imports.disabled] if self.imports.disabled else []
        pyright: list[str] = []
        if any(message.deprecated for message in messages):
            mypy.append("deprecated")
            pyright.append("reportDeprecated=false")
        if any(name.startswith("_") for message in messages for name in message.names[1:]):
            pyright.append("reportPrivateUsage=false")  # What a .proto nests is not private, whatever it is called.
        lines = [f'# mypy: disable-error-code="{", ".join(mypy)}"'] if mypy else []
        return [*lines, f"# pyright: {', '.join(pyright)}"] if pyright else lines

    def _policy(self, policy: Policy) -> list[str]:
        parts: list[str] = []
        # No comma is behind an argument that is alone on its line.
        comma = "," if sum(part is not None for part in policy) > 1 else ""
        if policy.timeout is not None:
            parts.append(f"timeout={policy.timeout!r}")
        if policy.retry is not None:
            parts.append(self._made("retry", "RetryPolicy", 2, self._retry(policy.retry), comma))
        if policy.auth is not None:
            parts.append(self._made("auth", "AuthPolicy", 2, _auth(policy.auth), comma))
        if policy.limits is not None:
            parts.append(self._made("limits", "LimitPolicy", 2, _limits(policy.limits), comma))
        if policy.compression is not None:
            parts.append(f"compression={literal(policy.compression)}")
        return parts

    def _retry(self, retry: Retry) -> list[str]:
        said = {"attempts": retry.attempts, "backoff": retry.backoff, "max_backoff": retry.max_backoff}
        parts = [f"{name}={value!r}" for name, value in said.items() if value is not None]
        if retry.codes:
            codes = [f"{self.micro}.Code.{code}" for code in dict.fromkeys(retry.codes)]
            listed = layout("{", codes, "},", 4).removesuffix(",")
            parts.append(layout("codes=frozenset(", [listed], "),", 3).removesuffix(","))
        if retry.idempotent is not None:
            parts.append(f"idempotent={retry.idempotent!r}")
        if retry.attempt_timeout is not None:
            parts.append(f"attempt_timeout={retry.attempt_timeout!r}")
        return parts

    def _made(self, keyword: str, kind: str, levels: int, arguments: list[str], comma: str = ",") -> str:
        return layout(f"{keyword}={self.micro}.{kind}(", arguments, f"){comma}", levels).removesuffix(",")

    def _constant(self, taken: set[str], *names: str) -> str:
        name = unused(constant_name(*names), taken)
        taken.add(name)
        return name


def _title(file: File) -> str:
    if not file.events:
        return "Clients and service bases"
    return "Clients, service bases and events" if file.services else "Events"


def _described(verb: str, service: Service) -> str:
    """Returns the text for a service without a comment: its full name and its rpcs, as the .proto declares them."""
    lines = [f"{verb} {service.full_name}."]
    if service.methods:
        lines.append("")
    for method in service.methods:
        sends, gives = ("stream " if streams else "" for streams in (method.client_streams, method.server_streams))
        request, reply = method.request.full_name, method.reply.full_name
        lines.append(f"rpc {method.name}({sends}{request}) returns ({gives}{reply})")
    return "\n".join(lines)


def _auth(auth: Auth) -> list[str]:
    parts: list[str] = []
    if auth.scopes:
        scopes = [literal(scope) for scope in auth.scopes]
        parts.append(f"scopes={tuple_of(scopes, 3, 'scopes=', ',' if auth.public else '')}")
    if auth.public:
        parts.append("public=True")
    return parts


def _limits(limits: Limits) -> list[str]:
    return [f"{name}={value}" for name, value in limits._asdict().items() if value is not None]


def _bytes(name: str, data: bytes) -> str:
    """Returns the lines that make a constant of bytes."""
    pieces = bytes_literal(data).splitlines()
    line = f"{name} = {pieces[0]}"
    if len(pieces) == 1 and len(line) <= WIDTH:
        return line
    return "\n".join([f"{name} = (", *(f"    {piece}" for piece in pieces), ")"])


def _import(module: str, *names: tuple[str, str]) -> str:
    return f"from {module} import " + ", ".join(name if name == own else f"{name} as {own}" for name, own in names)
