"""What docs/plugins/connecting.md shows does what it says."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logpipe.net import ClientTls
from logpipe.testing import check_plugin, drive
from tests.net.test_dialing import authority, server_side, serving

PAGE = (Path(__file__).parents[2] / "docs/plugins/connecting.md").read_text()


def shown() -> Iterator[types.ModuleType]:
    """Yield each piece of code that is a module."""
    for found in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        if "class " in found:
            module = types.ModuleType("shown")
            exec(compile(found, "connecting.md", "exec", dont_inherit=True), vars(module))  # noqa: S102 - it is ours
            yield module


async def test_the_output_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the contract, and delivers over one connection."""
    module, discovery = shown()
    await check_plugin(module.LinesTo, "host a")
    await check_plugin(discovery.ConsulDiscovery, "service a")
    taken: list[bytes] = []

    async def answer(reader: Any, writer: Any) -> None:
        while data := await reader.read(100):
            taken.append(data)
            writer.write(b"ok\n")

    monkeypatch.setattr(module.LinesTo, "encode", lambda _, batch: [b"x\n"] * len(batch))
    monkeypatch.setattr(module, "ClientTls", lambda: ClientTls((authority(tmp_path),)))
    async with (
        serving(answer, tls=server_side(tmp_path)) as port,
        drive(module.LinesTo, f"host 127.0.0.1\nport {port}\n<buffer>\n</buffer>") as running,
    ):
        for _ in range(2):
            await running.feed("app", {"n": 1})
            await running.flush()
    assert taken == [b"x\n"] * 2
