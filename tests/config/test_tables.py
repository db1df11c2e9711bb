"""The parsers' stored tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from logpipe.config import syntax, tables

LOCK = Path(__file__).parents[2] / "requirements/image.txt"

TEXTS = {
    "v1": '# c\n<match a.**>\n  k "v#{1}" # c\n  j {"a": [1]}\n  <b>\n  </b>\n</match>\nflag\n',
    "v0": "# c\n<match a.**>\n  k v # c\n  <b>\n  </b>\n</match>\ninclude x\n",
}


@pytest.mark.parametrize("grammar", ["v1", "v0"])
def test_stored_tables_are_current(grammar: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of a grammar, or of the lark that is locked: python -m logpipe.config.tables."""
    locked = re.search(r"^lark==(\S+)", LOCK.read_text(), re.MULTILINE)
    assert locked
    monkeypatch.setattr("lark.__version__", locked[1])  # installed may be another: make test-newest, make test-oldest

    assert tables.are_current(grammar)


@pytest.mark.parametrize("grammar", ["v1", "v0"])
def test_tables_of_another_lark_are_not_used(grammar: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with another release of lark computes its own, and reads the same."""
    stored = syntax.parse_nodes(TEXTS[grammar], grammar)
    monkeypatch.setattr("lark.__version__", "0.0")
    syntax._parser.cache_clear()

    computed = syntax.parse_nodes(TEXTS[grammar], grammar)

    syntax._parser.cache_clear()
    assert not tables.are_current(grammar)
    assert computed == stored


@pytest.mark.parametrize("content", [None, b"", b"[", b"{}", b"\xff"])
def test_tables_that_cannot_be_read_are_not_used(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    if content is not None:
        (tmp_path / "t.json").write_bytes(content)
    monkeypatch.setattr(tables, "_tables_path", lambda _grammar: tmp_path / "t.json")

    parser = tables.make_parser("v1", syntax._NodesV1())

    assert parser.parse(TEXTS["v1"]) == syntax.parse_nodes(TEXTS["v1"], "v1")


def test_writing_tables_makes_them_current(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(tables, "_tables_path", lambda _grammar: tmp_path / "t.json")

    tables.write_tables("v0")

    assert tables.are_current("v0")
    parser = tables.make_parser("v0", syntax._NodesV0())
    assert parser.parse(TEXTS["v0"]) == syntax.parse_nodes(TEXTS["v0"], "v0")
