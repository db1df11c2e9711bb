"""Where each event of a case went, counted beside the engine's own numbers."""

from __future__ import annotations

import asyncio
import gzip
import posixpath
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

from logpipe import Event
from logpipe.testing import Pipeline
from logpipe.testing.collector import Collector
from logpipe.testing.http_peer import HttpPeer
from tests.fuzz.community import DROPPING, JOINING, REPEATING
from tests.fuzz.place import Place
from tests.fuzz.tap import Tap, marks_in
from tests.services import topics

zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

FORWARDED: Final = "what was forwarded"
_MARK_BYTES: Final = re.compile(rb"zq\d{6}qz")


@dataclass
class Account:
    """What was put in, and where things came out."""

    place: Place
    lines: list[bytes] = field(default_factory=list)
    fed: list[Event] = field(default_factory=list)
    taps: list[tuple[str, str, Counter[str]]] = field(default_factory=list)
    printed: bytes = b""
    problems: list[str] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)
    bootstrap: str = ""
    """The brokers, where there were any."""
    sinks: dict[str, Counter[str]] = field(default_factory=dict)
    """How often each mark was found in each sink."""
    errors: Counter[str] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    """What the engine says it let go: unmatched, dropped …"""

    def add(self, running: Pipeline, problems: list[str]) -> None:
        """Take what a pipeline that has stopped leaves."""
        graph = running.graph
        for stage in graph.stages.outputs:
            if isinstance(stage.plugin, Collector) and stage.plugin.options.name != "witness":
                name = f"test {stage.plugin.options.name}"
                sink = self.sinks.setdefault(name, Counter())
                sink.update(mark for event in stage.plugin.events() for mark in marks_in(repr(event.record)))
        self.errors.update(mark for _, _, record, _ in running.errors for mark in marks_in(repr(record)))
        self.letters.update(mark for letter in running.dead_letters() for mark in marks_in(repr(letter)))
        self.counted["unmatched tags"] += sum(router.unmatched.value for router in graph.routers.values())
        for name in _LET_GO:
            self.counted[name] += int(running.metric(name))
        for stage in graph.stages.outputs:
            if stage.host.type_name == "null":
                self.counted["to null"] += int(stage.host.metrics.snapshot().get("taken_records", 0))
        self._count_stages(running)
        self.problems += problems

    def add_requests(self, server: HttpPeer) -> None:
        """Take what an HTTP server was sent, by the first part of the path, which is an output's."""
        for request in server.requests:
            sink = self.sinks.setdefault(f"requests to {request.path.split('/')[1]}", Counter())
            # a record may hold its mark in several fields, and nothing need stand between two records
            sink.update(mark.decode() for mark, _ in groupby(_MARK_BYTES.findall(request.body)))

    def add_forwarded(self, records: Iterable[Any]) -> None:
        """Take what the forward server was sent."""
        sink = self.sinks.setdefault(FORWARDED, Counter())
        sink.update(mark for record in records for mark in marks_in(repr(record)))

    async def read_topics(self) -> None:
        """Take what every topic holds."""
        for name in await asyncio.to_thread(topics.topic_names, self.bootstrap):
            messages = await asyncio.to_thread(topics.read_topic, self.bootstrap, name)
            marks = (mark for message in messages for mark in dict.fromkeys(_MARK_BYTES.findall(message.value or b"")))
            self.sinks[f"topic {name!r}"] = Counter(mark.decode() for mark in marks)

    def _count_stages(self, running: Pipeline) -> None:
        stages = running.graph.stages
        for stage in (*stages.inputs, *stages.filters, *stages.outputs):
            numbers = stage.host.metrics.snapshot()
            events = max(int(value) for value in (0, *(numbers.get(name, 0) for name in _EVENTS)))
            self.stages[f"{stage.host.kind} {stage.host.type_name}"] += events
            for section in stage.host.element.elements:
                if section.name in _SECTIONS:
                    self.stages[f"{_SECTIONS[section.name]} {section.type or 'none'}"] += events


_LET_GO: Final = (
    "unmatched_lines", "dropped_records", "discarded_records", "thrown_away_records", "skipped_lines", "cut_messages",
    "oversized_messages", "unfinished_messages", "invalid_records", "lost_records",
)  # fmt: skip
_EVENTS: Final = ("records", "taken_records", "passed_records", "emitted_records", "flushed_records")
_SECTIONS: Final = {"parse": "parser", "format": "formatter", "buffer": "buffer"}
_MAY_DROP: Final = DROPPING | {"grep", "parser"}


def judge(account: Account) -> list[str]:
    """Return what is wrong."""
    problems = [*account.problems, *_between_taps(account)]
    if account.problems:
        return problems  # what did not come to its end cannot be counted
    problems += _read_files(account)
    _read_printed(account)
    given = _given(account)
    seen: Counter[str] = Counter()
    # a record's field may name the topic, so that outputs share it
    several = sum(count for name, count in account.place.stages.items() if "kafka" in name)
    forwards = account.place.stages["output forward"]
    # what such a filter cannot parse goes to @ERROR and goes on, as in fluentd, and may fail once more
    reserved = account.place.used["filter parser.reserve_data"]
    for name, sink in account.sinks.items():
        most = several if name.startswith("topic") else forwards if name == FORWARDED else 1
        twice = [mark for mark, count in sink.items() if count > most + reserved]
        if twice and not any(account.place.stages[name] for name in REPEATING):
            problems.append(f"more than once in {name}: {twice[:5]}")
        unknown = [mark for mark in sink if mark not in given]
        if unknown:
            problems.append(f"in {name} and never written: {unknown[:5]}")
        seen.update(sink)
    missing = [mark for mark in given if mark not in seen and not account.errors[mark] and not account.letters[mark]]
    explained = sum(account.counted.values()) + sum(_dropped(account).values())
    if explained and any(account.place.stages[name] for name in JOINING):
        explained += len(given)  # one that is let go may hold many
    if len(missing) > explained:
        problems.append(
            f"{len(missing)} events are nowhere, {explained} explained {dict(+account.counted)}: {missing[:5]}"
        )
    return problems


def _given(account: Account) -> set[str]:
    lines = (mark for line in account.lines for mark in marks_in(line.decode("utf-8", "replace"))[:1])
    return {*lines, *(mark for event in account.fed for mark in marks_in(repr(event.record))[:1])}


def _between_taps(account: Account) -> Iterator[str]:
    """Compare what enters a filter with what leaves it: only a filter that may drop events does."""
    for (_, _, before), (_, behind, after) in _pairs(account.taps):
        if behind == "nothing" or behind in _MAY_DROP:
            continue
        lost = [mark for mark in before - after if not account.errors[mark]]
        if lost:
            yield f"lost in {behind}: {lost[:5]}"
        more = list(after - before)
        if more:
            yield f"made in {behind}: {more[:5]}"


def _dropped(account: Account) -> Counter[str]:
    dropped: Counter[str] = Counter()
    for (_, _, before), (_, behind, after) in _pairs(account.taps):
        if behind in _MAY_DROP:
            dropped[behind] += (before - after).total()
    return dropped


def _pairs(taps: list[tuple[str, str, Counter[str]]]) -> Iterable[tuple[Any, Any]]:
    return pairwise(taps)


def _read_files(account: Account) -> Iterator[str]:
    """Take what the files hold; yield what stands in a file of another name than its fields say."""
    for number, (pattern, tap) in enumerate(zip(account.place.paths, account.place.taps_before, strict=True)):
        folder = account.place.output / str(number)
        sink = account.sinks.setdefault(f"files of {number}, {pattern}", Counter())
        for path in folder.rglob("*"):
            if path.is_symlink() or not path.is_file():
                continue
            name = str(path.relative_to(folder))
            try:
                content = _content(path)
            except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
                yield f"{name!r} cannot be unpacked: {error}"
                continue
            # a record may hold its mark in several fields, and nothing need stand between two records
            marks = [mark.decode() for mark, _ in groupby(_MARK_BYTES.findall(content))]
            sink.update(marks)
            for mark in marks:
                expected = _beginning(pattern, *Tap.fields.get((tap, mark), (None, None)))
                if expected is not None and not name.startswith(expected):
                    yield f"{mark} is in {name!r}, and belongs into {expected!r}…"


def _beginning(pattern: str, k: object, a: object) -> str | None:
    """Return how the name of an event's file begins; None where its fields are too odd to say it here."""
    known, *_ = re.split(r"\$\{tag|%|\*", pattern)
    texts = {"${k}": _text(k), "${a}": _text(a)}
    if any(text is None and name in known for name, text in texts.items()):
        return None
    for name, text in texts.items():
        known = known.replace(name, text or "")
    return posixpath.normpath(known).lstrip("/") if known else None


def _text(value: object) -> str | None:
    """Return what Ruby's to_s makes of a plain value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and 0.1 <= abs(value) < 1e9:
        return str(value)
    return value if isinstance(value, str) and re.fullmatch("[a-z0-9 ]{1,40}", value) else None


def _content(path: Path) -> bytes:
    """Return what a file holds, unpacked.

    Raises:
        OSError, EOFError, zlib.error, zstd.ZstdError: it is compressed, and damaged.
    """
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    return zstd.decompress(content) if content.startswith(b"\x28\xb5\x2f\xfd") else content


def _read_printed(account: Account) -> None:
    # not every format ends with a newline
    marks = [mark.decode() for mark in _MARK_BYTES.findall(account.printed)]
    account.sinks["stdout"] = Counter(dict.fromkeys(marks, 1))
