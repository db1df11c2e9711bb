"""What Debian's rsyslog and logger send is what comes out."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from logpipe.builtin.in_syslog import Syslog
from logpipe.testing import DEADLINE, drive, pipeline, wait_for
from tests.builtin.message_inputs.sending import port, records

LOGGER = shutil.which("logger")
RSYSLOG = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")

MAY_BE_MISSING = not os.environ.get("LOGPIPE_REQUIRE_SERVICES")

needs_logger = pytest.mark.skipif(LOGGER is None and MAY_BE_MISSING, reason="no logger: apt-get install bsdutils")
needs_rsyslog = pytest.mark.skipif(
    (LOGGER is None or RSYSLOG is None) and MAY_BE_MISSING, reason="no rsyslogd: apt-get install rsyslog"
)

CONF = "tag s\nbind 127.0.0.1\nport 0\nseverity_key severity\nfacility_key facility\n"


async def run(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    async with asyncio.timeout(DEADLINE):
        assert await process.wait() == 0


@needs_logger
@pytest.mark.parametrize(
    ("conf", "arguments"),
    [
        ("", ("-d", "--rfc3164")),
        ("<parse>\nmessage_format auto\n</parse>", ("-d", "--rfc5424")),
        ("<parse>\nmessage_format rfc5424\n</parse>", ("-d", "--rfc5424=notq")),
        ("<transport tcp>\n</transport>", ("-T", "--rfc3164")),
        ("frame_type octet_count\n<transport tcp>\n</transport>", ("-T", "--rfc3164", "--octet-count")),
        (
            "frame_type octet_count\n<parse>\nmessage_format auto\n</parse>\n<transport tcp>\n</transport>",
            ("-T", "--rfc5424", "--octet-count"),
        ),
    ],
)
async def test_logger(conf: str, arguments: tuple[str, ...]) -> None:
    """In both formats, over both protocols, framed in both ways."""
    assert LOGGER is not None
    async with drive(Syslog, CONF + conf) as running:
        where = ("-n", "127.0.0.1", "-P", str(port(running)))
        await run(LOGGER, *where, *arguments, "-t", "app", "-p", "local3.warning", "--id=77", "hällo world")
        (record,) = await records(running, 1)
        assert record["message"] == "hällo world"
        assert (record["ident"], record["pid"]) == ("app", "77")
        assert (record["facility"], record["severity"]) == ("local3", "warn")
        assert [tag for tag, _ in running.collector().batches] == ["s.local3.warn"]


FORWARD = """
global(workDirectory="{folder}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" RateLimit.Interval="0")
action(type="omfwd" target="127.0.0.1" port="{udp}" protocol="udp")
action(type="omfwd" target="127.0.0.1" port="{tcp}" protocol="tcp")
action(type="omfwd" target="127.0.0.1" port="{octets}" protocol="tcp" TCP_Framing="octet-counted"
  template="RSYSLOG_SyslogProtocol23Format")
"""

SOURCES = """
<source>
  @type syslog
  tag udp
  bind 127.0.0.1
  port 0
</source>
<source>
  @type syslog
  tag tcp
  bind 127.0.0.1
  port 0
  <transport tcp>
  </transport>
</source>
<source>
  @type syslog
  tag octets
  bind 127.0.0.1
  port 0
  frame_type octet_count
  <transport tcp>
  </transport>
  <parse>
    message_format rfc5424
  </parse>
</source>
<match **>
  @type test
</match>
"""


@asynccontextmanager
async def rsyslog(folder: Path, **ports: int) -> AsyncIterator[None]:
    """Run rsyslog, which forwards what comes to the socket `log` in a folder."""
    (folder / "rsyslog.conf").write_text(FORWARD.format(folder=folder, **ports))
    assert RSYSLOG is not None
    process = await asyncio.create_subprocess_exec(RSYSLOG, "-n", "-i", "NONE", "-f", folder / "rsyslog.conf")
    try:
        await wait_for((folder / "log").exists, "rsyslog's socket")
        yield
    finally:
        process.terminate()
        await process.wait()


@needs_rsyslog
async def test_rsyslog(tmp_path: Path) -> None:
    """Messages that it forwards by UDP, by TCP, and counted by octets in the newer format."""
    assert LOGGER is not None
    sent = [f"line {number} of \u00e4 log" for number in range(5)]
    async with pipeline(SOURCES) as running:
        ports = {
            stage.plugin.options.tag: stage.plugin.endpoint.names()[0][1]
            for stage in running.graph.stages.inputs
            if isinstance(stage.plugin, Syslog)
        }
        async with rsyslog(tmp_path, **ports):
            (tmp_path / "lines").write_text("\n".join(sent))
            await run(LOGGER, "-u", tmp_path / "log", "-t", "app", "-p", "mail.err", "-f", tmp_path / "lines")
            for name in ports:
                found = await records(running, 5, f"{name}.mail.err")
                assert [(each["ident"], each["message"].strip()) for each in found] == [("app", text) for text in sent]
