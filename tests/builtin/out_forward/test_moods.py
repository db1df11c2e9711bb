"""The forward output with a server that is down, slow, silent, resets or answers nonsense: the suite of all."""

from __future__ import annotations

import pytest

from logpipe.builtin.out_forward import ForwardOutput
from logpipe.testing import Mood, check_output_against_peer, check_output_over_reload
from tests.builtin.out_forward.peers import ForwardPeer, conf, peer

ACKS = "require_ack_response true\nack_response_timeout 1\n"
LIMITS = "chunk_limit_size 256k\ntotal_limit_size 1m"


@pytest.mark.parametrize("mood", [mood for mood in Mood if mood in ForwardPeer.moods])
async def test_a_server_in_a_mood(mood: Mood) -> None:
    """Nothing is lost, all is delivered in the end, it stops in time, and what waits is bounded."""
    async with peer() as server:
        text = conf(server.section, more=f"{ACKS}keepalive true", buffer=LIMITS)
        await check_output_against_peer(ForwardOutput, text, server, mood, most_bytes=2 * 1024 * 1024)


async def test_a_server_that_is_away_at_the_start_and_in_a_reload() -> None:
    """Nothing is lost, and nothing is given up."""
    async with peer() as server:
        await check_output_over_reload(ForwardOutput, conf(server.section, more=ACKS, buffer=LIMITS), server)
