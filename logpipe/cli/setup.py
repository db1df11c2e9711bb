"""`logpipe --setup`: writes a configuration to begin with. Fluentd's command/fluentd.rb."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

SAMPLE: Final = """\
# A configuration to begin with: `logpipe -c THIS_FILE` prints what it collects.
# Every setting of every plugin: `logpipe plugins`, `logpipe --show-plugin-config input:tail`.

# the lines that are added to log files; remove the # to try it
#<source>
#  @type tail
#  path /var/log/*.log
#  pos_file /var/lib/logpipe/tail.pos
#  tag system.*
#  <parse>
#    @type none
#  </parse>
#</source>

# an event a second, to see that it runs
<source>
  @type sample
  tag hello
  rate 1
  sample {"message":"it runs"}
</source>

# an HTTP server with the state of all plugins: curl http://127.0.0.1:24220/api/plugins.json
#<source>
#  @type monitor_agent
#  bind 127.0.0.1
#  port 24220
#</source>

<filter hello>
  @type record_transformer
  <record>
    host "#{Socket.gethostname}"
  </record>
</filter>

<match **>
  @type stdout
</match>

# logpipe's own log events go to its log only
<label @FLUENT_LOG>
  <match **>
    @type null
  </match>
</label>
"""


def set_up(program: str, folder: Path) -> int:
    """Write the configuration, and make the folder for plugins beside it; 1 where that fails."""
    path = folder / "fluent.conf"
    try:
        (folder / "plugin").mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(SAMPLE)
    except FileExistsError as problem:
        if Path(str(problem.filename)) != path:
            return _failed(program, folder, problem)
        print(f"{path} already exists.")
    except OSError as problem:
        return _failed(program, folder, problem)
    else:
        print(f"Installed {path}.")
    return 0


def _failed(program: str, folder: Path, problem: OSError) -> int:
    print(f"{program}: --setup {folder}: {problem.filename}: {problem.strerror}: give another folder", file=sys.stderr)
    return 1
