"""The configurations of trials: a source, perhaps filters, and where it all goes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

UNTIL_TAKEN: Final = """\
    retry_forever true
    retry_wait 0.2
    retry_max_interval 1
    overflow_action block
"""
"""In a `<buffer>`: a chunk is given again, soon and for ever, and whoever feeds a full buffer waits."""


def tail(folder: Path, *, path: str = "*.log", parse: str = "@type none", tag: str = "t", more: str = "") -> str:
    """Return a source that follows the trial's logs."""
    return f"""\
<source>
  @type tail
  path {folder}/logs/{path}
  pos_file {folder}/state/pos
  tag {tag}
  read_from_head true
  refresh_interval 1
  {more}
  <parse>
    {parse}
  </parse>
</source>
"""


def to_file(
    folder: Path,
    *,
    tag: str = "t",
    buffer: str = "file",
    where: str = "buffer",
    flush: str = "immediate",
    more: str = "",
) -> str:
    """Return an output that writes the lines to one file, through a buffer in files or in memory."""
    path = f"path {folder}/{where}" if buffer != "memory" else ""
    return f"""\
<match {tag}>
  @type file
  @id out
  path {folder}/out/out
  append true
  <format>
    @type single_value
  </format>
  <buffer []>
    @type {buffer}
    {path}
    flush_mode {flush}
{UNTIL_TAKEN}    {more}
  </buffer>
</match>
"""


def to_kafka(
    bootstrap: str, *, topic: str = "t", tag: str = "t", more: str = "", buffer: str = "", flush: str = "immediate"
) -> str:
    """Return an output that writes records to a topic: unbuffered, or `kafka2` with what stands in its buffer."""
    if not buffer:
        return f"""\
<match {tag}>
  @type kafka
  @id out
  brokers {bootstrap}
  default_topic {topic}
  required_acks 1
  {more}
</match>
"""
    return f"""\
<match {tag}>
  @type kafka2
  @id out
  brokers {bootstrap}
  default_topic {topic}
  required_acks -1
  {more}
  <format>
    @type json
  </format>
  <buffer topic>
    flush_mode {flush}
{UNTIL_TAKEN}    {buffer}
  </buffer>
</match>
"""


ERRORS_TO_FILE = """\
<label @ERROR>
  <match **>
    @type file
    path {folder}/errors/errors
    append true
    <format>
      @type json
    </format>
    <buffer []>
      @type file
      path {folder}/errors-buffer
      flush_mode immediate
    </buffer>
  </match>
</label>
"""
