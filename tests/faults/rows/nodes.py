"""Row 56: two nodes that forward to each other, one of which is killed."""

from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path
from typing import Final

from tests.e2e.program import Logpipe
from tests.faults.logs import Log
from tests.faults.row import row
from tests.faults.sinks import FileSink
from tests.faults.trial import Lab, Trial
from tests.net import certificates
from tests.services.ports import adjacent_ports

NODE: Final = """\
<source>
  @type tail
  path {folder}/logs/{name}.log
  pos_file {folder}/state/{name}
  tag sent
  read_from_head true
  <parse>
    @type none
  </parse>
</source>
<match sent>
  @type forward
  @id to_other
  transport tls
  tls_cert_path {folder}/ca.pem
  require_ack_response true
  ack_response_timeout 10s
  <security>
    self_hostname {name}
    shared_key secret
  </security>
  <server>
    host 127.0.0.1
    port {other}
  </server>
  <buffer>
    @type file
    path {folder}/sent-{name}
    flush_mode interval
    flush_interval 0.1
    chunk_limit_size 1m
    retry_forever true
    retry_wait 0.1
    retry_max_interval 0.5
    overflow_action block
  </buffer>
</match>
<source>
  @type forward
  bind 127.0.0.1
  port {own}
  add_tag_prefix got
  <transport tls>
    {certificate}
  </transport>
  <security>
    self_hostname {name}
    shared_key secret
  </security>
</source>
<match got.sent>
  @type file
  path {folder}/out/{name}
  append true
  <format>
    @type single_value
  </format>
  <buffer []>
    @type file
    path {folder}/got-{name}
    flush_mode interval
    flush_interval 0.1
    chunk_limit_size 1m
  </buffer>
</match>
"""


@row(56, "of two nodes that forward to each other, with TLS, a shared key and acks, one is killed again and again")
def killed_node(lab: Lab) -> None:
    """What it had not acknowledged is sent again, and what it had not been acknowledged it sends again."""
    with lab.trial("two nodes") as trial, contextlib.ExitStack() as stack:
        trial.may_repeat = True
        sinks = [FileSink(trial.folder / f"out/{name}.log", trial.account) for name in "ab"]
        trial.read = lambda: any(sink.read() for sink in sinks)
        first = adjacent_ports(2)
        (trial.folder / "ca.pem").write_bytes(certificates.AUTHORITY.cert_pem.bytes())
        certificate = certificates.write(trial.folder)
        settings = {"folder": trial.folder, "certificate": certificate}
        logs = [trial.log(name) for name in "ab"]
        other = _node(trial.folder, "b", NODE.format(name="b", own=first + 1, other=first, **settings))
        stack.enter_context(other.start())
        trial.start(NODE.format(name="a", own=first, other=first + 1, **settings))
        _kill_under_load(trial, logs, times=lab.repeat(20, few=2))
        trial.wait_for_all()
        trial.end(trial.last)
        trial.end(other)


def _node(folder: Path, name: str, text: str) -> Logpipe:
    config = folder / f"conf-{name}"
    config.write_text(text)
    return Logpipe(config, folder / f"said-{name}", environment={"PYTHONDONTWRITEBYTECODE": ""})


def _kill_under_load(trial: Trial, logs: list[Log], *, times: int) -> None:
    """Kill the node that was started last, each time when more has arrived, and some of it is on its way."""
    rnd = random.Random(1)
    for _ in range(times):
        trial.read()
        goal = trial.account.distinct + 1000
        end = time.monotonic() + rnd.uniform(0.05, 0.6)
        while trial.arrived() < goal or time.monotonic() < end:
            trial.last.still_runs()
            for log in logs:
                log.write(200)
            time.sleep(0.01)
        trial.last.kill()
        trial.fired("kill -9", when=trial.last.was_killed)
        for log in logs:
            log.write(200)
        trial.last.start()
