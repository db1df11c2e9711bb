"""The doors: every public name is there, is exported once, and opening the front one costs nothing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import logpipe
from logpipe import codec, discovery, monitor, net, processes, ruby, tree

FRONT = Path(logpipe.__file__).with_suffix(".pyi")
ROOT = Path(__file__).parents[1]


def exported(path: str | Path) -> list[str]:
    """The names that a file gives on, which are those that it imports under their own name twice."""
    imports = [node for node in ast.parse(Path(path).read_text()).body if isinstance(node, ast.ImportFrom)]
    return [alias.name for node in imports for alias in node.names if alias.asname == alias.name]


def test_every_name_is_there() -> None:
    """Each loads from its home."""
    names = exported(FRONT)
    assert len(names) > 30
    assert [name for name in names if getattr(logpipe, name, None) is None] == []
    assert set(names) < set(dir(logpipe))


def test_no_name_is_exported_twice() -> None:
    """Whoever looks for one finds one."""
    doors = [
        FRONT,
        *(door.__file__ for door in (codec, discovery, monitor, net, processes, ruby, tree)),
        "logpipe/durable.py",
    ]
    files = [Path(logpipe.__file__).parent.parent / door for door in doors]
    names = [name for file in files for name in exported(file)]
    assert [name for name, times in Counter(names).items() if times > 1] == []


def test_the_door_of_the_network_is_documented() -> None:
    """Each name stands in the pages for who writes a stage."""
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "plugins").glob("*.md"))
    names = exported(str(net.__file__))
    assert len(names) > 30
    assert [name for name in names if name not in pages] == []


def test_the_front_door_is_narrow() -> None:
    """What only some stages need has a door of its own."""
    assert len(exported(FRONT)) <= 48


def test_a_name_is_what_its_home_has() -> None:
    """Nothing is made twice, as an old name of a module would do."""
    for node in ast.parse(FRONT.read_text()).body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module
        home = importlib.import_module(node.module)
        assert all(getattr(logpipe, alias.name) is getattr(home, alias.name) for alias in node.names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = logpipe.nonsense  # type: ignore[attr-defined]  # what is tested


def test_importing_loads_nothing_heavy() -> None:
    """`import logpipe` must cost no more than it is asked for."""
    code = "import sys, logpipe; print([name for name in sys.modules if name.startswith('logpipe.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
