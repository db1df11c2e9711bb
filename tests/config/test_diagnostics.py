"""docs/diagnostics.md explains every code that is used, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[a-z]+(?:-[a-z]+)+|contradiction")
SAYING = re.compile(r"(?:error|warning|remark|SyntaxIssue|YamlError)$|^_note$")
COMPOSED = {"unknown-parameter", "unknown-section"}
"""Codes that are put together: of what is unknown."""


def codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and SAYING.search(_name(node.func)):
            code = node.args[0]
            if isinstance(code, ast.Constant) and isinstance(code.value, str) and CODE.fullmatch(code.value):
                yield code.value


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def test_every_code_is_explained() -> None:
    used = {code for path in (ROOT / "logpipe").rglob("*.py") for code in codes_in(path)} | COMPOSED
    explained = re.findall(r"^### (.*)$", (ROOT / "docs" / "diagnostics.md").read_text(), re.MULTILINE)

    assert sorted(explained) == sorted(used)


def test_every_explanation_is_whole() -> None:
    """What it means, an example, what to do."""
    text = (ROOT / "docs" / "diagnostics.md").read_text()
    explanation = re.compile(
        r"[a-z-]+\n\n\*(?:error|warning|hint|error or warning)\* · .+\n\n- Example: .+\n- What to do: .+\n\n?"
    )

    parts = re.split(r"^### |^## .*\n\n", text, flags=re.MULTILINE)
    assert [part for part in parts[1:] if part and not explanation.fullmatch(part)] == []
