"""Diagnostics as people see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from logpipe.config.diagnostic import Position, error, render


def test_a_caret_stands_under_the_place(load: Any) -> None:
    text = '<source>\n\tpath "/var\n</source>'
    (problem,) = load(text).said

    assert render(problem, source=text) == (
        'f.conf:2:7: error: the quote " is never closed (add " where the text ends) [open-quote]\n'
        '  2 | \tpath "/var\n'
        "    | \t     ^"
    )


def test_the_line_is_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "f.conf"
    file.write_text("a\r\nbad\x1b line\r\n")
    problem = error("c", "m", Position(str(file), 2, 5))

    assert render(problem).splitlines()[1:] == ["  2 | bad\N{REPLACEMENT CHARACTER} line", "    |     ^"]


def test_long_lines_are_cut_around_the_place() -> None:
    rendered = render(error("c", "m", Position("f", 1, 500)), source="x" * 499 + "!" + "y" * 499)

    _, line, caret = rendered.splitlines()
    assert len(line) == 120 + len("  1 | ")
    assert line[caret.index("^")] == "!"


def test_the_way_in_is_told() -> None:
    places = (Position("main.conf", 3, 1), Position("d/a.conf", 7, 1))
    problem = error("c", "m", Position("gone.conf", 1, 1))

    assert render(type(problem)(problem.code, "error", "m", problem.position, "", places)) == (
        "gone.conf:1:1: error: m [c]\n  included from d/a.conf:7:1\n  included from main.conf:3:1"
    )


def test_a_place_outside_the_text_has_no_line() -> None:
    assert render(error("c", "m", Position("f", 9, 1)), source="a") == "f:9:1: error: m [c]"
    assert render(error("c", "m", Position("f", 1, 9)), source="a") == "f:1:9: error: m [c]"
    assert render(error("c", "m", Position("f")), source="a") == "f: error: m [c]"
