"""What docs/plugins/listening.md shows does what it says."""

from __future__ import annotations

import re
import types
from pathlib import Path

from logpipe.testing import check_listener, check_plugin, drive
from logpipe.testing.strangers import connection

PAGE = (Path(__file__).parents[2] / "docs/plugins/listening.md").read_text()


async def test_the_input_of_the_documentation() -> None:
    """It keeps both contracts."""
    shown = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    module = types.ModuleType("shown")
    exec(compile(shown[1], "listening.md", "exec", dont_inherit=True), vars(module))  # noqa: S102 - it is ours
    await check_plugin(module.Lines)
    async with drive(module.Lines, "port 0") as running:
        number = running.plugin(module.Lines)._listener._endpoint.names()[0][1]

        async def one_line() -> None:
            count = len(running.records())
            async with connection(number) as (_, writer):
                writer.write(b"meant well\n")
                await running.wait_for(lambda: {"message": "meant well"} in running.records()[count:])

        await check_listener(number, one_line, crowd=20)
