"""What a reader can take in at once: 300 lines a file, 40 a function, 8 parameters a signature."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tasks.cache.fingerprint import ROOT

FILES = [p for part in ("flows", "tasks", "models", "tests", "benchmarks") for p in sorted((ROOT / part).rglob("*.py"))]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    named = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(named) - (named[:1] in (["self"], ["cls"]))


def test_no_file_is_longer_than_300_lines():
    assert len(FILES) > 300, "they are looked for where they lie"
    assert not [str(path) for path in FILES if len(path.read_text().splitlines()) > 300]


def test_no_function_is_longer_than_40_lines_or_takes_more_than_8_parameters():
    code = [path for path in FILES if not path.is_relative_to(ROOT / "tests")]
    measured = [
        (str(path), f.name, f.end_lineno - f.lineno + 1, parameters(f)) for path in code for f in functions(path)
    ]
    assert not [one for one in measured if one[2] > 40 or one[3] > 8]
