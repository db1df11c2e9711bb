"""All orders of a world's actions up to a length, each that may end differently once.

Two schedules are the same where the program cannot tell them apart. Without a pause between actions (pace 0) nothing
runs between two that only write log files, or change a peer's mood or the disk's: so such ones of different kinds may
be exchanged, and of two that set the same thing the last one counts. An action that changes nothing makes a shorter
schedule of it there; with a pause it is one more pause, whichever action that is. What is set last of all is undone by
the end of each schedule. One of each such group is tried: files first, then peers by name, then the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tests.simulation.trial import Schedule
from tests.simulation.world import World

_FILES: Final = frozenset(
    ("append", "poison", "sibling", "today", "when", "half", "rotate", "move", "create", "cut", "delete")
)
_ONCE: Final = frozenset(("fail1", "lost", "part", "cancel"))
"""Moods that end by themselves."""

_UNKNOWN: Final = "?"


@dataclass(frozen=True)
class _State:
    """What is known without running anything."""

    names: frozenset[str] = frozenset()
    """Of log files, where nothing but the schedule makes them."""
    runs: bool = False
    is_away: bool = False
    full: str = ""
    moods: tuple[tuple[str, str], ...] = ()
    """By peer."""


def every(world: World) -> Iterator[Schedule]:
    """Yield the schedules of a world, the short ones first."""
    start = _State(moods=tuple((name, "ok") for name in sorted((*world.outputs, *world.rescue))))
    for action in world.opening:
        start, _ = _after(start, action)
    longest = max(world.lengths)
    for length in range(1, longest + 1):
        for pace, most in zip(world.paces, world.lengths, strict=True):
            if length <= most:
                yield from (Schedule(actions, pace) for actions in _orders(world, start, pace, length))


def _orders(world: World, start: _State, pace: float, length: int) -> Iterator[tuple[str, ...]]:
    def further(before: tuple[str, ...], state: _State) -> Iterator[tuple[str, ...]]:
        if len(before) == length:
            if pace or _setting(before[-1]) is None:
                yield before
            return
        idle = False
        for action in world.actions:
            following, changes = _after(state, action)
            if not changes:
                if idle or not pace:
                    continue
                idle = True
            if not pace and before and _comes_elsewhere(before[-1], action):
                continue
            yield from further((*before, action), _after_pause(following) if pace else following)

    return further((), start)


def _comes_elsewhere(before: str, action: str) -> bool:
    """Return whether two actions, one right after the other, are tried in another order or as the second alone."""
    first, second = _setting(before), _setting(action)
    if first is None:
        return False
    if second is None:
        return action.split(":", maxsplit=1)[0] in _FILES  # files come first
    return second <= first


def _setting(action: str) -> tuple[int, str] | None:
    """Return what an action sets that has its effect only when the program runs, in the order of trying."""
    kind, *rest = action.split(":")
    if kind == "out":
        return (1, rest[1] if len(rest) > 1 else "")
    return {"full": (2, ""), "space": (2, ""), "eio": (3, "")}.get(kind)


def _after(state: _State, action: str) -> tuple[_State, bool]:
    """Return what is so after an action, and whether it does anything."""
    kind, *rest = action.split(":")
    name = rest[0] if rest and kind != "when" else "app.log"
    there = state.names
    if kind in {"append", "poison", "half"}:
        return replace(state, names=there | {name}), True
    if kind == "create":
        return replace(state, names=there | {name}), name not in there
    if kind in {"cut", "rotate", "move", "delete"}:
        return _without(state, kind, name), name in there
    if kind == "out":
        moods = tuple((peer, rest[0] if rest[1:] in ([], [peer]) else mood) for peer, mood in state.moods)
        return replace(state, moods=moods), moods != state.moods
    if kind in {"full", "space"}:
        full = ":".join(rest) or "all" if kind == "full" else ""
        return replace(state, full=full), full != state.full
    if kind in {"away", "back"}:
        return replace(state, is_away=kind == "away"), state.is_away != (kind == "away")
    if kind in {"start", "stop"}:
        return _after_pause(replace(state, runs=kind == "start")), state.runs != (kind == "start")
    if kind in {"reload", "flush"}:
        return _after_pause(state), state.runs
    if kind in {"restart", "crash", "die", "power"}:
        return _after_pause(replace(state, runs=True)), True
    return _after_pause(state), True


def _without(state: _State, kind: str, name: str) -> _State:
    """Return it with what a rotation makes of the names."""
    there = state.names
    if name not in there:
        return state
    if kind != "delete":
        number = 1
        while f"{name}.{number}" in there:
            number += 1
        there |= {f"{name}.{number}"}
    return replace(state, names=there - {name} if kind in {"move", "delete"} else there)


def _after_pause(state: _State) -> _State:
    """Return it with what the program may have changed when it ran."""
    moods = tuple((peer, _UNKNOWN if mood in _ONCE else mood) for peer, mood in state.moods)
    return replace(state, moods=moods)
