"""One run: from a request to a response, whoever asks, protoc, buf or ``micro-rt generate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.compiler import plugin_pb2
from google.protobuf.message import DecodeError, Message

from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.python.installed import site_folders
from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.rendering import compiled
from protoc_gen_micro.rendering.render import Templates, render
from protoc_gen_micro.run import files
from protoc_gen_micro.run.parameters import Parameters
from protoc_gen_micro.schema.reader import Reader
from protoc_gen_micro.schema.request_names import check_names

__all__ = ["answer", "respond"]


def answer(data: bytes) -> bytes:
    """Answers one serialized request with a serialized response; warnings go to standard error."""
    try:
        request = plugin_pb2.CodeGeneratorRequest.FromString(data)
    except DecodeError as error:
        problem = f"the request is not a CodeGeneratorRequest: {error}"
        return plugin_pb2.CodeGeneratorResponse(error=problem).SerializeToString()
    return respond(request, warn=_warn).SerializeToString()


def respond(
    request: plugin_pb2.CodeGeneratorRequest, *, runtime: bool = False, warn: Callable[[str], None] | None = None
) -> plugin_pb2.CodeGeneratorResponse:
    """Answers one request; whatever goes wrong is in ``error`` of the response.

    Args:
        request: the request.
        runtime: whether the files of micro_rt are generated too. A user's run may name them, as a module of buf, and
            must not write them: a folder ``micro_rt`` beside the user's code would hide the runtime.
        warn: is called with each warning, which may have several lines; None drops warnings. A run that fails has none.
    """
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=_FEATURES, minimum_edition=files.MINIMUM_EDITION, maximum_edition=files.MAXIMUM_EDITION
    )
    try:
        check_names(request.proto_file)
        outputs, warnings = _generate(request, runtime)
        for name, content in outputs:
            response.file.add(name=name, content=content)
        if warn is not None:
            for warning in warnings:
                warn(warning)
    except files.EditionError as error:
        # protoc says itself that an edition is newer than what a plugin announces, and would say so before our error.
        response.maximum_edition = descriptor_pb2.EDITION_MAX
        response.error = str(error)
    except GenerateError as error:
        del response.file[:]
        response.error = str(error)
    except Exception as error:
        # protoc would show a traceback as noise, and the user could do nothing with it.
        del response.file[:]
        response.error = _inconsistency(request) or (
            f"this is a bug in protoc-gen-micro, please report it with the .proto file: {type(error).__name__}: {error}"
        )
    return response


def _inconsistency(request: plugin_pb2.CodeGeneratorRequest) -> str:
    """Returns what is wrong with the files of a request, as protobuf's own runtime sees them, or empty.

    No compiler sends such a request; asked only when generating has failed, for it takes its time.
    """
    pool = descriptor_pool.DescriptorPool()
    for file in request.proto_file:
        try:
            pool.AddSerializedFile(file.SerializePartialToString())
        except (TypeError, ValueError, KeyError) as error:
            return str(GenerateError(f"the request is inconsistent: {error}", path=file.name))
        if _undecoded(file):
            return str(GenerateError("the request is inconsistent: it has a string that is not UTF-8", path=file.name))
    return ""


def _undecoded(message: Message) -> bool:
    """Returns whether a message has, somewhere in it, bytes in the place of a string."""
    for field, value in message.ListFields():
        for item in value if field.is_repeated else (value,):
            if isinstance(item, Message):
                if _undecoded(item):
                    return True
            elif isinstance(item, bytes) and field.type == field.TYPE_STRING:
                return True
    return False


_FEATURES = (
    plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    | plugin_pb2.CodeGeneratorResponse.FEATURE_SUPPORTS_EDITIONS
)


def _warn(text: str) -> None:
    print(f"protoc-gen-micro: warning: {text}", file=sys.stderr)


def _generate(request: plugin_pb2.CodeGeneratorRequest, runtime: bool) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns the path and the text of each file, and the warnings."""
    parameters = Parameters.parse(f"{request.parameter}")  # bytes, where a request is damaged
    files.check_editions(request)
    reader = Reader(request.proto_file)
    inside = parameters.package == "."
    modules = Modules(
        reader.exports,
        "" if inside else parameters.package,
        parameters.map,
        ours=parameters.messages != "none",
        public=reader.public,
        inside=inside,
    )
    read, losses = reader.read, None
    if parameters.messages == "betterproto":
        from protoc_gen_micro.betterproto.dialect import SUFFIX, Dialect

        dialect = Dialect(request.proto_file, reader, modules.mapped)
        modules = modules._replace(exports=dialect.exports, defined=dialect.defined, suffix=SUFFIX)
        read, losses = dialect.read, dialect.losses
    folders = site_folders()
    modules = files.find_installed(request, modules, folders)
    files.check_modules(request.proto_file, modules)
    templates = _templates(parameters.templates)
    paths = files.files_to_write(request, modules, runtime)

    def write(index: int) -> _Written:
        try:
            file = read(paths[index])
            outputs = list(render(file, modules, parameters, templates))
            if file.events:
                from protoc_gen_micro.asyncapi.document import document_path, document_text

                outputs.append((document_path(file, modules), document_text(file, reader)))
        except GenerateError as error:
            return [], str(error), [], []
        if losses is None:
            return outputs, "", [], []
        return outputs, "", files.used_by(file, modules), losses.take()

    outputs: list[tuple[str, str]] = []
    problems: list[str] = []
    used: set[str] = set()
    lost: list[tuple[str, str]] = []
    for written, problem, uses, loses in _results(write, [reader.size(path) for path in paths]):
        outputs += written
        # A file that others import may be wrong in the same way for each of them.
        problems += problem.splitlines()
        used.update(uses)
        lost += loses
    if problems:
        raise GenerateError("\n".join(dict.fromkeys(problems)))
    warnings = [*files.left_out(request, modules, runtime, nothing=not outputs), *files.hidden(paths, modules, folders)]
    warnings += files.replacing(paths, modules)
    warnings += files.unchecked(request, paths, sys.path)
    if losses is not None:
        warnings += files.without_classes(used.difference(paths), modules, folders)
        warnings += losses.warnings(lost)
    return outputs, warnings


_Written = tuple[list[tuple[str, str]], str, list[str], list[tuple[str, str]]]
"""What becomes of one .proto file, in values that one process can hand to another.

The path and the text of each file, or else what is wrong, a line for each mistake; and in the betterproto dialect, the .proto
files that it uses, and what is left out of it.
"""


def _results(write: Callable[[int], _Written], sizes: Sequence[int]) -> Iterable[_Written]:
    """Returns what becomes of each file, in their order; several processes write the files of a large tree."""
    if len(sizes) < 2:
        return map(write, range(len(sizes)))
    from protoc_gen_micro.run.processes import in_order, processes_for

    return in_order(write, sizes, processes_for(sizes))


def _templates(folder: str) -> Templates:
    if not folder:
        return compiled
    try:
        from protoc_gen_micro.rendering.user_templates import UserTemplates
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise GenerateError("option 'templates' needs Jinja2: pip install \"micro-rt[templates]\"") from error
    return UserTemplates(folder)
