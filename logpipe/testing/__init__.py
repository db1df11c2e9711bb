"""For tests, ours and third parties': run a stage or a whole configuration in the real engine, and look at it.

`drive` runs one plugin between a feed and a collector; `pipeline` runs a configuration text in which `@type test`
outputs collect; `check_plugin` asserts what every plugin promises, `check_listener` what one that listens does, and
`check_output_against_peer` what every output does while its peer is down, slow, silent, resetting, throttling,
refusing, or answers nonsense, `check_output_over_reload` while it is away at the start and in a reload. `Front`
stands in front of a real server, `logpipe.testing.http_peer` is one. Time is real unless a `ManualClock` is given.
"""

from logpipe.testing.against import check_output_against_peer, check_output_over_reload
from logpipe.testing.clock import DEADLINE, ManualClock, settle, wait_for
from logpipe.testing.collector import Collector, LogCapture, collecting
from logpipe.testing.contract import build, check_plugin, configure
from logpipe.testing.fake_host import FakeHost
from logpipe.testing.front import Front, Link
from logpipe.testing.moods import Mood, Peer
from logpipe.testing.pipeline import Pipeline, drive, parse, pipeline
from logpipe.testing.strangers import check_listener

__all__ = [
    "DEADLINE",
    "Collector",
    "FakeHost",
    "Front",
    "Link",
    "LogCapture",
    "ManualClock",
    "Mood",
    "Peer",
    "Pipeline",
    "build",
    "check_listener",
    "check_output_against_peer",
    "check_output_over_reload",
    "check_plugin",
    "collecting",
    "configure",
    "drive",
    "parse",
    "pipeline",
    "settle",
    "wait_for",
]
