"""How large messages share what they may hold."""

from __future__ import annotations

from logpipe.builtin.in_forward.room import FREE, Room
from logpipe.testing import settle
from tests.builtin.in_forward.sender import beside


async def test_those_that_come_later_wait_in_turn() -> None:
    """What everybody has is free; of what there is, each gets its part when those before have theirs."""
    room = Room(100)
    shares = [room.share() for _ in range(4)]
    await shares[0].cover(FREE)
    await shares[0].cover(FREE + 60)
    tasks = [beside(share.cover(FREE + size)) for share, size in zip(shares[1:], (70, 10, 40), strict=True)]
    await settle()
    assert [task.done() for task in tasks] == [False, False, False]
    shares[0].leave()
    await settle()
    assert [task.done() for task in tasks] == [True, True, False]
    shares[1].leave()
    await settle()
    assert tasks[2].done()


async def test_two_that_wait_for_each_other() -> None:
    """One may go beyond, and then the other."""
    room = Room(100)
    one, two, late = room.share(), room.share(), room.share()
    await one.cover(FREE + 50)
    await two.cover(FREE + 50)
    large = beside(late.cover(FREE + 100))
    await settle()
    await one.cover(FREE + 90)
    more = beside(two.cover(FREE + 90))
    await settle()
    assert not more.done()
    one.leave()
    await settle()
    assert more.done()
    assert not large.done()
    two.leave()
    await settle()
    assert large.done()


async def test_who_goes_waits_no_more() -> None:
    room = Room(100)
    one, two, three = room.share(), room.share(), room.share()
    await one.cover(FREE + 100)
    waiting = [beside(share.cover(FREE + 60)) for share in (two, three)]
    await settle()
    waiting[0].cancel()
    await settle()
    one.leave()
    await settle()
    assert waiting[1].done()
    assert not waiting[1].cancelled()
