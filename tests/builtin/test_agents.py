"""Fluentd and Fluent Bit, where FLUENTD and FLUENT_BIT name their binaries: events go from them to logpipe and back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from logpipe.builtin.in_forward import Forward
from logpipe.builtin.out_forward import ForwardOutput
from logpipe.testing import drive, wait_for
from tests.builtin.in_forward.sender import port_of
from tests.net.certificates import AUTHORITY, write
from tests.services.ports import free_port

AGENTS = [
    pytest.param(name, marks=pytest.mark.skipif(name not in os.environ, reason=f"{name} names no binary"))
    for name in ("FLUENTD", "FLUENT_BIT")
]
SECURITY = "<security>\nself_hostname logpipe\nshared_key secret\n</security>\n"

SENDS = {
    "FLUENTD": """
<source>
  @type sample
  sample {{"text": "it says"}}
  rate 5
  tag app
</source>
<match app>
  @type forward
  require_ack_response true
  compress gzip
  transport tls
  tls_cert_path {folder}/ca.pem
  tls_verify_hostname false
  <security>
    self_hostname agent
    shared_key secret
  </security>
  <server>
    host 127.0.0.1
    port {port}
  </server>
  <buffer>
    flush_mode immediate
  </buffer>
</match>
""",
    "FLUENT_BIT": """
[SERVICE]
    Flush 0.2
[INPUT]
    Name dummy
    Tag app
    Rate 5
    Dummy {{"text": "it says"}}
[OUTPUT]
    Name forward
    Match app
    Host 127.0.0.1
    Port {port}
    Require_ack_response True
    Compress gzip
    Self_Hostname agent
    Shared_Key secret
    tls On
    tls.ca_file {folder}/ca.pem
""",
}

TAKES = {
    "FLUENTD": """
<source>
  @type forward
  bind 127.0.0.1
  port {port}
  <transport tls>
    cert_path {folder}/cert.pem
    private_key_path {folder}/key.pem
  </transport>
  <security>
    self_hostname agent
    shared_key secret
  </security>
</source>
<match app>
  @type stdout
</match>
""",
    "FLUENT_BIT": """
[SERVICE]
    Flush 0.2
[INPUT]
    Name forward
    Listen 127.0.0.1
    Port {port}
    Self_Hostname agent
    Shared_Key secret
    tls On
    tls.crt_file {folder}/cert.pem
    tls.key_file {folder}/key.pem
[OUTPUT]
    Name stdout
    Match app
    Format json_lines
""",
}


@asynccontextmanager
async def running(agent: str, folder: Path, text: str) -> AsyncIterator[Path]:
    """Run it, and yield the file of what it says."""
    (folder / "agent.conf").write_text(text)
    with (folder / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            os.environ[agent], "-c", folder / "agent.conf", stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        yield folder / "said"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("agent", AGENTS)
async def test_it_sends(agent: str, tmp_path: Path) -> None:
    """With TLS, a shared key, acknowledgements and gzip; it goes on when it has its answers."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    conf = f"bind 127.0.0.1\nport 0\n{SECURITY}<transport tls>\n{write(tmp_path)}</transport>"
    async with drive(Forward, conf) as found:
        text = SENDS[agent].format(folder=tmp_path, port=port_of(found))
        async with running(agent, tmp_path, text):
            await found.wait_for(
                lambda: len(found.events("app")) >= 5,
                "its events",
            )
        assert {record["text"] for record in found.records()} == {"it says"}


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("more", ["", "compress gzip"])
async def test_it_takes(agent: str, more: str, tmp_path: Path) -> None:
    """Chunks count as delivered when it has acknowledged them."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    write(tmp_path)
    port = free_port()
    tls = f"transport tls\ntls_cert_path {tmp_path}/ca.pem\nrequire_ack_response true\n{more}\n{SECURITY}"
    server = f"<server>\nhost 127.0.0.1\nport {port}\n</server>\n"
    conf = f"{tls}{server}<buffer tag>\nflush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.5\n</buffer>"
    async with running(agent, tmp_path, TAKES[agent].format(folder=tmp_path, port=port)) as said:
        async with drive(ForwardOutput, conf) as sent:
            await sent.feed("app", *({"number": number} for number in range(100)))
            await sent.flush()
        assert not sent.errors
        await wait_for(lambda: said.read_text().count('"number":') == 100, "its output")
