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
from tests.net.certificates import AUTHORITY, write

LOGGER = shutil.which("logger")
OPENSSL = shutil.which("openssl")
RSYSLOG = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")

MAY_BE_MISSING = not os.environ.get("LOGPIPE_REQUIRE_SERVICES")

needs_logger = pytest.mark.skipif(LOGGER is None and MAY_BE_MISSING, reason="no logger: apt-get install bsdutils")
needs_rsyslog = pytest.mark.skipif(
    (LOGGER is None or RSYSLOG is None) and MAY_BE_MISSING, reason="no rsyslogd: apt-get install rsyslog"
)

needs_openssl = pytest.mark.skipif(OPENSSL is None and MAY_BE_MISSING, reason="no openssl: apt-get install openssl")
needs_rsyslog_tls = pytest.mark.skipif(
    not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so")) and MAY_BE_MISSING,
    reason="no TLS for rsyslogd: apt-get install rsyslog-openssl",
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

FORWARD_BY_TLS = """
global(workDirectory="{folder}" DefaultNetstreamDriverCAFile="{folder}/ca.pem")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" RateLimit.Interval="0")
action(type="omfwd" target="127.0.0.1" port="{tls}" protocol="tcp" StreamDriver="ossl" StreamDriverMode="1"
  StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost")
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
async def rsyslog(folder: Path, text: str = FORWARD, **ports: int) -> AsyncIterator[None]:
    """Run rsyslog, which forwards what comes to the socket `log` in a folder."""
    (folder / "rsyslog.conf").write_text(text.format(folder=folder, **ports))
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


def by_tls(folder: Path) -> str:
    """Return the settings of TLS, whose CA is written too."""
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    return f"<transport tls>\n{write(folder)}</transport>"


@needs_rsyslog
@needs_rsyslog_tls
async def test_rsyslog_by_tls(tmp_path: Path) -> None:
    """It looks at the certificate, and at the name in it."""
    assert LOGGER is not None
    async with drive(Syslog, CONF + by_tls(tmp_path)) as running:
        async with rsyslog(tmp_path, FORWARD_BY_TLS, tls=port(running)):
            await run(LOGGER, "-u", tmp_path / "log", "-t", "app", "-p", "mail.err", "grüße")
            (record,) = await records(running, 1)
        assert (record["ident"], record["message"].strip()) == ("app", "grüße")


@needs_openssl
async def test_openssl(tmp_path: Path) -> None:
    """Its client, which has been given lines; and one that speaks nothing newer than TLS 1.1 is refused."""
    assert OPENSSL is not None
    line = "<20>Sep 10 00:00:00 host app[7]: hällo"
    async with drive(Syslog, CONF + by_tls(tmp_path)) as running:
        where = ("s_client", "-connect", f"127.0.0.1:{port(running)}", "-CAfile", f"{tmp_path}/ca.pem", "-quiet")
        for more in (("-verify_return_error", "-verify_ip", "127.0.0.1"), ("-tls1_1", "-cipher", "ALL@SECLEVEL=0")):
            process = await asyncio.create_subprocess_exec(
                OPENSSL, *where, *more,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            assert process.stdin is not None
            process.stdin.write(f"{line}\n".encode())
            if more[0] == "-tls1_1":
                assert await process.wait() != 0
            else:
                (record,) = await records(running, 1)
                process.kill()  # it does not end with its input
                await process.wait()
        assert (record["pid"], record["message"]) == ("7", "hällo")
        assert len(running.records()) == 1
