"""What can happen in a schedule, by the names that actions have."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Final

from tests.simulation import outputs
from tests.simulation.disk import Disk
from tests.simulation.engine import Engine
from tests.simulation.outputs import Peer
from tests.simulation.senders import Sender
from tests.simulation.timeline import Timeline
from tests.simulation.writer import Writer

PATIENCE: Final = 8.0
"""Seconds within which a program comes to the turn, or to the step on its disk, at which it is to end."""

DAY: Final = 86_400_000_000_000


class Actions:
    """A trial's actions; what they need of it is named here."""

    writer: Writer
    engine: Engine
    disk: Disk
    timeline: Timeline
    peers: dict[str, Peer]
    rng: random.Random
    sender: Sender

    def do_append(self, name: str = "app.log", count: str = "1") -> None:
        self.writer.append(name, int(count))

    def do_send(self, count: str = "1") -> None:
        """Have the sender send lines."""
        self.sender.waiting += self.writer.say(int(count))

    def do_sender(self, mood: str) -> None:
        """Change the sender's mood."""
        self.sender.mood = mood

    def do_poison(self, name: str = "app.log", count: str = "1") -> None:
        self.writer.append(name, int(count), suffix=f" {outputs.POISON}")

    def do_sibling(self) -> None:
        """Append to the file that nobody asked for, whatever it is called now."""
        name = next(name for name, file in self.writer.by_name.items() if file.never)
        self.writer.append(name)

    def do_today(self) -> None:
        """Append to the file of this day."""
        self.writer.append(f"app-{datetime.fromtimestamp(self.timeline.now() / 1e9, UTC):%Y%m%d}.log")

    def do_when(self, seconds: str) -> None:
        """Append a line of JSON with this time."""
        self.writer.append(form=lambda text: f'{{"message":"{text}","time":{seconds}}}')

    def do_half(self, name: str = "app.log") -> None:
        self.writer.half(name)

    def do_rotate(self, name: str = "app.log") -> None:
        self.writer.rotate(name)

    def do_move(self, name: str = "app.log") -> None:
        self.writer.rotate(name, create=False)

    def do_create(self, name: str = "app.log") -> None:
        self.writer.create(name)

    def do_cut(self, name: str = "app.log") -> None:
        self.writer.copytruncate(name)

    def do_delete(self, name: str = "app.log") -> None:
        self.writer.delete(name)

    def do_away(self) -> None:
        self.writer.leave()

    def do_back(self) -> None:
        self.writer.come_back()

    def do_wait(self, seconds: str = "3") -> None:
        self.pass_time(float(seconds))

    def do_tick(self) -> None:
        self.pass_time(0.3)

    def do_day(self) -> None:
        """Set the wall clock on to the next midnight."""
        self.timeline.offset += DAY - self.timeline.now() % DAY
        self.writer.set_clock()

    def do_yesterday(self) -> None:
        """Set it back by a day."""
        self.timeline.offset -= DAY
        self.writer.set_clock()

    def do_start(self) -> None:
        if not self.engine.runs:
            self.writer.started()
            self.sender.attach(self.engine.start())

    def do_stop(self) -> None:
        if self.engine.runs:
            in_trouble = self._in_trouble()
            self._quietly(self.engine.stop)
            self.sender.cut()
            self._note_end(in_trouble=in_trouble)
            self._look_at_positions()
            self.writer.went_down(crashed=False)

    def do_restart(self) -> None:
        self.do_stop()
        self.do_start()

    def do_reload(self) -> None:
        if self.engine.runs:
            in_trouble = self._in_trouble()
            self._quietly(self.engine.reload)
            if not self.sender.times:  # what it has sent waits for the next graph
                self._note_end(in_trouble=in_trouble)
            self.writer.went_down(crashed=False)
            if self.engine.runs:
                self.writer.started()

    def do_flush(self) -> None:
        if self.engine.graph is not None:
            self.engine.graph.flush()

    def do_crash(self, turns: str = "0", then: str = "start") -> None:
        """End the program after so many turns of its loop, and start it again."""
        if self.engine.runs:
            if int(turns):
                self.timeline.crash_at = self.timeline.turns + int(turns)
                self._quietly(lambda: self.engine.run(PATIENCE))
            self._down()
        if then == "start":
            self.do_start()

    def do_die(self, steps: str = "1", then: str = "start") -> None:
        """End the program before the N-th step on its disk from now on, torn where it is a write."""
        if self.engine.runs:
            self.disk.crash_at, self.disk.torn = self.disk.steps + int(steps), True
            self._quietly(lambda: self.engine.run(PATIENCE))
            self._down()
        if then == "start":
            self.do_start()

    def do_power(self, steps: str = "0") -> None:
        """The same by a power cut: what was not synced is gone."""
        self.disk.is_sure = False
        if self.schedule.seed is not None:
            self.disk.rng = self.rng
        self.do_die(steps) if int(steps) else self.do_crash()

    def do_out(self, mood: str, name: str = "") -> None:
        """Change a peer's mood."""
        for each in [self.peers[name]] if name else self.peers.values():
            each.mood = mood

    def do_full(self, *paths: str) -> None:
        self.disk.full = paths or ("",)
        self._trouble = True

    def do_space(self) -> None:
        self.disk.full = ()

    def do_eio(self, call: str = "fdatasync") -> None:
        self.disk.failing = call
        self._trouble = True
