"""What the tests of a family of stages say about parameters, for docs/reference/namesakes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

_TEST: Final = re.compile(r"test_\w+")


@lru_cache(8)
def mentions(folder: Path) -> dict[str, str]:
    """Return the text of each test in a folder, with all in its module that it uses, by `FILE.py::NAME`."""
    found = {}
    for path in sorted(folder.rglob("test_*.py")):
        for name, text in _tests_in(path.read_text("utf-8")):
            found[f"{path.relative_to(folder)}::{name}"] = text
    return found


def says(text: str, parameter: str) -> bool:
    """Return whether a test's text has a parameter, `a`, `section.a` or `<section>`."""
    word = re.escape(parameter.strip("<>").rpartition(".")[2])
    return re.search(rf"(?<![\w.]){word}(?!\w)", text) is not None


def _tests_in(source: str) -> Iterator[tuple[str, str]]:
    tree = ast.parse(source)
    parts: dict[str, ast.stmt] = {}
    for node in tree.body:
        targets = [node] if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else []
        names = [node.name for node in targets]
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            several = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in several if isinstance(target, ast.Name)]
        parts.update(dict.fromkeys(names, node))
    for name, node in parts.items():
        if _TEST.fullmatch(name):
            yield name, "\n".join(_text(source, each) for each in _used(node, parts))


def _used(node: ast.stmt, parts: dict[str, ast.stmt]) -> list[ast.stmt]:
    """Return a statement and all of its module that it names, directly or not."""
    found = [node]
    for each in found:
        names = {inner.id for inner in ast.walk(each) if isinstance(inner, ast.Name)}
        names |= {inner.arg for inner in ast.walk(each) if isinstance(inner, ast.arg)}
        found += [parts[name] for name in sorted(names & parts.keys()) if parts[name] not in found]
    return found


def _text(source: str, node: ast.stmt) -> str:
    r"""Return the source of a statement, with its decorators, without its docstring; each `\n` in it ends a line."""
    texts = [ast.get_source_segment(source, each) or "" for each in (*getattr(node, "decorator_list", ()), node)]
    doc = ast.get_docstring(node, clean=False) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else None
    return "\n".join(texts).replace(doc or "\0", "", 1).replace("\\n", "\n")
