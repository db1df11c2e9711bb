"""Rows 48 and 49: who comes to a TLS port and should not, and floods of datagrams."""

from __future__ import annotations

import json
import re
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import trustme

from tests.faults import texts
from tests.faults.row import row
from tests.faults.rows.forward import Sender, connected, listening, port_of
from tests.faults.trial import Lab, Trial

CROWD: Final = 200
"""Of those that begin a handshake, or none, and then say nothing."""
HELLO: Final = bytes.fromhex("16030100c5010000c10303")
"""How one begins."""
MOST_SAID: Final = 40
"""Lines of the log about all of them."""


@row(48, "TLS clients without, with wrong or expired certificates, in plain text, or silent")
def tls(lab: Lab) -> None:
    """None gets through, none holds up who means well, none fills the log, and the silent are let go of in time."""
    ours, others = trustme.CA(), trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    shown = {
        "no certificate": None,
        "another CA's": others.issue_cert("client@example.com"),
        "an expired one": ours.issue_cert("client@example.com", not_after=yesterday),
    }
    good = _client(ours, ours.issue_cert("client@example.com"))
    with lab.trial("TLS clients that mean harm") as trial:
        trial.most_descriptors = CROWD + 100
        logpipe = trial.start(listening(trial, _transport(trial.folder, ours)))
        port, series = port_of(trial), trial.account.open("sent")
        before = len(trial.said.splitlines())
        silent: list[socket.socket] = []
        with ExitStack() as stay:
            with _over_tls(port, good) as well:
                for number in range(lab.repeat(CROWD, few=30)):
                    silent.append(stay.enter_context(connected(port)))
                    silent[-1].sendall((b"", HELLO, HELLO[:1])[number % 3])
                    if not number % 10:
                        well.send(series)
                for certificate in shown.values():
                    assert _is_refused(port, _client(ours, certificate)), "a client without a right certificate gets in"
                trial.fired("wrong certificates refused")
                with connected(port) as sock, suppress(ConnectionError):
                    sock.sendall(b"\x93\xa1t\x01\x81\xa7message\xa8smuggled")
                    while sock.recv(1000):
                        pass
                trial.fired("plain text refused")
                well.send(series)
            for sock in silent:
                _wait_for_end(sock)
            trial.fired("the silent let go of")
            with _over_tls(port, good) as later:
                later.send(series)
        trial.wait_for_all()
        said = trial.said.splitlines()[before:]
        assert len(said) < MOST_SAID, f"{len(said)} lines: {said[:5]}"
        trial.end(logpipe)


def _transport(folder: Path, authority: trustme.CA) -> str:
    """Return a `<transport tls>` that asks for certificates of this CA."""
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    files = f"cert_path {folder}/cert.pem\nprivate_key_path {folder}/key.pem\nca_path {folder}/ca.pem"
    return f"<transport tls>\n{files}\nclient_cert_auth true\n</transport>"


def _client(authority: trustme.CA, certificate: trustme.LeafCert | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    return context


@contextmanager
def _over_tls(port: int, context: ssl.SSLContext) -> Iterator[Sender]:
    with connected(port) as sock, context.wrap_socket(sock, server_hostname="127.0.0.1") as wrapped:
        yield Sender(wrapped)


def _is_refused(port: int, context: ssl.SSLContext) -> bool:
    """Return whether a client is let go of before it is read; with TLS 1.3 it learns that when it reads."""
    try:
        with _over_tls(port, context) as client:
            client.sock.sendall(b"\x93\xa1t\x01\x81\xa7message\xa8smuggled")
            return client.sock.recv(1000) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def _wait_for_end(sock: socket.socket) -> None:
    with suppress(ConnectionError):
        while sock.recv(1000):
            pass


FLOOD: Final = """\
<source>
  @type udp
  @id udp
  tag t
  bind 127.0.0.1
  port 0
  message_length_limit 4096
  receive_buffer_size 16k
  source_hostname_key h
  <parse>
    @type regexp
    expression /^(?<message>sent [0-9]{8} .*)$/
  </parse>
</source>
<source>
  @type monitor_agent
  bind 127.0.0.1
  port 0
</source>
"""
JUNK: Final = (b"", b"\0" * 60_000, b"sent", b"\xff" * 65_507, b"[" * 5_000)


@row(49, "a flood of datagrams: from anywhere, of any size")
def datagrams(lab: Lab) -> None:
    """What the kernel has no room for is counted, and nothing else is missing; memory is bounded."""
    with lab.trial("a flood") as trial:
        logpipe = trial.start(FLOOD + texts.to_file(trial.folder))
        port, series = port_of(trial), trial.account.open("sent")
        trial.wait_for("listening at http://")
        sent = 0
        with ExitStack() as stay:
            senders = [stay.enter_context(_sender(f"127.0.{number}.1")) for number in range(1, 21)]
            for number in range(lab.repeat(30_000, few=3_000)):
                good = number % 10 == 0
                data = series.next_line().encode() if good else JUNK[number % len(JUNK)]
                senders[number % len(senders)].sendto(data, ("127.0.0.1", port))
                sent += 1
            trial.wait(lambda: _counted(trial) == sent, "every datagram to be read, or counted as dropped")
            numbers = _numbers(trial)
            trial.fired("dropped by the kernel", when=numbers["dropped_datagrams"])
            trial.fired("cut", when=numbers["cut_messages"])
            trial.arrived()
            trial.set_aside = lost = trial.account.missing
            assert lost <= numbers["dropped_datagrams"], f"{lost} are missing"
            for _ in range(20):
                senders[0].sendto(series.next_line().encode(), ("127.0.0.1", port))
                trial.wait_for_all(except_for=lost)
        trial.end(logpipe)


def _sender(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    return sock


def _numbers(trial: Trial) -> dict[str, int]:
    """Return what the input counts."""
    (port,) = re.findall(r"listening at http://127\.0\.0\.1:(\d+)", trial.said)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/plugins.json?@id=udp", timeout=60) as answer:
        found: dict[str, int] = json.load(answer)["plugins"][0]
    return found


def _counted(trial: Trial) -> int:
    numbers = _numbers(trial)
    return sum(numbers[name] for name in ("emit_records", "unmatched_lines", "dropped_datagrams"))
