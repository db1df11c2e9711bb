"""How fast files may be read: `read_bytes_limit_per_second` and `<group>`. Behaviour from in_tail/group_watch.rb."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

from logpipe import Host
from logpipe.builtin.in_tail.options import GroupOptions, RuleOptions, TailOptions
from logpipe.builtin.in_tail.trail import Trail
from logpipe.ruby import group_names

FEWEST_BYTES: Final = 8192


@dataclass(slots=True)
class _Window:
    """What was read since a time."""

    length: float
    since: float
    count: int = 0

    def pause(self, limit: int, now: float) -> float:
        """Return how long to wait before more may be read, 0.0 where some may be read now."""
        if now - self.since >= self.length:
            self.since, self.count = now, 0
        return self.since + self.length - now if self.count >= limit else 0.0


@dataclass(slots=True, weakref_slot=True)
class _Group:
    """The files that share a rule's limit."""

    rule: RuleOptions
    members: WeakSet[Trail] = field(default_factory=WeakSet)

    @property
    def share(self) -> int:
        """Lines that each file may have."""
        return self.rule.limit // max(1, len(self.members))


class Throttle:
    """Limits per file and, where `<group>` says so, per group of files."""

    def __init__(self, options: TailOptions, host: Host) -> None:
        self._clock = host.clock
        limit = int(options.read_bytes_limit_per_second)
        self._bytes = max(limit, FEWEST_BYTES) if limit > 0 else None
        self._group = options.group
        self._groups = [] if options.group is None else _groups(options.group)
        self._byte_windows: WeakKeyDictionary[Trail, _Window] = WeakKeyDictionary()
        self._line_windows: WeakKeyDictionary[Trail, tuple[_Group | None, _Window]] = WeakKeyDictionary()
        self._throttled = host.counter("throttled_log_count", "Times that reading a file had to wait for its limit.")

    @property
    def active(self) -> bool:
        """Whether there is any limit."""
        return self._bytes is not None or bool(self._groups)

    def join(self, trail: Trail) -> None:
        """Count a file among those of its group, before any of them is read."""
        self._line_window(trail)

    def pause(self, trail: Trail) -> float:
        """Return how long a file has to wait before more may be read of it, 0.0 where some may be read now."""
        now = self._clock.monotonic()
        pause = 0.0
        if self._bytes is not None:
            pause = self._byte_window(trail).pause(self._bytes, now)
        group, window = self._line_window(trail)
        if group is not None:
            pause = max(pause, window.pause(group.share, now))
        if pause:
            self._throttled.add(1)
        return pause

    def bytes_left(self, trail: Trail, most: int) -> int:
        """Return how many bytes may be read of a file now, at most `most`."""
        if self._bytes is None:
            return most
        return max(1, min(most, self._bytes - self._byte_window(trail).count))

    def lines_left(self, trail: Trail) -> int | None:
        """Return how many lines may be read of a file now; None is no limit."""
        group, window = self._line_window(trail)
        return None if group is None else max(0, group.share - window.count)

    def spend_bytes(self, trail: Trail, count: int) -> None:
        """Count bytes that were read of a file."""
        if self._bytes is not None:
            self._byte_window(trail).count += count

    def spend_lines(self, trail: Trail, count: int) -> None:
        """Count lines of a file whose events were accepted."""
        self._line_window(trail)[1].count += count

    def _byte_window(self, trail: Trail) -> _Window:
        return self._byte_windows.setdefault(trail, _Window(1.0, self._clock.monotonic()))

    def _line_window(self, trail: Trail) -> tuple[_Group | None, _Window]:
        known = self._line_windows.get(trail)
        if known is None:
            period = float(self._group.rate_period) if self._group is not None else 1.0
            known = self._line_windows[trail] = (self._find_group(trail), _Window(period, self._clock.monotonic()))
        return known

    def _find_group(self, trail: Trail) -> _Group | None:
        """Return the group that limits a file; None where no rule does."""
        if self._group is None:
            return None
        found = self._group.pattern.search(trail.name)
        names = {} if found is None else {shown: found[name] or "" for name, shown in group_names(found.re).items()}
        for group in self._groups:
            wanted = group.rule.match.items()
            if found is not None and all(regexp.search(names.get(name, "")) for name, regexp in wanted):
                group.members.add(trail)
                return group if group.rule.limit >= 0 else None
        return None


def _groups(options: GroupOptions) -> list[_Group]:
    """Return the rules as groups, those that name more of the pattern's groups first."""
    return [_Group(rule) for rule in sorted(options.rule, key=lambda rule: -len(rule.match))]
