"""How one generated module imports others, so that it works at the import root and inside any package.

Modules whose .proto files share a top folder import each other relatively, and so do all of them inside a package
(``package=.``). What the official runtime and
micro_rt bring is imported absolutely. Between all others nobody knows at generation time which of the two
is right, so both are written: at run time ``__package__`` tells, and for type checkers both are star imports,
because a star import of a module that does not exist binds nothing, where a named one would silently bind ``Any``.
Where the run says which Python package it writes (``package=``) or what was generated elsewhere (``map=``), the
full name is known, and is all that is written.

A star import brings every name of a module. Where one of them would clash, the needed names are imported one
by one under names of their own; mypy then sees ``Any`` for them inside a package, and only there (``package=`` is
the cure).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.python.scopes import writable
from protoc_gen_micro.python.text import WIDTH
from protoc_gen_micro.schema.model import TypeName
from protoc_gen_micro.schema.names import unused

__all__ = ["Imports", "Needs", "handed_on", "import_directly", "plan_modules", "plan_names"]

Needs = Mapping[str, Iterable[str]]
"""The top-level names that a module needs, by the .proto file that defines them."""


class Imports(NamedTuple):
    """The imports of one generated module.

    Attributes:
        plain: lines that are right everywhere.
        checked: lines for type checkers, where nobody knows which of two forms is right.
        inside: the same for a run inside a package.
        outside: the same for a run at the import root.
        condition: the expression that is true inside a package.
        local: the local name of a top-level type, by file and name.
        redefines: whether the lines for type checkers bind a name twice.
        stars: whether a module of a library is imported by star.
        untyped: whether a module is imported from a distribution that may not say that it has types.
        brought: the names that star imports bring where modules are imported for their effect.
    """

    plain: tuple[str, ...]
    checked: tuple[str, ...]
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    condition: str
    local: dict[tuple[str, str], str]
    redefines: bool
    stars: bool = False
    untyped: bool = False
    brought: frozenset[str] = frozenset()

    @property
    def pyright(self) -> str:
        """The settings of pyright that a module needs which imports others for their effect."""
        unused = "reportUnusedImport=false"
        # The star brings DESCRIPTOR too, where the stub of the library has no __all__.
        return (
            f"{unused}, reportConstantRedefinition=false, reportWildcardImportFromLibrary=false"
            if self.stars
            else unused
        )

    @property
    def disabled(self) -> str:
        """The codes of mypy that the imports need to be switched off; empty where there are none."""
        codes = ["import-not-found"] if self.checked else []
        # In the namespace of Google's libraries, mypy says of a module that does not exist that it has no types.
        if self.untyped or any(line.startswith("from google.") for line in self.checked):
            codes.append("import-untyped")
        if self.redefines:
            codes.append("no-redef")
        return ", ".join(codes)

    def name(self, type_name: TypeName) -> str:
        """Returns how the module writes the name of a message or an enum."""
        top, *nested = type_name.names
        return ".".join([self.local.get((type_name.file, top), top), *nested])


def plan_modules(here: str, paths: Iterable[str], public: Iterable[str], modules: Modules) -> Imports:
    """Plans to import modules for their effect, and the public ones by star: that has the same effect.

    Args:
        here: the .proto file of the importing module.
        paths: the .proto files whose modules are to be imported.
        public: those of them whose names the module hands on.
        modules: where the modules are.
    """
    star = set(public)
    plain: list[str] = []
    inside: list[str] = []
    outside: list[str] = []
    for path in paths:
        line = _star_line if path in star else _module_line
        full = modules.absolute(path)
        if full:
            plain.append(line(full))
            continue
        absolute, relative = _module_forms(here, path, modules)
        if _same_top(here, path, modules):
            plain.append(line(relative))
        else:
            outside.append(line(absolute))
            inside.append(line(relative))
    return Imports(
        plain=tuple(dict.fromkeys(plain)),
        checked=(),
        inside=tuple(inside),
        outside=tuple(outside),
        condition=_condition(here, modules),
        local={},
        redefines=False,
        stars=any(modules.absolute(path) for path in star),
        brought=frozenset().union(*(modules.exports[path] for path in star)),
    )


def plan_names(
    here: str,
    needs: Needs,
    modules: Modules,
    taken: Iterable[str],
    hiding: Iterable[str] = (),
    public: Needs | None = None,
) -> Imports:
    """Plans to import messages and enums by name.

    Args:
        here: the .proto file of the importing module.
        needs: what it needs.
        modules: where the modules are, and what star imports of them bring.
        taken: names that the module gives to something else.
        hiding: names that a class in the module gives to something else.
        public: those of ``needs`` that the module hands on, and so imports under their own names.
    """
    kept = {path: set(names) for path, names in (public or {}).items()}
    handed_on = {name for names in kept.values() for name in names}
    used = {*taken, *hiding, *handed_on}
    local: dict[tuple[str, str], str] = {}
    known: dict[str, list[str]] = {}
    checked: list[str] = []
    inside: list[str] = []
    outside: list[str] = []
    redefines = False
    exports = modules.exports
    full = {path: modules.absolute(path) for path in needs}
    stars = {path for path in needs if not full[path] and not _same_top(here, path, modules)}
    clashing = _clashing(stars, needs, kept, exports, set(taken), set(hiding))
    for path in sorted(stars - clashing):
        used.update(exports[path])
    for path, names in sorted(needs.items()):
        wanted = sorted(set(names))
        if path in stars and path not in clashing:
            choices = [(name, name) for name in wanted]
        else:
            own = kept.get(path, ())
            choices = [(name, name if name in own else _choose(name, used)) for name in wanted]
        local.update({(path, name): choice for name, choice in choices})
        listed = [name if name == choice else f"{name} as {choice}" for name, choice in choices]
        if full[path]:
            # Several files may have one module, as those of betterproto do.
            known.setdefault(f"from {full[path]} import ", []).extend(listed)
            continue
        absolute, relative = (f"from {form} import " for form in _module_forms(here, path, modules))
        if path not in stars:
            known[relative] = listed
            continue
        if path in clashing:
            redefines = True
            checked += [_names_line(absolute, listed, 1, _MISSING), _names_line(relative, listed, 1)]
        else:
            checked += [f"{absolute}*{_MISSING}", f"{relative}*"]
        inside.append(_names_line(relative, listed, 1))
        outside.append(_names_line(absolute, listed, 1))
    return Imports(
        plain=tuple(_names_line(head, sorted(set(listed))) for head, listed in known.items()),
        checked=tuple(checked),
        inside=tuple(inside),
        outside=tuple(outside),
        condition=_condition(here, modules),
        local=local,
        redefines=redefines,
        untyped=any(_may_be_untyped(path, full[path], modules) for path in needs),
    )


def handed_on(here: str, public: Iterable[str], modules: Modules, own: AbstractSet[str]) -> dict[str, set[str]]:
    """Returns the names that a module hands on, by the .proto file whose module brings each.

    A name that several bring is that of the last one which the module imports at run time, and one that the file
    defines is its own.

    Args:
        here: the .proto file of the module.
        public: the .proto files whose names it hands on, in their order.
        modules: where the modules are, and what star imports of them bring.
        own: what the file defines.
    """
    needs: dict[str, set[str]] = {}
    seen = set(own)
    # The modules in a known place are imported first.
    order = sorted(public, key=lambda path: not modules.absolute(path) and not _same_top(here, path, modules))
    for path in reversed(order):
        names = {name for name in modules.exports[path] if writable(name)} - seen
        if names:
            needs[path] = names
            seen |= names
    return needs


def import_directly(public: dict[str, set[str]], used: Iterable[tuple[str, str]], modules: Modules) -> None:
    """Moves names that a module hands on to the files that define them, where the module itself uses those types.

    Otherwise it would import one class twice, under two names.

    Args:
        public: the names that it hands on, by the file whose module brings each; it has at most one of a name. Changed here.
        used: the types of other files that it refers to: the file that defines each, and the name.
        modules: where the modules are.
    """
    brings = {name: path for path, names in public.items() for name in names}
    for path, name in used:
        bringing = brings.get(name, path)
        if bringing != path and _defining(bringing, name, modules) == path:
            public[bringing].discard(name)
            public.setdefault(path, set()).add(name)


def _defining(path: str, name: str, modules: Modules) -> str:
    """Returns the .proto file that defines what the module of a file calls so, directly or by a public import."""
    while name not in modules.defined[path]:
        found = handed_on(path, modules.public[path], modules, modules.defined[path])
        path = next(other for other, names in found.items() if name in names)
    return path


_MISSING = "  # pyright: ignore[reportMissingImports]"


def _clashing(
    stars: set[str],
    needs: Needs,
    kept: Mapping[str, set[str]],
    exports: Mapping[str, frozenset[str]],
    taken: set[str],
    hiding: set[str],
) -> set[str]:
    """Returns the files that cannot be imported by star: a name that they bring means something else here."""
    clashing: set[str] = set()
    for path in stars:
        others = {name for other, names in needs.items() if other not in stars for name in names}
        others.update(*(exports[other] for other in stars if other != path))
        # What is handed on has its own name even where a class hides it.
        others |= taken | hiding - kept.get(path, set())
        if exports[path] & others:
            clashing.add(path)
    return clashing


def _choose(name: str, used: set[str]) -> str:
    choice = name if name not in used else unused(f"_{name}", used)
    used.add(choice)
    return choice


def _same_top(here: str, there: str, modules: Modules) -> bool:
    """Returns whether one module can import another relatively, wherever the output folder is put."""
    if modules.inside:
        return True
    top, dot, _ = modules.name(here).partition(".")
    return bool(dot) and modules.name(there).startswith(f"{top}.")


def _may_be_untyped(path: str, module: str, modules: Modules) -> bool:
    """Returns whether mypy may ask for types of a module: googleapis-common-protos has stubs, and no ``py.typed``."""
    return path in modules.installed or (module.startswith("google.") and not modules.shipped(path))


def _condition(here: str, modules: Modules) -> str:
    depth = modules.name(here).count(".")
    return f'(__package__ or "").count(".") >= {depth}' if depth else "__package__"


def _module_forms(here: str, there: str, modules: Modules) -> tuple[str, str]:
    """Returns the module of a .proto file as an absolute name, and as one relative to another's module."""
    absolute = modules.name(there)
    ours, theirs = modules.name(here).split(".")[:-1], absolute.split(".")
    common = 0
    while common < min(len(ours), len(theirs) - 1) and ours[common] == theirs[common]:
        common += 1
    return absolute, "." * (len(ours) - common + 1) + ".".join(theirs[common:])


def _star_line(module: str) -> str:
    return f"from {module} import *"


def _module_line(module: str) -> str:
    if not module.startswith("."):
        return f"import {module}"
    package, _, name = module.rpartition(".")
    dots = module[: len(module) - len(module.lstrip("."))]
    return f"from {package if package.strip('.') else dots} import {name}"


def _names_line(head: str, listed: list[str], levels: int = 0, comment: str = "") -> str:
    line = head + ", ".join(listed)
    if len(line) + 4 * levels <= WIDTH:
        return line + comment
    return f"{head}({comment}\n" + "".join(f"    {name},\n" for name in listed) + ")"
