"""The engine knows kinds, never names: no stage's type stands in what checks, builds and runs stages."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from logpipe.registry import ELSEWHERE, GROUPS, KINDS, Registry

ROOT: Final = Path(__file__).parents[1]
LOOKED_AT: Final = ("engine", "config", "plugin", "supervisor")
STAYS: Final = {
    ("engine/building/outlets.py", "memory"): "the buffer of a section without <buffer>, in fluentd's language",
    ("config/element.py", "regexp"): "what @type /…/ of a <parse> means",
    ("config/buffer_options.py", "text"): "no compression, in fluentd's language",
    ("config/compat.py", "regexp"): "what 0.12's format /…/ means",
    ("config/compat.py", "multiline"): "whose flat settings stand beside tail's own",
    ("config/secrets.py", "json"): "a word that is part of the names of secrets",
    ("config/yaml_nodes.py", "null"): "YAML's nothing",
    ("config/remote.py", "http"): "a scheme of URLs",
    ("engine/logging/setup.py", "json"): "a format of our own log",
    ("engine/logging/setup.py", "text"): "a format of our own log",
    ("config/reference.py", "regexp"): "a field of the reference, for machines",
    ("config/reference.py", "hash"): "a type of a parameter",
    ("config/literals.py", "hash"): "the sign #",
    ("engine/system.py", "json"): "a format of our own log",
    ("engine/system.py", "text"): "a format of our own log",
    ("engine/system.py", "none"): "a level",
    ("engine/sizes.py", "msgpack"): "the form that sizes are those of",
    ("supervisor/source_only.py", "buffer"): "what with_source_only is made of, in fluentd, too",
    ("supervisor/source_only.py", "file"): "the buffer that it has, in fluentd, too",
    ("supervisor/rpc.py", "none"): "what a browser calls a request of nobody's page",
    ("supervisor/source_only.py", "null"): "what takes our own log events there",
    ("plugin/stages.py", "route"): "where an output's events are",
}


def _types() -> set[str]:
    return {found.type for found in Registry().installed()} | {name for _, name in ELSEWHERE}


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_type_stands_where_all_stages_are_alike() -> None:
    """What must be known of one its class says, or there is a reason."""
    types = _types()
    package = ROOT / "logpipe"
    found = {
        (str(path.relative_to(package)), text)
        for folder in LOOKED_AT
        for path in (package / folder).rglob("*.py")
        for text in _texts(path)
        if text in types
    }
    kinds = {(file, text) for file, text in found if text in KINDS}
    assert found - kinds == STAYS.keys() - kinds


def test_what_is_elsewhere_is_there() -> None:
    """The hint for a type that is not installed names the distribution that has it."""
    shipped = {}
    for path in (ROOT / "plugins").glob("*/pyproject.toml"):
        project = tomllib.loads(path.read_text())["project"]
        for kind, group in GROUPS.items():
            shipped |= {(kind, name): project["name"] for name in project.get("entry-points", {}).get(group, {})}
    assert shipped == ELSEWHERE
