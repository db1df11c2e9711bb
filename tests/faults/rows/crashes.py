"""Rows 1 to 3: the program is killed, killed again while it recovers, and the power goes."""

from __future__ import annotations

import random
import time
from typing import Final

from tests.faults import texts
from tests.faults.kills import Point, all_points, kill_at
from tests.faults.power import cut_power_everywhere
from tests.faults.row import row
from tests.faults.trial import Lab, Trial

NAMED: Final = ("buffer.opened", "buffer.written", "buffer.created", "buffer.synced", "buffer.delete", "buffer.deleted")


@row(1, "kill -9 at any point")
def killed(lab: Lab) -> None:
    """At system calls, at points with a name, and at moments chosen by chance."""
    _at_calls(lab, [Point(point.call, point.number) for point in _sample(lab, 40, few=3)])
    for name in NAMED[:: 1 if not lab.short else 3]:
        with lab.trial(f"killed at {name}") as trial:
            trial.may_repeat = True
            logpipe = trial.start(_text(trial), environment={"LOGPIPE_FAULT": f"{name}:2"})
            log = trial.log()
            while logpipe.runs and trial.account.written < 20_000:
                log.write(20)
                time.sleep(0.02)
            trial.fired(name, when=logpipe.was_killed)
            _recovers(trial)
    with lab.trial("killed at random") as trial:
        trial.may_repeat = True
        log = trial.log()
        trial.start(_text(trial))
        log.write(10)
        trial.wait_for_all()
        rnd = random.Random(1)
        for _ in range(lab.repeat(20, few=2)):
            end = time.monotonic() + rnd.uniform(0.05, 0.8)
            while time.monotonic() < end:
                log.write(20)
                time.sleep(0.01)
            trial.last.kill()
            trial.fired("kill -9")
            trial.last.start()
        trial.wait_for_all()
        trial.end(trial.last)


@row(2, "kill -9 during recovery")
def killed_again(lab: Lab) -> None:
    """A second kill, at the same kind of call, while the first one is being recovered from."""
    sample = _sample(lab, 30, few=2)
    _at_calls(lab, [Point(point.call, point.number, again=1 + index % 7) for index, point in enumerate(sample)])


@row(3, "power loss: what was not synced is gone, or torn")
def power_cut(lab: Lab) -> None:
    """The calls of a run are replayed up to each sync and rename, and the program goes on with what is left."""
    cut_power_everywhere(lab, most=lab.repeat(1000, few=5))


def _at_calls(lab: Lab, points: list[Point]) -> None:
    fired = sum(kill_at(point, lab) for point in points)
    assert fired * 2 > len(points), f"only {fired} of {len(points)} kills happened"


def _sample(lab: Lab, count: int, *, few: int) -> list[Point]:
    points = all_points(again_each=1_000_000)
    return random.Random(2).sample(points, lab.repeat(count, few=few))


def _text(trial: Trial) -> str:
    return texts.tail(trial.folder) + texts.to_file(trial.folder)


def _recovers(trial: Trial) -> None:
    logpipe = trial.start()
    trial.wait_for_all()
    trial.end(logpipe)
