"""What docs/plugins/commands.md shows does what it says."""

from __future__ import annotations

import re
import types
from pathlib import Path

from logpipe.testing import check_plugin, drive

PAGE = (Path(__file__).parents[2] / "docs/plugins/commands.md").read_text()


async def test_the_input_of_the_documentation() -> None:
    """It keeps the contract, and emits what a command writes."""
    module = types.ModuleType("shown")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "commands.md", "exec", dont_inherit=True), vars(module))  # noqa: S102 - it is ours
    await check_plugin(module.Words, "command true")
    async with drive(module.Words, "command echo a; echo b; echo no >&2; exit 1") as running:
        await running.wait_for(lambda: running.log.texts("warning"))
        assert running.records() == [{"message": "a"}, {"message": "b"}]
    assert running.log.texts("warning") == ["the command has failed: status=1; the last it said: 'no'"]
