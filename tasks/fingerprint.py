"""What a stage's result depends on beside its inputs: the code it imports and the packages that compute.

The code digest covers the first-party modules that a stage's module imports, transitively and lazily too, each as its
syntax tree without docstrings: an edited helper is a different key, an edited comment is not.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FIRST_PARTY = ("flows", "tasks", "models")
ROOT = Path(__file__).resolve().parent.parent


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


def code_digest(module: str, root: Path = ROOT) -> str:
    """Digest of a first-party module and all first-party modules it imports, by their syntax trees."""
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name, root)
        if name in seen or path is None:
            continue
        source = path.read_text()
        seen[name], imports = _parsed(name, source, path.name == "__init__.py")
        waiting += imports
    return hashlib.sha256(json.dumps(sorted(seen.items())).encode()).hexdigest()


def _file_of(name: str, root: Path) -> Path | None:
    base = root.joinpath(*name.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


@cache
def _parsed(name: str, source: str, is_package: bool) -> tuple[str, list[str]]:
    """The digest of one module's tree without docstrings, and the first-party names it may import."""
    tree = ast.parse(source)
    imports = _imports(tree, name if is_package else name.rpartition(".")[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports


def _imports(tree: ast.Module, package: str) -> list[str]:
    """Every first-party dotted name imported anywhere in a tree, with the packages on the way to it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    ours = (name.split(".") for name in found if name.split(".")[0] in FIRST_PARTY)
    return sorted({".".join(parts[: i + 1]) for parts in ours for i in range(len(parts))})


@cache
def versions(distributions: Iterable[str]) -> dict[str, str]:
    """The installed version of each distribution; "absent" for one that is not installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
