"""Schedules that once failed; each is tried again by the tests."""

from __future__ import annotations

from typing import Final

from tests.simulation.trial import Schedule


def _schedule(text: str, pace: float, seed: int) -> Schedule:
    return Schedule(tuple(text.split()), pace, seed)


FOUND: Final = (
    # a folder that was away for longer than a minute: all of the file came once more
    ("absent", Schedule(("away", "wait:70"), 3.0)),
    # what lay in a folder was forgotten while it was away: a rotated file came once more
    ("absent", Schedule(("rotate", "away", "rotate"), 3.0)),
    # a file that was let go while its folder was away was not read on when it came back under another name
    ("absent", Schedule(("away", "append", "rotate"), 3.0)),
    # a rotated file that is followed by its own name was forgotten before that name was followed
    ("glob", Schedule(("rotate", "crash", "stop", "rotate"), 0.6, 161)),
    # the list of a folder that was written before it was complete made a stranger's file a rotated one
    ("sibling", Schedule(("rotate", "crash:7"), 0.6, 35)),
    # a start that is stopped has not looked for what the graph before it left: its ledger did not add up
    ("stores", Schedule(("crash", "wait", "append", "restart", "reload", "restart"), 0.05, 147)),
    # renames that were told after a folder was listed, but came before, were taken to be of the names in the list
    ("sibling", Schedule(("reload", "reload", "reload", "reload", "crash", "rotate"), 0.6, 112)),
    # of two rotated files that were read on at a start one was forgotten before the path led anywhere
    (
        "polling",
        Schedule(("rotate", "wait:1", "stop", "append:app.log.1", "append", "move", "start", "wait:6", "create"), 0.05),
    ),
    # a rotated file with nothing more to read was not known beside another one that was read on: it came once more
    ("files", Schedule(("move", "wait", "reload", "append", "half", "crash", "move", "append"), 0.6, 523)),
    # what was new in a folder was forgotten when a stop broke off the look that had found it: a rotated file was lost
    (
        "polling",
        _schedule(
            "flush append:app.log:5 half append:app.log:5 append:app.log:5 rotate move wait append tick tick rotate"
            " create restart",
            0.05,
            10348,
        ),
    ),
    # of what a slow output was about to take for the second time, the sender was to be told at once
    ("kept", Schedule(("out:slow", "send", "die:1"), 3.0)),
    # an acknowledgement that was written when the connection was given up: the server took it for heard
    (
        "acks",
        _schedule("die:4 die:4 out:silent stop restart die:2 restart append crash:2 out:silent start", 3.0, 70128),
    ),
    # copies that were renamed when a start had not listed their folder yet were taken for new ones at the next cut
    (
        "files",
        _schedule(
            "cut append:app.log:5 cut append:app.log:5 start append:app.log.1 wait cut restart reload rotate cut",
            0.6,
            70091,
        ),
    ),
)
