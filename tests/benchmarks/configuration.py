"""What reading a configuration costs: part of `make bench`, and alone `python -m tests.benchmarks.configuration`.

Whole processes, from the start of the interpreter: the best of some runs counts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.benchmarks.measure import run
from tests.benchmarks.report import aim

MOST_LARGE: Final = 0.5
MOST_CHECK: Final = 0.3
"""Seconds to load and build a thousand lines, and for `logpipe check` of a small file."""
LINES: Final = 1000

SMALL: Final = """\
<source>
  @type tail
  path /var/log/containers/*.log
  pos_file /var/log/containers.pos
  tag kube.*
  <parse>
    @type json
  </parse>
</source>
<filter kube.**>
  @type record_transformer
  enable_ruby true
  <record>
    level ${record["severity"] || record["level"] || "none"}
  </record>
</filter>
<match **>
  @type stdout
</match>
"""

PART: Final = """\
# everything about {name}
<source>
  @type tail
  @id in_{name}
  path /var/log/{name}/*.log,/var/log/{name}.log
  exclude_path ["/var/log/{name}/*.gz"]
  pos_file /var/lib/logpipe/{name}.pos
  tag {name}.*
  read_from_head true
  <parse>
    @type regexp
    expression /^(?<time>[^ ]+) (?<level>[A-Z]+) \\[(?<thread>[^\\]]*)\\] (?<message>.*)$/
    time_format %Y-%m-%dT%H:%M:%S.%N%z
  </parse>
</source>

<filter {name}.**>
  @type grep
  <exclude>
    key level
    pattern /^(DEBUG|TRACE)$/
  </exclude>
</filter>

<filter {name}.**>
  @type record_transformer
  enable_ruby true
  <record>
    service {name}
    hostname "#{{hostname}}"
    level ${{record["level"].downcase}}
    message ${{record["message"].gsub(/\\s+/, " ")}}
    kind ${{tag_parts[1] == "access" ? "access" : "other"}}
  </record>
</filter>

<match {name}.**>
  @type copy
  <store>
    @type file
    path /var/log/archive/{name}.%Y%m%d
    <buffer time>
      timekey 1d
      flush_interval 10s
    </buffer>
  </store>
  <store>
    @type stdout
  </store>
</match>
"""

BUILD: Final = """
import sys
from pathlib import Path
from logpipe.supervisor import Settings, check
found = check(Settings(Path(sys.argv[1])))
sys.exit(found.errors)
"""


def large() -> str:
    """Return a configuration of a thousand lines, each part another service's."""
    part_lines = PART.count("\n")
    return "".join(PART.format(name=f"service{number}") for number in range(-(-LINES // part_lines)))


def report(*, rounds: int = 10) -> list[str]:
    """Return the figures as lines of text."""
    with TemporaryDirectory() as folder:
        big, small = Path(folder, "large.conf"), Path(folder, "small.conf")
        big.write_text(large())
        small.write_text(SMALL)
        output, program = Path(folder, "output"), str(Path(sys.executable).with_name("logpipe"))
        built = best([sys.executable, "-c", BUILD, str(big)], output, rounds)
        empty = best([sys.executable, "-c", "import logpipe.supervisor"], output, rounds)
        checked = best([program, "check", str(small)], output, rounds)
    return [
        "reading a configuration, whole processes",
        aim(f"{large().count(chr(10)):,} lines loaded and built", built, " s", at_most=MOST_LARGE),
        f"    of that {empty:.3g} s before the first line is read",
        aim("logpipe check of a small file", checked, " s", at_most=MOST_CHECK),
    ]


def best(command: list[str], output: Path, rounds: int) -> float:
    """Return the shortest time of some runs, in seconds."""
    return min(run(command, output=output).seconds for _ in range(rounds))


if __name__ == "__main__":
    sys.stdout.write("\n".join([*report(), ""]))
