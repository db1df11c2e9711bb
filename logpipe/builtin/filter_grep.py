"""Keeps or drops events by patterns on their fields. Settings and rules: fluentd's plugin/filter_grep.rb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import reduce
from typing import ClassVar, Final, TypeAlias

from logpipe import EventBatch, Filter, FilterHost, InvalidSetting, Options, Record, section
from logpipe.builtin.condition import Condition
from logpipe.ruby import ExpressionError, RecordAccessor, TimeLimit, TimeLimitExceeded, compile_regexp, to_s

Test: TypeAlias = Callable[[Record], bool]
"""Returns whether a record meets a condition."""

_MAX: Final = 20


class ConditionGroup(Options):
    """Conditions that are combined."""

    regexp: list[Condition] = section("Conditions that keep an event.", many=True)
    exclude: list[Condition] = section("Conditions that drop an event.", many=True)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield an error for a group of both kinds, and for repeated fields."""
        if self.regexp and self.exclude:
            yield "do not specify both <regexp> and <exclude> in one group: write two groups"
        yield from _repeated_keys([*self.regexp, *self.exclude])


class GrepOptions(Options):
    """Settings of `<filter> @type grep`."""

    _extra: ClassVar = re.compile(r"(?:regexp|exclude)(?:[1-9]|1\d|20)")

    regexp: list[Condition] = section(
        "Conditions that an event must meet, all of them. 0.12 wrote `regexp1 KEY PATTERN` … `regexp20 KEY PATTERN`.",
        many=True,
    )
    exclude: list[Condition] = section(
        "Conditions of which an event must meet none. 0.12 wrote `exclude1 KEY PATTERN` … `exclude20 KEY PATTERN`.",
        many=True,
    )
    and_: list[ConditionGroup] = section(
        "A group: an event must meet all of its `<regexp>`s, or fail one of its `<exclude>`s.", name="and", many=True
    )
    or_: list[ConditionGroup] = section(
        "A group: an event must meet one of its `<regexp>`s, or none of its `<exclude>`s.", name="or", many=True
    )

    def numbered(self, word: str) -> Iterator[Condition]:
        """Yield 0.12's conditions of one word, `regexp` or `exclude`, by their number.

        Raises:
            InvalidSetting: one of them cannot be read.
        """
        for number in range(1, _MAX + 1):
            name = f"{word}{number}"
            if name in self.extra:
                yield _numbered(name, self.extra[name])

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield conditions that cannot be read, and fields repeated within a group."""
        try:
            regexps = [*self.numbered("regexp"), *self.regexp]
            excludes = [*self.numbered("exclude"), *self.exclude]
        except InvalidSetting as problem:
            yield problem
            return
        # compat: filter_grep.rb keeps one table for the top and <and>, or <or>, of each kind
        yield from _repeated_keys(regexps + [each for group in self.and_ for each in group.regexp])
        yield from _repeated_keys(excludes + [each for group in self.or_ for each in group.exclude])
        yield from _repeated_keys([each for group in self.or_ for each in group.regexp])
        yield from _repeated_keys([each for group in self.and_ for each in group.exclude])


class Grep(Filter[GrepOptions], type="grep"):
    """Drops events by regular expressions on their fields.

    A missing field is matched as an empty text, other values as by Ruby's `to_s`. An event on which a test raises an
    error passes, with a warning, as in fluentd.
    """

    def __init__(self, options: GrepOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._keeps = _fold(_both, list(_tests(options)))
        self._limit = TimeLimit()

    def process(self, batch: EventBatch) -> EventBatch:
        """Return the events to be kept; one on which a pattern takes too long goes to `@ERROR`."""
        given_up: dict[int, TimeLimitExceeded] = {}

        def give_up(place: int, error: TimeLimitExceeded) -> bool:
            given_up[place] = error
            return False

        try:
            mask = self._limit.map(self._keeps, batch.records, instead=give_up)
        except Exception:  # noqa: BLE001 - each record is then tested by itself
            given_up.clear()
            mask = self._limit.map(self._keeps_safely, batch.records, instead=give_up)
        for place, error in given_up.items():
            self.host.emit_error(batch.tag, batch.times[place], batch.records[place], error, receipt=batch.receipt)
        return batch.keep(mask, errors=len(given_up))

    def _keeps_safely(self, record: Record) -> bool:
        try:
            return self._keeps(record)
        except (TimeLimitExceeded, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - compat: filter_grep.rb lets such an event pass
            self.host.log.warning("failed to grep events, the event passes: %r", error)
            return True


def _numbered(name: str, text: str) -> Condition:
    key, space, pattern = text.partition(" ")
    if not space:
        raise InvalidSetting(f"{name} does not contain 2 parameters: write {name} KEY PATTERN", param=name)
    try:
        RecordAccessor(key)
    except ExpressionError as problem:
        raise InvalidSetting(str(problem), param=name) from None
    try:
        return Condition(key=key, pattern=compile_regexp(pattern))
    except ExpressionError as problem:
        raise InvalidSetting(str(problem), param=name, offset=len(key) + 1 + (problem.offset or 0)) from None


def _repeated_keys(conditions: list[Condition]) -> Iterator[str]:
    seen: set[str] = set()
    for condition in conditions:
        if condition.key in seen:
            yield f'duplicate key "{condition.key}": join its patterns with | or use groups'
        seen.add(condition.key)


def _tests(options: GrepOptions) -> Iterator[Test]:
    """Yield the tests that an event must all pass."""
    all_regexps = [*options.numbered("regexp"), *options.regexp]
    all_regexps += [condition for group in options.and_ for condition in group.regexp]
    no_excludes = [*options.numbered("exclude"), *options.exclude]
    no_excludes += [condition for group in options.or_ for condition in group.exclude]
    some_regexps = [condition for group in options.or_ for condition in group.regexp]
    not_all_excludes = [condition for group in options.and_ for condition in group.exclude]
    yield from map(_matches, all_regexps)
    yield from (_not(_matches(condition)) for condition in no_excludes)
    if some_regexps:
        yield _fold(_either, list(map(_matches, some_regexps)))
    if not_all_excludes:
        yield _not(_fold(_both, list(map(_matches, not_all_excludes))))


def _matches(condition: Condition) -> Test:
    accessor, search = RecordAccessor(condition.key), condition.pattern.search
    get = accessor.get

    def matches(record: Record) -> bool:
        value = get(record)
        if value is None:
            value = accessor.dig(
                record
            )  # compat: record_accessor.rb fails where a step is applied to neither a hash nor an array
        return search(value if type(value) is str else to_s(value)) is not None

    return matches


def _fold(join: Callable[[Test, Test], Test], tests: list[Test]) -> Test:
    """Return many tests as one; without tests it is always true."""
    return reduce(join, tests) if tests else lambda _: True


def _not(test: Test) -> Test:
    return lambda record: not test(record)


def _both(first: Test, second: Test) -> Test:
    return lambda record: first(record) and second(record)


def _either(first: Test, second: Test) -> Test:
    return lambda record: first(record) or second(record)
