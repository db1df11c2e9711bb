"""The article's pipeline on folders of the soak's own, with a second route beside it that keeps a buffer in files."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.mounts import Mounts, bind, tmpfs

ARTICLE = Path(__file__).parents[3] / "examples/article/td-agent.conf"

# required_acks 0 asks nobody whether a message was stored, so that a broker which stops loses what it had not read.
ACKNOWLEDGED = ("required_acks 0", "required_acks 1")

SECOND_ROUTE = """\
@include {root}/td-agent.conf

<source>
  @type tail
  path /var/log/audit/*.log
  pos_file /var/log/pos/audit.pos
  tag audit
  read_from_head true
  @label @AUDIT
  <parse>
    @type none
  </parse>
</source>

<label @AUDIT>
  <match audit>
    @type file
    path {root}/out/audit
    append true
    <format>
      @type single_value
    </format>
    <buffer []>
      @type file
      path {root}/buffer
      flush_mode interval
      flush_interval 1s
      chunk_limit_size 1m
      overflow_action block
      retry_forever true
      retry_max_interval 5s
    </buffer>
  </match>
</label>
"""


class Machine:
    """The folders of one node: small disks for positions and for the buffer, and a /var/log that logpipe alone sees.

    Attributes:
        config: the configuration's file.
        delivered: the file that the second route writes.
        small: the two small disks, where they are seen from outside.
        through: the command that starts a program which sees them.
    """

    def __init__(self, root: Path, *, zookeeper: str) -> None:
        article = ARTICLE.read_text(encoding="utf-8").replace(*ACKNOWLEDGED)
        (root / "td-agent.conf").write_text(re.sub(r"SOME_IP[12]:2181", zookeeper, article))
        self.config = root / "logpipe.conf"
        self.config.write_text(SECOND_ROUTE.format(root=root))
        self.delivered = root / "out/audit.log"
        buffer, positions = root / "buffer", root / "var/log/pos"
        buffer.mkdir()
        positions.mkdir(parents=True)
        self.mounts = Mounts(
            tmpfs(positions, size="1m"), tmpfs(buffer, size="16m"), bind(root / "var/log", to="/var/log")
        )
        self.through = self.mounts.through
        self.small = {"positions": self.mounts.inside(positions), "buffer": self.mounts.inside(buffer)}
