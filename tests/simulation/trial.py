"""One schedule, carried out: what happened, and what was wrong with it."""

from __future__ import annotations

import gc
import random
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from logpipe.builtin.in_tail.logfile import Head
from logpipe.builtin.position_file import Position, PositionFile
from tests.simulation import outputs
from tests.simulation.actions import Actions
from tests.simulation.disk import Disk
from tests.simulation.engine import MOST_LETTERS, Engine, tail_sees
from tests.simulation.forwarding import PORT, ForwardServer
from tests.simulation.network import Network
from tests.simulation.outputs import Peer
from tests.simulation.repeats import LETTERS, Repeats
from tests.simulation.senders import SPEECHES, Forward, Sender
from tests.simulation.timeline import Crash, Timeline
from tests.simulation.world import PLACE, World
from tests.simulation.writer import PADDING, File, Line, Writer

SETTLING: Final = 2.5
"""Seconds in which a program that nobody disturbs has looked at everything and written down where it is."""


@dataclass(frozen=True)
class Schedule:
    """What happens in a world, in this order."""

    actions: tuple[str, ...]
    pace: float = 0.0
    """Seconds that pass after each."""
    seed: int | None = None
    """Decides how long threads take and what survives a power cut; nothing is left to chance without it."""

    def __str__(self) -> str:
        seed = "" if self.seed is None else f" --dice {self.seed}"
        return f"--pace {self.pace:g}{seed} --schedule '{' '.join(self.actions)}'"


@dataclass
class Outcome:
    """What came of a schedule."""

    faults: list[str] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    """Written only where there are faults."""


class Trial(Actions):
    """A schedule while it is carried out.

    Args:
        world: where.
        schedule: what happens.
        place: an empty folder.
    """

    def __init__(self, world: World, schedule: Schedule, place: Path) -> None:
        self.world = world
        self.schedule = schedule
        self.timeline = Timeline()
        self.rng = random.Random(schedule.seed)
        if schedule.seed is not None:
            self.timeline.thread_delay = self._delay
        logs, state = place / "logs", place / "state"
        logs.mkdir()
        state.mkdir()
        follows = partial(self._follows, world)
        self.writer = Writer(logs, follows, world.leaves_out, self.timeline)
        self.writer.from_end = world.from_end
        self.disk = Disk(state, self.timeline)
        if schedule.seed is not None:
            self.disk.listing = random.Random(f"listing {schedule.seed}")
        network = Network()
        self.engine = Engine(world.config.replace(PLACE, str(place)), self.timeline, self.disk, network)
        names = (*world.outputs, *world.rescue)
        self.peers = {name: Peer(name, self.timeline) for name in names}
        self.faults: list[str] = []
        self.events: list[tuple[float, str]] = []
        if world.network == "server":
            network.servers[PORT] = ForwardServer(self.peers[world.outputs[0]]).accept
        self.sender = Sender(SPEECHES.get(world.network, Forward)(), network, self.timeline)
        self._repeats = Repeats(state, self.peers, self.letters, self.sender.times)
        self._quiet_since = 0.0
        self._trouble = False

    def _follows(self, world: World, name: str) -> bool:
        return world.wants(name, self.timeline.now())

    def _delay(self) -> tuple[float, float]:
        seconds = self.rng.choice((0.0, 0.0, 0.0, 0.001, 0.02, 0.4))
        return (seconds, 0.0) if self.rng.random() < 0.5 else (0.0, seconds)

    def run(self) -> Outcome:
        """Carry it out, and look at what came of it."""
        random.seed(self.schedule.seed or 0)  # the engine's, for pauses between attempts
        outputs.peers.clear()
        outputs.peers.update(self.peers)
        with ExitStack() as stack:
            stack.enter_context(self.timeline.installed())
            stack.enter_context(self.disk.installed())
            stack.enter_context(tail_sees(self.writer.births, self.writer.changes, self.timeline))
            try:
                for action in self.world.opening:
                    self.act(action)
                for action in self.schedule.actions:
                    self.act(action)
                    self.pass_time(self.schedule.pace)
                self.finish()
            finally:
                if self.engine.runs:
                    self.engine.crash()
        self.judge()
        faults = [fault.replace(f" {PADDING}", "") for fault in self.faults]
        return Outcome(faults, self.diary() if self.faults else [])

    # ---- actions

    def act(self, action: str) -> None:
        """Do what an action says: its name, and after colons what it takes."""
        if self.timeline.is_stuck:
            return
        name, *rest = action.split(":")
        self.events.append((self.timeline.elapsed, action))
        getattr(self, f"do_{name}")(*rest)

    def pass_time(self, seconds: float) -> None:
        """Let the program run, if it does, and note that it came to rest."""
        if not seconds or self.timeline.is_stuck:
            return
        ended = self._ends(lambda: self.engine.run(seconds))
        if "letters" not in self.world.slack and self.engine.letters_waiting > 2 * MOST_LETTERS:
            self.faults.append("too many error events wait in memory")
        if ended:
            self._down()
        elif seconds >= SETTLING and self.engine.runs:
            self.writer.settled()
            self._seal()

    def _quietly(self, work: Callable[[], object]) -> None:
        if self._ends(work):
            self._down()

    @staticmethod
    def _ends(work: Callable[[], object]) -> bool:
        """Return whether the program ends meanwhile; the exception, which holds parts of it, is gone then."""
        try:
            work()
        except Crash:
            return True
        return False

    def _note_end(self, *, in_trouble: bool) -> None:
        """Note that the program has ended; if not everything could be delivered or written, lines may come again."""
        if in_trouble and "repeats" not in self.world.slack:
            self._repeats.note_end(self.writer.lines.values(), self._rows())

    def _in_trouble(self) -> bool:
        return bool(self.disk.full) or any(peer.mood != "ok" for peer in self.peers.values())

    def _down(self) -> None:
        if not self.engine.runs:
            return
        self.sender.cut()
        self.engine.crash()
        if self.timeline.is_stuck:
            self.faults.append("it does not come to rest")
        self.events.append((self.timeline.elapsed, "the program is gone"))
        self._note_end(in_trouble=True)
        self._look_at_positions()
        self.writer.went_down(crashed=True)

    # ---- the end

    def finish(self) -> None:
        """Have everything in order again, wait until all has arrived, and stop."""
        if self.timeline.is_stuck:
            return
        self.events.append((self.timeline.elapsed, "--- all is well again"))
        self.do_back()
        self.do_space()
        self.disk.failing = ""
        self.timeline.crash_at = self.disk.crash_at = -1
        self.sender.mood = "ok"
        for peer in self.peers.values():
            peer.mood = "ok"
        for name, file in list(self.writer.by_name.items()):
            if file.half and self.world.wants(name, self.timeline.now()):
                self.writer.append(name)
        self.do_start()
        self._wait_while(self.missing)
        if self.missing():  # what came and went while nobody looked is read when its path leads somewhere again
            self._make_followed()
            self._wait_while(self.missing)
        self._wait_while(lambda: not self.sender.is_done)
        self.pass_time(SETTLING)
        if not self.sender.is_done:
            self.faults.append(f"the sender is not told of {[*self.sender.sent, *self.sender.waiting]}")
        if self.engine.runs and not self.missing() and "held" not in self.world.slack:
            self.faults += self._held()
        self.do_stop()
        if not self.timeline.is_stuck:
            self.faults += self.engine.kept()

    def _held(self) -> list[str]:
        """Return what buffers hold when they had the time to send again what a crash has left in them."""
        self._wait_while(lambda: any(self.engine.held()))
        return list(self.engine.held())

    def _wait_while(self, lacks: Callable[[], object]) -> None:
        until = self.timeline.elapsed + self.world.patience
        while self.timeline.elapsed < until and lacks() and not self.timeline.is_stuck:
            self.pass_time(1.0)

    def _make_followed(self) -> None:
        """Make the files whose names the configuration has, as their programs do sooner or later."""
        for name in self.world.follows:
            if not set("*?[%") & set(name):
                self.events.append((self.timeline.elapsed, f"create:{name}"))
                self.writer.create(name)

    def missing(self) -> list[Line]:
        """Return what must arrive and is not there."""
        arrived = [{each.text for each in self.peers[name].taken} for name in self.world.outputs]
        rescued = {each.text for name in self.world.rescue for each in self.peers[name].taken}
        every = set.intersection(*arrived) | rescued
        lines = [line for line in self.writer.expected() if line.text not in every]
        if lines:
            letters = self.letters()
            lines = [line for line in lines if line.text not in letters]
        return lines

    def letters(self) -> Counter[str]:
        """Return the texts of the dead letters, and how often each is there; what is no letter has no text."""
        found: Counter[str] = Counter()
        for path in (self.disk.folder / "letters").rglob("*.jsonl"):
            for line in path.read_bytes().splitlines():
                try:
                    found[str(orjson.loads(line)["record"].get("message"))] += 1
                except orjson.JSONDecodeError:
                    found[""] += 1
        return found

    def judge(self) -> None:
        """Say what is wrong."""
        self.faults += dict.fromkeys(self.engine.problems)
        self.faults += [f"it says: {text}" for _, _, text in self.engine.said.lines if "unexpected error" in text]
        if lost := self.missing():
            self.faults.append(f"lost: {[line.text for line in lost]}")
        for name, peer in self.peers.items():
            self.faults += self._wrong(name, peer)
        self.faults += self._wrong_letters()

    def _wrong_letters(self) -> Iterator[str]:
        """Say what is wrong with dead letters: torn though nothing crashed, too many, or of what nobody refused."""
        letters = self.letters()
        if letters.pop("", 0) and not self._repeats.ends:
            yield "a dead letter is torn"
        if "repeats" not in self.world.slack:
            again = {text: count for text, count in letters.items() if count > self._repeats.allowed(LETTERS, text)}
            if again:
                yield f"more dead letters than promised: {again}"
        for text in letters:
            failures = sum(
                text in called and mood.startswith("fail")
                for peer in self.peers.values()
                for _, mood, called in peer.calls
            )
            is_refused = any(text in peer.refused for peer in self.peers.values()) or outputs.POISON in text
            if not is_refused and failures < self.world.attempts and text.startswith("app"):
                yield f"{text!r} was given up after {failures} attempts"

    def _wrong(self, name: str, peer: Peer) -> Iterator[str]:
        counts: Counter[str] = Counter()
        newest: dict[tuple[int, int], int] = {}
        disorder: list[str] = []
        for each in peer.taken:
            line = self.writer.lines.get(each.text)
            if line is None:
                if not any(each.text == text for text in self.writer.fragments):
                    yield f"{name}: nobody wrote {each.text!r}"
                continue
            if line.wanted == "never":
                yield f"{name}: nobody asked for {each.text!r}"
            if each.path and not self._is_name_of(each.path, line):
                yield f"{name}: {each.text!r} came as a line of {each.path}"
            counts[each.text] += 1
            if counts[each.text] == 1:
                part = line.file.inode, line.part
                if line.number < newest.get(part, -1):
                    disorder.append(each.text)
                newest[part] = line.number
        if disorder:  # what was given up, and is read again after a crash, comes behind what followed it
            given_up = self.letters()
            disorder = [text for text in disorder if text not in given_up]
        if self.world.ordered and disorder:
            yield f"{name}: out of order: {disorder}"
        if "repeats" not in self.world.slack:
            again = {text: count for text, count in counts.items() if count > self._repeats.allowed(name, text)}
            if again:
                yield f"{name}: more than promised: {again}"

    def _is_name_of(self, path: str, line: Line) -> bool:
        name = path.rpartition("/")[2]
        return not self.world.leaves_out(name) and name in line.file.origins

    def _seal(self) -> None:
        """Note which lines have arrived for good: all before them have, and there was time to write that down."""
        if self._trouble:
            return
        arrived = [{each.text for each in self.peers[name].taken} for name in self.world.outputs]
        every = set.intersection(*arrived)
        early = self.timeline.elapsed - 2.0
        late = {each.text for peer in self.peers.values() for each in peer.taken if each.at > early}
        # a slow disk is written to less often: then only what it holds counts
        rows = None if self.schedule.seed is None else self._rows()
        for file in self.writer.files:
            for line in file.lines:
                if line.text not in every or line.text in late:
                    break
                if rows is not None and rows.get(file.inode, 0) < line.end:
                    break
                if not line.sealed and not self._is_unsure(line.text):
                    line.sealed = True

    def _is_unsure(self, text: str) -> bool:
        return any(text in peer.unsure for peer in self.peers.values())

    def _look_at_positions(self) -> None:
        """Check that no position is ahead of what is safe, where nothing but the peers and the letters makes it so."""
        if self.world.keeps:
            return
        rows = self._rows()
        if not rows:
            return
        arrived = [{each.text for each in self.peers[name].taken} for name in self.world.outputs]
        safe = set.intersection(*arrived)
        for peer in self.peers.values():
            safe |= {each.text for each in peer.taken} if peer.name in self.world.rescue else set()
        letters: Counter[str] | None = None
        for file in self.writer.files:
            for line in file.lines:
                if line.end > rows.get(file.inode, 0) or line.wanted != "must" or line.text in safe:
                    continue
                letters = self.letters() if letters is None else letters
                if line.text not in letters:
                    self.faults.append(f"the position of {file.names} is {rows[file.inode]}, past {line.text!r}")

    def _rows(self) -> dict[int, int]:
        """Return the offsets in the position file by inode; not those in what was cut off since."""
        path = self.disk.folder / "pos"
        rows = PositionFile(str(path)).load().positions if path.exists() else ()
        cut = {file.inode: file for file in self.writer.files if file.cut}
        return {row.inode: row.offset for row in rows if row.inode not in cut or self._is_of(row, cut[row.inode])}

    def _is_of(self, row: Position, file: File) -> bool:
        head = Head.parse(row.fingerprint)
        return head is not None and bool(file.name) and head.begins((self.writer.at / file.name).read_bytes())

    def diary(self) -> list[str]:
        """Return what happened, in order."""
        told = [(at, 0, f"* {what}") for at, what in self.events]
        told += [(at, 1, f"    {level}: {text}") for at, level, text in self.engine.said.lines]
        for name, peer in self.peers.items():
            told += [(at, 2, f"    {name} ({mood}) is given: {what}") for at, mood, what in peer.calls]
        told.sort(key=lambda each: each[0])
        return [f"{at - 1000:8.3f} {what.replace(PADDING, '')}" for at, _, what in told]


def carry_out(world: World, schedule: Schedule, place: Path) -> Outcome:
    """Carry a schedule out in a folder, which is emptied."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a crash leaves coroutines that have not begun
            return Trial(world, schedule, place).run()
    finally:
        gc.enable()
        gc.collect(0)
