"""Asks nodes whether they are there, each as often as the others however slow they are."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from logpipe import Host
from logpipe.builtin.forward_protocol import ProtocolError
from logpipe.builtin.out_forward.node import Node, reason_of
from logpipe.builtin.out_forward.nodes import Nodes

BEAT: Final = b"\0"


class Heartbeats:
    """Heartbeats of one kind.

    Args:
        nodes: who is asked.
        host: the output's.
        interval: in seconds.
        over_udp: whether by datagrams, and not by connections.
    """

    def __init__(self, nodes: Nodes, host: Host, interval: float, *, over_udp: bool) -> None:
        self._nodes = nodes
        self._host = host
        self._interval = interval
        self._over_udp = over_udp
        self._sockets: dict[Node, tuple[str, asyncio.DatagramTransport]] = {}

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                await self._host.clock.sleep(self._interval)
                self._round()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the sockets."""
        for _, transport in self._sockets.values():
            transport.close()
        self._sockets.clear()

    def _round(self) -> None:
        nodes = list(self._nodes)
        for node in nodes:
            if not node.is_beating:
                node.is_beating = True
                self._host.start_task(self._beat(node), name="heartbeat")
        if sum(node.tick() for node in nodes):
            self._nodes.rebalance()
        for node in self._sockets.keys() - set(nodes):
            self._sockets.pop(node)[1].close()

    async def _beat(self, node: Node) -> None:
        try:
            if self._over_udp:
                await self._send(node)
            else:
                await node.probe()
                self._answered(node)
        except (OSError, ProtocolError) as problem:
            self._host.log.debug("no heartbeat from %s: %s", node.title, reason_of(problem))
        finally:
            node.is_beating = False

    def _answered(self, node: Node) -> None:
        if node.beat(recovers=True):
            self._nodes.rebalance()

    async def _send(self, node: Node) -> None:
        address = await node.address()
        known = self._sockets.get(node)
        if known is not None and (known[0] != address.host or known[1].is_closing()):
            known[1].close()
            known = None
        if known is None:
            # connected: the kernel lets through only what comes from there
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Answers(lambda: self._answered(node)), remote_addr=(address.host, address.port)
            )
            known = self._sockets[node] = (address.host, transport)
        with suppress(OSError):
            known[1].sendto(BEAT)


class _Answers(asyncio.DatagramProtocol):
    """Takes a server's answers."""

    def __init__(self, answered: Any) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Take one; what it says is nothing."""
        del data, addr
        self._answered()
