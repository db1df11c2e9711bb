"""The flagship: the article's pipeline on one container's log, with acknowledgements as the yardstick has them."""

from __future__ import annotations

import sys
from pathlib import Path

from examples.demo.pods import Pod

CONFIG = """\
<source>
  type tail
  path {folder}/var/log/containers/*.log
  pos_file {folder}/positions
  time_format %Y-%m-%dT%H:%M:%S.%NZ
  tag kubernetes.*
  format json
  read_from_head true
</source>

<filter kubernetes.**>
  type kubernetes_metadata
</filter>

<filter **>
  @type record_transformer
  enable_ruby
  <record>
    topic ${{kubernetes["namespace_name"]}}
  </record>
</filter>
"""

DIRECT = """
<match kubernetes.**>
  @type kafka
  brokers {broker}
  default_topic default
  output_data_type json
  max_send_retries 3
  required_acks 1
</match>
"""

BUFFERED = """
<match kubernetes.**>
  @type kafka2
  brokers {broker}
  default_topic default
  required_acks 1
  <format>
    @type json
  </format>
  <buffer topic>
    @type {buffer}
    flush_interval 1s
    chunk_limit_size 8m
    overflow_action block
  </buffer>
</match>
"""


def lay(folder: Path, pod: Pod, log: Path) -> None:
    """Put the log into a new folder, where and under the name that the kubelet would give it on a node."""
    containers = folder / "var/log/containers"
    containers.mkdir(parents=True)
    (containers / pod.log_name).symlink_to(log)


def command(folder: Path, broker: str, *, buffer: str = "") -> list[str]:
    """Return the command that runs the pipeline on a folder's logs, with a kind of buffer before Kafka, or none."""
    config = folder / "logpipe.conf"
    place = f"{buffer}\n    path {folder}/buffer" if buffer == "file" else buffer
    text = CONFIG + (BUFFERED if buffer else DIRECT)
    config.write_text(text.format(folder=folder, broker=broker, buffer=place))
    return [sys.executable, "-m", "logpipe", "-c", str(config)]
