"""Bounds how many events of a group pass. Settings and rules: fluent-plugin-throttle 0.0.5, filter_throttle.rb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from logpipe import EventBatch, Filter, FilterHost, InvalidSetting, Options, Record, param
from logpipe.net import Seldom
from logpipe_community.identity import identity_of

MOST_GROUPS: Final = 100_000
"""Groups that are counted; the longest silent begins anew when there are more."""


class ThrottleOptions(Options):
    """Settings of `<filter> @type throttle`."""

    group_key: list[str] = param(
        "Fields whose values make a group, nested ones with dots between the names.",
        default="kubernetes.container_name",
    )
    group_bucket_period_s: int = param("Seconds of a period.", default=60)
    group_bucket_limit: int = param("Events of a group that pass in a period.", default=6000)
    group_drop_logs: bool = param("Drop what is more; false only warns of it.", default=True)
    group_reset_rate_s: int | None = param(
        "Events per second below which a group that had too many may pass again, in the next period; -1 does not look "
        "at the rate. Without it, the limit per second.",
        default=None,
    )
    group_warning_delay_s: int = param("Seconds between two warnings of a group.", default=10)

    @property
    def rate_limit(self) -> int:
        """The limit per second."""
        return self.group_bucket_limit // self.group_bucket_period_s

    @property
    def reset_rate(self) -> int:
        """The rate below which a group may pass again."""
        return self.rate_limit if self.group_reset_rate_s is None else self.group_reset_rate_s

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield numbers that the original refuses."""
        if self.group_bucket_period_s <= 0:
            yield InvalidSetting("group_bucket_period_s must be > 0", param="group_bucket_period_s")
            return
        if self.group_bucket_limit <= 0:
            yield InvalidSetting("group_bucket_limit must be > 0", param="group_bucket_limit")
        if self.reset_rate < -1:
            yield InvalidSetting("group_reset_rate_s must be >= -1", param="group_reset_rate_s")
        if self.reset_rate > self.rate_limit:
            most = f"group_bucket_limit / group_bucket_period_s, {self.rate_limit}"
            yield InvalidSetting(f"group_reset_rate_s must be <= {most}", param="group_reset_rate_s")
        if self.group_warning_delay_s < 1:
            yield InvalidSetting("group_warning_delay_s must be >= 1", param="group_warning_delay_s")


class _Group:
    """What is counted of one group; times are seconds since the epoch."""

    __slots__ = ("count", "is_over", "period", "rate", "rate_count", "rate_since", "warned")

    def __init__(self, now: float) -> None:
        self.rate = 0
        self.rate_count = 0
        self.rate_since = now
        self.count = 0
        self.is_over = False
        self.period = now
        self.warned: float | None = None

    def arrive(self, now: float) -> None:
        """Count an event for the rate, which is found anew every second."""
        self.rate_count += 1
        if (passed := now - self.rate_since) >= 1:
            self.rate, self.rate_count, self.rate_since = round(self.rate_count / passed), 0, now


class Throttle(Filter[ThrottleOptions], type="throttle"):
    """Drops what a group has more than `group_bucket_limit` of in a period, until its rate has come down."""

    def __init__(self, options: ThrottleOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._paths = [key.split(".") for key in options.group_key]
        self._warning = Seldom(host.log.warning, host.clock.monotonic, "groups")
        self._info = Seldom(host.log.info, host.clock.monotonic, "groups")
        self._groups: dict[tuple[str, ...], _Group] = {}

    def process(self, batch: EventBatch) -> EventBatch:
        """Return the events that may pass."""
        now = self.host.clock.now() / 1e9
        passes = [self._passes(self._name(record), now) for record in batch.records]
        self._forget(now)
        return batch.keep(passes) if self.options.group_drop_logs else batch

    def _name(self, record: Record) -> tuple[str, ...]:
        return tuple(identity_of(_dig(record, path)) for path in self._paths)

    def _passes(self, name: tuple[str, ...], now: float) -> bool:
        group = self._groups.pop(name, None) or _Group(now)
        self._groups[name] = group  # the last one used is the last one
        group.arrive(now)
        seconds = self.options.group_bucket_period_s
        if now // seconds > group.period // seconds:
            if group.is_over and self.options.reset_rate != -1:
                if group.rate >= self.options.reset_rate:
                    self._warn(name, group, now)
                    return False
                self._info("rate back down: %s", self._said(name, group, now))
            group.count, group.is_over, group.period = 0, False, now
        elif group.is_over:
            self._warn(name, group, now)
            return False
        group.count += 1
        if group.count > self.options.group_bucket_limit:
            self._warn(name, group, now)
            group.is_over = True
            return False
        return True

    def _forget(self, now: float) -> None:
        """Forget groups that are silent for two periods, and what is too much."""
        before = now - 2 * self.options.group_bucket_period_s
        while self._groups:
            name, group = next(iter(self._groups.items()))
            if group.rate_since >= before and len(self._groups) <= MOST_GROUPS:
                return
            del self._groups[name]

    def _warn(self, name: tuple[str, ...], group: _Group, now: float) -> None:
        if group.warned is None or now - group.warned >= self.options.group_warning_delay_s:
            group.warned = now
            self._warning("rate exceeded: %s", self._said(name, group, now))

    def _said(self, name: tuple[str, ...], group: _Group, now: float) -> dict[str, Any]:
        options = self.options
        passed = now - group.period
        rate = round(group.count / passed) if passed > 0 else group.count
        return {
            "group_key": [*name],
            "rate_s": max(rate, group.rate),
            "period_s": options.group_bucket_period_s,
            "limit": options.group_bucket_limit,
            "rate_limit_s": options.rate_limit,
            "reset_rate_s": options.reset_rate,
        }


def _dig(record: Record, path: list[str]) -> Any:
    value: Any = record
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
