"""What docs/plugins shows of `logpipe.net` does what it says."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any

from logpipe.testing import Mood, check_listener, check_plugin, drive
from logpipe.testing.http_peer import HttpPeer
from logpipe.testing.strangers import connection

FOLDER = Path(__file__).parents[2] / "docs/plugins"


def shown(page: str) -> Any:
    """Return the module that the first example of a page is."""
    found = re.search(r"```python\n(.*?)```", (FOLDER / page).read_text(), re.DOTALL)
    assert found
    module = types.ModuleType("shown")
    exec(compile(found[1], page, "exec", dont_inherit=True), vars(module))  # noqa: S102 - it is ours
    return module


async def test_the_output_of_the_documentation() -> None:
    """It delivers, and tries again what it is asked to."""
    module = shown("http-client.md")
    await check_plugin(module.Collect, "url http://localhost/")
    async with HttpPeer().serving() as peer:
        await peer.become(Mood.FAILING)
        conf = f"url http://127.0.0.1:{peer.port}/\n<buffer>\nflush_mode immediate\nretry_wait 0.1\n</buffer>"
        async with drive(module.Collect, conf) as running:
            await running.feed("app", {"n": 1})
            await running.wait_for(lambda: peer.met)
            await peer.become(Mood.WELL)
            await running.flush()
        assert peer.taken == {1}


async def test_the_input_of_the_documentation() -> None:
    """It keeps both contracts."""
    module = shown("listening.md")
    await check_plugin(module.Lines)
    async with drive(module.Lines, "port 0") as running:
        number = running.plugin(module.Lines)._listener._endpoint.names()[0][1]

        async def one_line() -> None:
            count = len(running.records())
            async with connection(number) as (_, writer):
                writer.write(b"meant well\n")
                await running.wait_for(lambda: {"message": "meant well"} in running.records()[count:])

        await check_listener(number, one_line, crowd=20)
