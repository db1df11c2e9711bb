"""What `tail` does while the worker stops: what it has read arrives and moves its position, and it reads no more."""

from __future__ import annotations

from pathlib import Path

from logpipe.builtin.in_tail.plugin import Tail
from logpipe.testing import Pipeline, pipeline

CONFIG = """
<source>
  @type tail
  @id t
  path {folder}/in.log
  pos_file {folder}/in.pos
  tag t
  read_from_head true
  <parse>
    @type none
  </parse>
</source>
<match t>
  @type test
  name c
</match>
"""


def _emitting(running: Pipeline) -> int:
    (stage,) = running.graph.stages.inputs
    return stage.host.emitting


async def test_what_was_read_arrives(tmp_path: Path) -> None:
    """Lines that wait for their output are delivered, once; those that come meanwhile wait for the next run."""
    log = tmp_path / "in.log"
    log.write_text("one\ntwo\n")
    async with pipeline(CONFIG.format(folder=tmp_path)) as running:
        running.collector("c").open.clear()
        await running.wait_for(lambda: _emitting(running), "the lines to be on their way")
        running.graph.request_stop()
        await running.wait_for(lambda: any("shutting down input" in said for said in running.log.texts()))
        discovering = running.plugin(Tail)._discovering
        await running.wait_for(discovering.done, "the end of all looking for files")
        with log.open("a") as more:
            more.write("three\n")
        running.collector("c").open.set()
    assert [record["message"] for record in running.records(name="c")] == ["one", "two"]
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert line.refused == 0
    async with pipeline(CONFIG.format(folder=tmp_path), after=running) as again:
        await again.wait_for(lambda: again.records(name="c"), "the next line")
    assert [record["message"] for record in again.records(name="c")] == ["three"]
