"""Dead letters that lie there are said with their number, at each start and stop."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from logpipe.engine.dead_letters import kept
from logpipe.engine.dead_letters.kept import say_kept

LOG = logging.getLogger("test_dead_letters_kept")


def said(folder: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is said of a folder."""
    caplog.clear()
    say_kept(folder, "/etc/td.conf", LOG)
    return [record.getMessage() for record in caplog.records]


def test_letters_and_what_fluentd_gave_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each kind, with how to deliver them; the counting ends somewhere."""
    folder = tmp_path / "worker0"
    assert said(folder, caplog) == []
    for name, content in (("a/one.jsonl", b"{}\n{}\n"), ("b/two.jsonl.replaying", b"{}\n"), ("b/other.log", b"x")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (line,) = said(folder, caplog)
    assert line.startswith(f"3 dead letters stay in 2 files in {folder}: ")
    assert line.endswith("logpipe buffer replay -c /etc/td.conf")
    (folder / f"a/{'53551b93da001' * 2}000000.log").write_bytes(b"x")
    assert said(folder, caplog)[1].startswith(f"1 chunks that fluentd has given up stay in {folder}. ")
    monkeypatch.setattr(kept, "MOST_READ", 2)
    assert said(folder, caplog)[0].startswith("more than ")
