"""Configurations that carry a folder's logs to one topic, one for each kind of Kafka output."""

from __future__ import annotations

from pathlib import Path

SOURCE = """\
<source>
  @type tail
  path {folder}/*.log
  pos_file {folder}/positions
  tag lines.*
  format json
  time_format %Y-%m-%dT%H:%M:%S.%NZ
  read_from_head true
  refresh_interval 1
</source>
"""

OUTPUTS = {
    "kafka": """\
<match lines.**>
  @type kafka
  brokers {broker}
  default_topic {topic}
  required_acks 1
</match>
""",
    "kafka_buffered": """\
<match lines.**>
  @type kafka_buffered
  brokers {broker}
  default_topic {topic}
  required_acks 1
  buffer_type memory
  flush_interval 0.5
</match>
""",
    "kafka2": """\
<match lines.**>
  @type kafka2
  brokers {broker}
  default_topic {topic}
  required_acks 1
  <format>
    @type json
  </format>
  <buffer topic>
    @type memory
    flush_interval 0.5
  </buffer>
</match>
""",
}


def configuration(folder: Path, output: str, *, broker: str, topic: str) -> Path:
    """Write the configuration beside the logs and return its file."""
    file = folder / "logpipe.conf"
    file.write_text(SOURCE.format(folder=folder) + OUTPUTS[output].format(broker=broker, topic=topic))
    return file
