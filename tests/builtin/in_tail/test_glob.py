"""Ruby's wildcards."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe.builtin.in_tail.paths import Glob
from logpipe.builtin.in_tail.table import tag_of


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/a/*.log", "/a/b.log", True),
        ("/a/*.log", "/a/.b.log", False),
        ("/a/.*.log", "/a/.b.log", True),
        ("/a/*.log", "/a/b/c.log", False),
        ("/a/?.log", "/a/b.log", True),
        ("/a/?.log", "/a/bc.log", False),
        ("/a/[b-d]*.log", "/a/c1.log", True),
        ("/a/[^b-d]*.log", "/a/c1.log", False),
        ("/a/[!b]*.log", "/a/c.log", True),
        ("/a/[z-a].log", "/a/b.log", False),
        ("/a/[.log", "/a/[.log", True),
        (r"/a/\*.log", "/a/*.log", True),
        (r"/a/\*.log", "/a/b.log", False),
        ("/a/**/b.log", "/a/b.log", True),
        ("/a/**/b.log", "/a/x/y/b.log", True),
        ("/a/**/b.log", "/a/.x/b.log", False),
        ("/a/**", "/a/b.log", True),
        ("/a/**", "/a/b/c.log", False),
        ("/a/**", "/a/.b.log", False),
        ("/a/{b,c{1,2}}*.log", "/a/c2x.log", True),
        ("/a/{b,c{1,2}}*.log", "/a/c3x.log", False),
        ("/a.b/*(1)+.log", "/a.b/x(1)+.log", True),
    ],
)
def test_matches(pattern: str, path: str, matches: bool) -> None:  # noqa: FBT001 - a column of the table above
    """A name alone decides."""
    assert Glob(pattern).matches(path) is matches


def test_what_is_found_is_what_matches(tmp_path: Path) -> None:
    """Walking the disk and matching names agree, and each folder that was searched is reported."""
    for name in ("a.log", "b/c.log", "b/d/e.log", ".h/i.log", "b/.j.log", "b/k.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    everything = [str(path) for path in tmp_path.rglob("*") if path.is_file()]
    for pattern in ("*.log", "**/*.log", "*/c.log", "b/*/[a-e].log", "{a,b/c}.log", "b/[ck].*"):
        glob = Glob(f"{tmp_path}/{pattern}")
        folders: set[str] = set()
        found = glob.walk(folders)
        assert found == sorted(path for path in everything if glob.matches(path)), pattern
        assert pattern == "{a,b/c}.log" or folders


def test_two_stars_at_the_end(tmp_path: Path) -> None:
    """They find what one star finds."""
    for name in ("a.log", "b.log", "c/d.log", ".e.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = Glob(f"{tmp_path}/**").walk(set())
    assert found == [f"{tmp_path}/{name}" for name in ("a.log", "b.log", "c")]


@pytest.mark.parametrize(
    ("tag", "path", "expected"),
    [
        ("x.*", "/var/log/a.log", "x.var.log.a.log"),
        ("*", "/var/log/a.log", "var.log.a.log"),
        ("*.y", "/a.log", "a.log.y"),
        ("x.*.y", "/a//b..log", "x.a.b.log.y"),
        ("x.*.y.*.z", "/a.log", "x.a.log.y."),
        ("plain", "/a.log", "plain"),
    ],
)
def test_tags(tag: str, path: str, expected: str) -> None:
    """The star stands for the path with dots for slashes; only the first one counts."""
    assert tag_of(tag, path) == expected
