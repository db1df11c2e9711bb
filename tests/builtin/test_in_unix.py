"""The forward protocol over a Unix socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logpipe import ConfigError
from logpipe.builtin.in_unix import Unix
from logpipe.testing import check_plugin, configure, drive
from tests.builtin.in_forward.sender import connected, several, single


async def test_unix(tmp_path: Path) -> None:
    """In a folder that is made; what comes before bad data is taken."""
    path = f"{tmp_path}/folder/socket"
    await check_plugin(Unix, f"path {path}")
    async with drive(Unix, f"path {path}\nbacklog 9") as running:
        async with connected(path) as sender:
            sender.send(single({"k": 1}), several({"k": 2}, chunk="c"))
            assert await sender.acknowledgement() == "c"
        async with connected(path) as sender:
            sender.send(json.dumps(["j", 1, {"k": 3}]).encode() + b"no")
            await sender.ended()
        assert running.records() == [{"k": 1}, {"k": 2}, {"k": 3}]
        assert any("unreadable data from a local process" in text for text in running.log.texts("warning"))


async def test_the_variable_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And `tag` is that of all events."""
    monkeypatch.setenv("FLUENT_SOCKET", f"{tmp_path}/socket")
    async with drive(Unix, "tag own") as running, connected(f"{tmp_path}/socket") as sender:
        sender.send(single({"k": 1}, chunk="c"))
        await sender.acknowledgement()
        assert [event.record for event in running.events("own")] == [{"k": 1}]


@pytest.mark.parametrize(("conf", "said"), [("path ''", "path is empty"), ("backlog 0", "more than 0")])
def test_what_cannot_be(conf: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configure(Unix, conf)
