"""Named fault points: they fire when told, where told, and cost nothing otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from logpipe.faults import armed, fault


def test_the_nth_passing_kills_and_no_other() -> None:
    """Each name counts for itself; a name without a number means its first passing."""
    killed: list[str] = []
    passings: list[str] = []
    point = armed("a:3, b", lambda: killed.append(passings[-1]))
    for name in ("a", "c", "a", "b", "a", "a", "b"):
        passings.append(name)
        point(name)
    assert killed == ["b", "a"]


def test_the_variable_arms_a_process() -> None:
    """It dies of SIGKILL; without the variable nothing happens."""
    program = "from logpipe.durable import fault; fault('x'); fault('x'); print('alive')"
    for spec, expected in (("x:2", -signal.SIGKILL), ("x:3", 0), ("", 0)):
        environment = {**os.environ, "LOGPIPE_FAULT": spec}
        done = subprocess.run([sys.executable, "-c", program], env=environment, check=False, capture_output=True)
        assert done.returncode == expected
    fault("x")
