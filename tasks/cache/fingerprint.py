"""What a stage's result depends on beside its inputs: the code it executes and the packages that compute.

The code digest covers the stage's own module and every module of `models/` that it can reach by imports, at the top or
inside functions, and those it loads by name, which the stage declares. Each counts as its syntax tree without
docstrings: an edited helper is a different key, an edited comment is not. Data files that a module names and that lie
beside it (templates, style sheets) count with their bytes. The machinery in `tasks/` around a stage (cache, store,
engine) carries values without changing them, and is not part of any key.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

COMPUTING = "models"
"""The package whose modules compute; imports of other packages are not followed."""
ROOT = Path(__file__).resolve().parent.parent.parent


def digest_of(value: Any) -> str:
    """SHA-256 of a value made of records, settings, numbers and strings.

    Raises TypeError for anything else: a path or an object with an address has no place in a key.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_as_dict).encode()).hexdigest()


def _as_dict(record: Any) -> dict[str, Any]:
    if not is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"a {type(record).__name__} cannot be part of a cache key")
    return {"record": type(record).__name__, **{name: getattr(record, name) for name in _fields(type(record))}}


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def code_digest(*modules: str, root: Path = ROOT) -> str:
    """Digest of modules and of all that is `reachable` from them; raises ModuleNotFoundError for one that is not there.

    A module counts as its syntax tree, any other file as its bytes.
    """
    digests = {
        name: _parsed(name, path.read_text(), path.name == "__init__.py").digest
        if path.suffix == ".py"
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in reachable(*modules, root=root).items()
    }
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def reachable(*modules: str, root: Path = ROOT) -> dict[str, Path]:
    """The files that may be executed or read from these modules on: dotted module names, and data files by path.

    Raises ModuleNotFoundError for a name among `modules` that is no module of this project.
    """
    reached: dict[str, Path] = {}
    for module in modules:
        if _file_of(module, root) is None:
            raise ModuleNotFoundError(f"no module of this project is named {module!r}", name=module)
    waiting = [part for module in modules for part in _with_packages(module) if part.startswith(COMPUTING)]
    waiting += modules
    while waiting:
        name = waiting.pop()
        path = _file_of(name, root)
        if name in reached or path is None:  # `from module import name` may name an object
            continue
        reached[name] = path
        parsed = _parsed(name, path.read_text(), path.name == "__init__.py")
        waiting += parsed.imports
        for text in parsed.strings:
            if (beside := path.parent / text).is_file():
                reached[str(beside.relative_to(root))] = beside
    return reached


def _file_of(name: str, root: Path) -> Path | None:
    base = root.joinpath(*name.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class _Module:
    """A parsed module: its digest, the computing modules it may import, and strings that may name files beside it."""

    def __init__(self, name: str, source: str, is_package: bool) -> None:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:]
        self.digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
        self.imports = _imports(tree, name if is_package else name.rpartition(".")[0])
        self.strings = sorted(_file_names(tree))


_parsed = cache(_Module)


def _file_names(tree: ast.Module) -> set[str]:
    """The string literals of a module that look like the name of a data file."""
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return {text for text in texts if text[:1].isalnum() and "." in text and len(text) < 100 and "\0" not in text}


def _imports(tree: ast.Module, package: str) -> list[str]:
    """Every dotted name of the computing package that is imported anywhere in a tree, with its parent packages."""
    names: set[str] = set()
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return sorted({part for name in names if name.split(".")[0] == COMPUTING for part in _with_packages(name)})


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree but for those under `if TYPE_CHECKING:`, which never run."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield from _executed(child)


def _with_packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


@cache
def versions(distributions: Iterable[str]) -> dict[str, str]:
    """The installed version of each distribution; "absent" for one that is not installed."""
    installed = {}
    for name in distributions:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "absent"
    return installed
