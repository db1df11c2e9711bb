"""Several servers: who gets what, who is there, and who takes the place of whom."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from logpipe.builtin.out_forward import ForwardOutput
from logpipe.builtin.out_forward import node as node_module
from logpipe.builtin.out_forward.balance import MOST_PLACES, in_use, turns_of
from logpipe.builtin.out_forward.failure_detector import FailureDetector
from logpipe.testing import ManualClock, Mood, Pipeline, drive, wait_for
from tests.builtin.out_forward.peers import BUFFER, ForwardPeer, conf, peer
from tests.services.forward_server import ForwardServer, ack

pytestmark = pytest.mark.usefixtures("quick")
ACKS = "require_ack_response true\n"
BEATS = "heartbeat_interval 1\nrecover_wait 2\nhard_timeout 5\n"


class Fake:
    """A node."""

    def __init__(self, weight: int, *, standby: bool = False, is_available: bool = True) -> None:
        self.weight = weight
        self.standby = standby
        self.is_available = is_available


def test_turns_are_by_weight() -> None:
    """Each as often as its weight says, none with 0; the same order for the same seed, of a length that has a bound."""
    nodes = [Fake(60), Fake(20), Fake(0)]
    turns = turns_of(in_use(nodes)[0], 1)
    assert Counter(map(id, turns)) == {id(nodes[0]): 9, id(nodes[1]): 3}
    assert turns_of(in_use(nodes)[0], 1) == turns
    assert turns_of([], 1) == []
    many = turns_of([Fake(99_991), Fake(99_989), Fake(1)], 1)
    assert len(many) <= MOST_PLACES + 3
    assert len(Counter(map(id, many))) == 3


def test_standbys_take_the_weight_that_is_lost() -> None:
    """And no more of them than are needed."""
    first, second, third = Fake(30, standby=True), Fake(30, standby=True), Fake(30, standby=True, is_available=False)
    there = Fake(60)
    assert in_use([there, third, first, second]) == ([there], [])
    there.is_available = False
    assert in_use([there, third, first, second]) == ([there, first, second], [first, second])
    there.weight = 30
    assert in_use([there, third, first, second])[1] == [first]


def test_phi() -> None:
    """As fluentd's: 16 after 37 intervals of silence, and all forgotten when it is away."""
    detector = FailureDetector(1.0, 60.0, 0.0)
    for now in range(1, 11):
        detector.add(float(now))
    assert detector.samples == 11
    assert detector.phi(10 + 36.8) < 16 < detector.phi(10 + 36.9)
    assert not detector.is_silent(70.0)
    assert detector.is_silent(70.1)
    detector.clear(71.0)
    assert detector.phi(500.0) == 0.0
    assert detector.samples == 0


async def told(running: Pipeline, text: str) -> None:
    """Wait until a warning says it."""
    await wait_for(lambda: any(text in said for said in running.log.texts("warning")), text)


async def steps(clock: ManualClock, condition: Callable[[], object], most: int = 40) -> int:
    """Let seconds pass until something is so; returns how many."""
    for second in range(most):
        if condition():
            return second
        await clock.advance(1)
        for _ in range(20):
            await asyncio.sleep(0.001)
    await wait_for(condition, f"what was to be in {most} seconds of the clock")  # a busy machine is late
    return most


async def test_one_that_is_down_is_passed_over() -> None:
    """In the same attempt; when it is back it is used again."""
    async with peer() as first, peer() as second:
        text = conf(first.section, second.section, more=ACKS)
        async with drive(ForwardOutput, text) as running:
            await first.become(Mood.DOWN)
            for n in range(6):
                await running.feed("app", {"n": n})
                await running.flush()
            assert second.taken == [0, 1, 2, 3, 4, 5]
            await first.become(Mood.WELL)
            for n in range(6, 26):
                await running.feed("app", {"n": n})
                await running.flush()
            assert first.taken
            assert sorted(first.taken + second.taken) == list(range(26))


class Beats(asyncio.DatagramProtocol):
    """Answers datagrams, as our input does at its port; that of a test has another port for them."""

    def __init__(self) -> None:
        self.is_silent = False
        self._transport: Any = None

    @contextlib.asynccontextmanager
    async def at(self, port: int) -> AsyncIterator[Beats]:
        """Answer at a port for as long as the block lasts."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", port))
        try:
            yield self
        finally:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer."""
        if not self.is_silent:
            self._transport.sendto(data, addr)


@pytest.mark.parametrize("kind", ["transport", "udp"])
async def test_heartbeats(kind: str) -> None:
    """One that is silent is detached, its standby used; after `recover_wait` it is used again."""
    clock = ManualClock()
    async with peer() as first, peer() as second, Beats().at(first.port) as beats, Beats().at(second.port):

        async def become(mood: Mood) -> None:
            beats.is_silent = mood is Mood.DOWN
            if kind == "transport":
                await first.become(mood)

        servers = first.server("name one") + second.server("name two\nstandby true")
        text = f"{ACKS}{BEATS}heartbeat_type {kind}\n{servers}{BUFFER.format('')}"
        async with drive(ForwardOutput, text, clock=clock) as running:
            assert running.metric("registered_nodes_count") == 2
            await clock.advance(1)
            await become(Mood.DOWN)
            await steps(clock, lambda: running.metric("healthy_nodes_count") == 1)
            await told(running, "detached forwarding server 'one'")
            await told(running, "using standby node two (weight 60)")
            await running.feed("app", {"n": 1})
            running.graph.flush()
            await steps(clock, lambda: second.taken == [1])
            await become(Mood.WELL)
            assert await steps(clock, lambda: running.metric("healthy_nodes_count") == 2) >= 2
            await told(running, "recovered forwarding server 'one'")
            await running.feed("app", {"n": 2})
            running.graph.flush()
            await steps(clock, lambda: first.taken == [2])


async def test_nobody_is_there() -> None:
    """What cannot be sent waits."""
    clock = ManualClock()
    async with peer() as server:
        text = f"{ACKS}{BEATS}{server.section}{BUFFER.format('')}"
        async with drive(ForwardOutput, text, clock=clock) as running:
            await server.become(Mood.DOWN)
            await steps(clock, lambda: running.metric("healthy_nodes_count") == 0)
            await running.feed("app", {"n": 1})
            running.graph.flush()
            await steps(clock, lambda: any("no nodes are available" in said for said in running.log.texts("warning")))
            await server.become(Mood.WELL)
            await steps(clock, lambda: server.taken == [1])


SECURITY = "<security>\nself_hostname {}\nshared_key {}\n{}</security>\n"
USERS = "user_auth true\n<user>\nusername ann\npassword a\n</user>\n"


@pytest.mark.parametrize(
    ("theirs", "ours", "server"),
    [
        (SECURITY.format("server", "secret", ""), SECURITY.format("client", "secret", ""), ""),
        (SECURITY.format("server", "secret", ""), SECURITY.format("client", "other", ""), "shared_key secret"),
        (
            SECURITY.format("server", "secret", USERS),
            SECURITY.format("client", "secret", ""),
            "username ann\npassword a",
        ),
    ],
)
async def test_security(theirs: str, ours: str, server: str) -> None:
    """Both sides have the key, and the user's password; the handshake is made once for a connection that is kept."""
    async with peer(theirs) as other:
        text = conf(other.server(server), more=f"{ACKS}keepalive true\nverify_connection_at_startup true\n{ours}")
        async with drive(ForwardOutput, text) as running:
            for n in range(3):
                await running.feed("app", {"n": n})
                await running.flush()
        assert other.taken == [0, 1, 2]
        assert other.connections == 2


@pytest.mark.parametrize(
    ("theirs", "ours", "server", "said"),
    [
        (
            SECURITY.format("server", "secret", ""),
            SECURITY.format("client", "wrong", ""),
            "",
            "authentication failed: shared_key mismatch",
        ),
        (
            SECURITY.format("same", "secret", ""),
            SECURITY.format("same", "secret", ""),
            "",
            "same hostname between input and output: invalid configuration",
        ),
        (
            SECURITY.format("server", "secret", USERS),
            SECURITY.format("client", "secret", ""),
            "username ann\npassword b",
            "authentication failed: username/password mismatch",
        ),
        (SECURITY.format("server", "secret", ""), "", "", "asks who we are: write <security>"),
    ],
)
async def test_who_is_refused(theirs: str, ours: str, server: str, said: str) -> None:
    """The reason is said, and the chunk waits."""
    async with peer(theirs) as other:
        async with drive(ForwardOutput, conf(other.server(server), more=f"{ACKS}{ours}")) as running:
            await running.feed("app", {"n": 1})
            running.graph.flush()
            await told(running, said)
        assert not other.taken


async def test_a_server_without_security() -> None:
    """It never says HELO; after `hard_timeout` that is said, and the connection given up."""
    clock = ManualClock()
    async with ForwardServer(ack).standing() as server:
        ours = SECURITY.format("client", "secret", "")
        text = conf(server.server(), more=f"{ACKS}hard_timeout 7\n{ours}", buffer="retry_max_times 0")
        async with drive(ForwardOutput, text, clock=clock) as running:
            await running.feed("app", {"n": 1})
            running.graph.flush()
            await steps(clock, lambda: any("no answer for 7 seconds" in said for said in running.log.texts()))
        assert not server.messages


async def test_tls(tmp_path: Path) -> None:
    """A certificate of a trusted CA, for the name that the server is given where its host is an address."""
    certificate = certificates().write(tmp_path)
    certificates().AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    trusted = f"transport tls\ntls_ca_cert_path {tmp_path}/ca.pem\n"
    theirs = f"<transport tls>\n{certificate}</transport>\n"
    async with peer(theirs) as other:
        for n, (more, server) in enumerate(
            (
                (trusted, ""),
                (trusted, "name localhost"),
                (f"transport tls\ntls_cert_path {tmp_path}/ca.pem\n", ""),
                (f"{trusted}tls_verify_hostname false\n", "name other.example.com"),
                ("transport tls\ntls_insecure_mode true\n", "name other.example.com"),
            )
        ):
            async with drive(ForwardOutput, conf(other.server(server), more=f"{ACKS}{more}")) as running:
                await running.feed("app", {"n": n})
                await running.flush()
        assert other.taken == [0, 1, 2, 3, 4]
        for more, server, said in (
            ("transport tls\n", "", "unable to get local issuer certificate"),
            (trusted, "name other.example.com", "mismatch"),
        ):
            async with drive(ForwardOutput, conf(other.server(server), more=f"{ACKS}{more}")) as running:
                await running.feed("app", {"n": 9})
                running.graph.flush()
                await wait_for(lambda running=running: running.log.texts("warning"))
                assert any(said in text for text in running.log.texts("warning")), running.log.texts("warning")


async def test_a_client_certificate(tmp_path: Path) -> None:
    """Shown to a server that asks for one."""
    certificate = certificates().write(tmp_path)
    certificates().AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = tmp_path / "own"
    own.mkdir()
    certificates().write(own, "client")
    theirs = f"<transport tls>\n{certificate}client_cert_auth true\nca_path {tmp_path}/ca.pem\n</transport>\n"
    more = f"{ACKS}transport tls\ntls_ca_cert_path {tmp_path}/ca.pem\n"
    more += f"tls_client_cert_path {own}/cert.pem\ntls_client_private_key_path {own}/key.pem\n"
    async with peer(theirs) as other, drive(ForwardOutput, conf(other.section, more=more)) as running:
        await running.feed("app", {"n": 1})
        await running.flush()
        assert other.taken == [1]


def certificates() -> Any:
    """The CA of the tests, whose package only these need."""
    from tests.net import certificates as found  # noqa: PLC0415 - see above

    return found


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "name one that can be looked up, or write ignore_network_errors_at_startup true"),
        ("transport tls\ntls_ca_cert_path /none/ca.pem", "CA certificate /none/ca.pem: no such file"),
        (
            "verify_connection_at_startup true\nheartbeat_type none",
            "forward's connection setting error: no.such.name.invalid:24224: ",
        ),
    ],
)
async def test_what_stops_the_start(more: str, said: str) -> None:
    with pytest.raises(ExceptionGroup) as failure:
        async with drive(ForwardOutput, f"{more}\n<server>\nhost no.such.name.invalid\n</server>"):
            pass
    problem: BaseException = failure.value
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    assert said in str(problem)


async def test_a_name_that_is_not_known_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `ignore_network_errors_at_startup` it is used when it can be looked up."""
    clock = ManualClock()
    known: dict[str, list[str]] = {}

    async def resolve(host: str, port: int) -> list[str]:
        del port
        if host not in known:
            raise OSError("name or service not known")
        return known[host]

    monkeypatch.setattr(node_module, "resolve", resolve)
    async with peer() as server:
        more = f"{ACKS}{BEATS}heartbeat_type transport\nignore_network_errors_at_startup true"
        text = f"{more}\n<server>\nhost later\nport {server.port}\n</server>\n{BUFFER.format('')}"
        async with drive(ForwardOutput, text, clock=clock) as running:
            await told(running, "failed to resolve node name when configured: later")
            await running.feed("app", {"n": 1})
            running.graph.flush()
            await steps(clock, lambda: any("no nodes" in said for said in running.log.texts("warning")))
            known["later"] = ["127.0.0.1"]
            await steps(clock, lambda: server.taken == [1])


@pytest.mark.parametrize(
    ("more", "looked_up"), [("", 1), ("expire_dns_cache 0", 4), ("expire_dns_cache 15", 2), ("dns_round_robin true", 1)]
)
async def test_addresses_are_remembered(more: str, looked_up: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as the settings say."""
    clock = ManualClock()
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        del port
        asked.append(host)
        return ["127.0.0.1"]

    monkeypatch.setattr(node_module, "resolve", resolve)
    async with peer() as server:
        text = conf(f"<server>\nhost name\nport {server.port}\n</server>\n", more=f"{ACKS}{more}")
        async with drive(ForwardOutput, text, clock=clock) as running:
            for n in range(4):
                await running.feed("app", {"n": n})
                running.graph.flush()
                await steps(clock, lambda n=n: len(server.taken) == n + 1)
                await clock.advance(5)
    assert len(asked) == looked_up


async def test_servers_that_are_discovered(tmp_path: Path) -> None:
    """They come and go while it runs; what is known of those that stay is kept."""
    clock = ManualClock()
    path = tmp_path / "sd.json"

    def write(*servers: ForwardPeer) -> None:
        other = tmp_path / "other"
        other.write_text(json.dumps([{"host": "127.0.0.1", "port": server.port} for server in servers]))
        other.replace(path)

    async with peer() as first, peer() as second:
        write(first)
        section = f"<service_discovery>\n@type file\npath {path}\n</service_discovery>\n"
        async with drive(ForwardOutput, conf(section, more=ACKS), clock=clock) as running:
            await running.feed("app", {"n": 1})
            running.graph.flush()
            await steps(clock, lambda: first.taken == [1])
            write(second)
            await clock.advance(2)
            await running.feed("app", {"n": 2})
            running.graph.flush()
            await steps(clock, lambda: second.taken == [2])
            assert running.metric("registered_nodes_count") == 1
