"""Gives events new tags by patterns on their fields. Settings and rules: fluent-plugin-rewrite-tag-filter 2.4.0.

`rewriterule1 KEY PATTERN TAG` … are those of 1.6, which 2.0 has dropped.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar, Final, Literal, TypeAlias

from logpipe import (
    EventBatch,
    InvalidSetting,
    LogpipeError,
    Options,
    Output,
    OutputHost,
    Record,
    RetryingSender,
    param,
    section,
)
from logpipe.builtin.condition import Condition
from logpipe.builtin.new_tags import ways_of
from logpipe.ruby import ExpressionError, RecordAccessor, TimeLimit, TimeLimitExceeded, compile_regexp, to_s
from logpipe.tree import Element, Way, problem_of_tag

Target: TypeAlias = tuple[str, str]
"""A label, "" for the output's own, and a tag."""
Fill: TypeAlias = Callable[[re.Match[str] | None], str]
"""Returns the new tag from the match of a rule's pattern."""
Emit: TypeAlias = Callable[[EventBatch], Awaitable[None]]

_MOST_TAGS: Final = 4096
"""The number of tags whose filled rules are cached."""
_OLD: Final = re.compile(r"(\S+)\s+(.+?)\s+(\S+)")
_PLACEHOLDER: Final = re.compile(r"\$\d+|\$\{[a-z_]+(?:\[[0-9]+\])?\}|__[A-Z_]+(?:\[[0-9]+\])?__")
_PARTS_RANGE: Final = re.compile(r"\$\{tag_parts\[\d\.\.\.?\d\]\}|__TAG_PARTS\[\d\.\.\.?\d\]__")
_HOSTNAMES: Final[dict[str, Callable[[str], str]]] = {
    "hostname": lambda name: name,
    "hostname -s": lambda name: name.partition(".")[0],
    "hostname -f": lambda _: socket.getfqdn(),
    "hostname --short": lambda name: name.partition(".")[0],
    "hostname --fqdn": lambda _: socket.getfqdn(),
}


class RewriteRule(Condition):
    """Settings of `<rule>`."""

    tag: str = param(
        "The new tag; may contain `$1`, a group of the match, `${tag}`, `${tag_parts[0]}` and `${hostname}`."
    )
    label: str | None = param("The label that the event goes to.", default=None)
    invert: bool = param("Whether the rule applies to events that the pattern does not match.", default=False)


class RewriteTagFilterOptions(Options):
    """Settings of `<match> @type rewrite_tag_filter`."""

    _extra: ClassVar = re.compile(r"rewriterule\d+")

    capitalize_regex_backreference: bool = param("Whether `$1` … are capitalized: maps to Maps.", default=False)
    remove_tag_prefix: str | None = param("Prefix to remove from `${tag}` and `${tag_parts[n]}`.", default=None)
    remove_tag_regexp: re.Pattern[str] | None = param(
        "Ruby regular expression of the parts to remove from `${tag}` and `${tag_parts[n]}`.", default=None
    )
    hostname_command: str = param(
        "The value of `${hostname}`: `hostname`, `hostname -s` or `hostname -f`. No command is run.", default="hostname"
    )
    emit_mode: Literal["record", "batch"] = param(
        "Whether the events of a batch are sorted by their new tags (batch), or keep their order (record).",
        default="batch",
    )
    rule: list[RewriteRule] = section(
        "A rule; the first one that applies gives the tag, and events without one are dropped. 1.6 wrote "
        "`rewriterule1 KEY PATTERN TAG`, with `!` before a pattern that must not match.",
        many=True,
    )

    @property
    def rules(self) -> list[RewriteRule]:
        """The rules in order: those in sections, then the numbered ones.

        Raises:
            InvalidSetting: one of them cannot be read.
        """
        numbered = sorted(self.extra, key=lambda name: int(name.removeprefix("rewriterule")))
        return [*self.rule, *(_numbered(name, self.extra[name]) for name in numbered)]

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield missing, repeated and unsupported settings."""
        try:
            rules = self.rules
        except InvalidSetting as problem:
            yield problem
            return
        if not rules:
            yield "no rule: add a <rule> with key, pattern and tag"
        seen: set[tuple[str, str, int, bool]] = set()
        for rule in rules:
            same = (rule.key, rule.pattern.pattern, rule.pattern.flags, rule.invert)
            if same in seen:
                yield f'the rule for "{rule.key}" is written twice: remove one'
            seen.add(same)
        if self.remove_tag_prefix is not None and self.remove_tag_regexp is not None:
            yield InvalidSetting(
                "remove_tag_prefix and remove_tag_regexp exclude one another: remove one", param="remove_tag_prefix"
            )
        if " ".join(self.hostname_command.split()) not in _HOSTNAMES:
            known = ", ".join(list(_HOSTNAMES)[:3])
            yield InvalidSetting(
                f"hostname_command {self.hostname_command!r} is not run: write one of {known}, or write the name into "
                "the tags",
                param="hostname_command",
            )


def _numbered(name: str, text: str) -> RewriteRule:
    """Read a `rewriteruleN`, as 1.6 did."""
    found = _OLD.fullmatch(text.strip())
    if found is None:
        raise InvalidSetting(f"{name} needs three words: write {name} KEY PATTERN TAG", param=name)
    key, pattern, tag = found.groups()
    invert = pattern.startswith("!")
    if len(pattern) > 1 and pattern.startswith('"') and pattern.endswith('"'):
        pattern = pattern[1:-1]
    try:
        rule = RewriteRule(key=key, pattern=compile_regexp(pattern.removeprefix("!")), tag=tag, invert=invert)
    except ExpressionError as problem:
        raise InvalidSetting(f"{name}: {problem}", param=name) from None
    for complaint in rule.check():
        raise InvalidSetting(f"{name}: {complaint}", param=name)
    return rule


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule with its placeholders filled for one tag."""

    get: Callable[[Record], object]
    search: Callable[[str], re.Match[str] | None]
    invert: bool
    label: str
    fill: Fill


class RewriteTagFilter(Output[RewriteTagFilterOptions], type="rewrite_tag_filter"):
    """Emits events again with the tag of the first rule that applies.

    Events without such a rule, and those that would keep tag and label, are dropped, as in fluentd.
    """

    passes_to = "route"
    keeps_tag = False

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return the way of each rule."""
        return ways_of(element)

    def __init__(self, options: RewriteTagFilterOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._rules = options.rules
        for rule in self._rules:
            if _PARTS_RANGE.search(rule.tag):
                # compat: out_rewrite_tag_filter.rb is meant to refuse it, but accepts it
                hint = "write ${tag_parts[0]}.${tag_parts[1]}"
                host.log.warning("tag %s: a range of tag_parts stays as it is written; %s", rule.tag, hint)
        self._hostname = _HOSTNAMES[" ".join(options.hostname_command.split())](host.hostname)
        self._removed = options.remove_tag_regexp
        if options.remove_tag_prefix is not None:
            self._removed = re.compile(rf"^{re.escape(options.remove_tag_prefix)}\.?", re.MULTILINE)
        self._emits: dict[str, Emit] = {"": host.emit}
        self._emits |= {rule.label: self._emitter(rule.label) for rule in self._rules if rule.label}
        self._later = {
            label: RetryingSender(emit, host, label or "an output behind it") for label, emit in self._emits.items()
        }
        self._split = _in_order if options.emit_mode == "record" else _by_target
        self._filled = lru_cache(_MOST_TAGS)(self._fill)
        self._unknown: set[str] = set()
        self._limit = TimeLimit()

    async def process(self, batch: EventBatch) -> None:
        """Emit the events of a batch under their new tags.

        Raises:
            Exception: a later output's, if no other has events of the batch, or if its source does not send it again.
        """
        rules = self._filled(batch.tag)
        found: list[Target | Exception | None]
        try:
            found = self._limit.map(partial(_target, rules), batch.records, instead=_as_result)
        except Exception:  # noqa: BLE001 - each record is then tested by itself
            found = self._limit.map(partial(_target_or_error, rules), batch.records, instead=_as_result)
        stays = ("", batch.tag)
        refused = {target: error for target in {*found} if (error := _refusal(target)) is not None}
        targets = [None if target == stays or isinstance(target, Exception) else target for target in found]
        places = [place for place, target in enumerate(found) if target in refused] if refused else []
        for place in places:
            targets[place] = None
            time, record = batch.times[place], batch.records[place]
            self.host.emit_error(batch.tag, time, record, refused[found[place]], receipt=batch.receipt)
        self.host.dropped(targets.count(None) - len(places))
        taken = bool(places)
        for (label, _), part in self._split(batch, targets):
            if taken:
                await self._later[label].send(part)
            else:
                await self._emits[label](part)
            taken = True

    def _emitter(self, label: str) -> Emit:
        """Return the function that emits into a label; for an undefined label, one that emits to `@ERROR`."""
        try:
            return self.host.emitter(label)
        except InvalidSetting as problem:
            # compat: out_rewrite_tag_filter.rb looks up a label, and fails, only when it emits an event to it
            self.host.log.warning("%s; events for it go to @ERROR", problem)
            error = LogpipeError(str(problem))

        async def refuse(batch: EventBatch) -> None:
            for time, record in zip(batch.times, batch.records, strict=True):
                self.host.emit_error(batch.tag, time, record, error, receipt=batch.receipt)

        return refuse

    def _fill(self, tag: str) -> list[_Rule]:
        """Return the rules with all placeholders filled that depend on the tag only."""
        values = self._values(tag)
        return [
            _Rule(
                RecordAccessor(rule.key).get,
                rule.pattern.search,
                rule.invert,
                rule.label or "",
                self._filler(rule, values),
            )
            for rule in self._rules
        ]

    def _values(self, tag: str) -> dict[str, str]:
        if self._removed is not None:
            tag = self._removed.sub("", tag, count=1)
        values = {"${tag}": tag, "__TAG__": tag, "${hostname}": self._hostname, "__HOSTNAME__": self._hostname}
        for place, part in enumerate(tag.rstrip(".").split(".")):
            # fluent-plugin-rewrite-tag-filter documents __TAG_PARTS[n]__, but its pattern never matches it
            values[f"${{tag_parts[{place}]}}"] = values[f"__TAG_PARTS[{place}]__"] = part
        return values

    def _filler(self, rule: RewriteRule, values: dict[str, str]) -> Fill:
        """Return the function for a rule's tag, made of texts and the numbers of the groups between them."""
        pieces: list[str | int] = []
        end = 0
        for found in _PLACEHOLDER.finditer(rule.tag):
            pieces.append(rule.tag[end : found.start()])
            end = found.end()
            name = found[0]
            if name[1:].isdigit():
                # compat: out_rewrite_tag_filter.rb leaves $1 in the tag of an inverted rule
                pieces.append(name if rule.invert else int(name[1:]))
                continue
            if name not in values and name not in self._unknown:
                self._unknown.add(name)
                self.host.log.warning("unknown placeholder %s in tag %s is replaced by nothing", name, rule.tag)
            pieces.append(values.get(name, ""))
        pieces.append(rule.tag[end:])
        groups = rule.pattern.groups
        known = [piece for piece in pieces if isinstance(piece, str) or 0 < piece <= groups]
        if all(isinstance(piece, str) for piece in known):
            text = "".join(map(str, known))
            return lambda _: text
        change = str.capitalize if self.options.capitalize_regex_backreference else str
        return lambda match: "".join(
            piece if isinstance(piece, str) else change(match[piece] or "") if match is not None else ""
            for piece in known
        )


def _target(rules: list[_Rule], record: Record) -> Target | None:
    """Return the target of the first rule that applies to a record, None where none does."""
    for rule in rules:
        value = rule.get(record)
        text = value if type(value) is str else to_s(value)
        if not text.isascii():
            text = _valid(text)
        if not text and not rule.invert:
            continue
        found = rule.search(text)
        if (found is None) == rule.invert:
            return rule.label, rule.fill(found)
    return None


def _target_or_error(rules: list[_Rule], record: Record) -> Target | Exception | None:
    try:
        return _target(rules, record)
    except TimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch
        return error


def _as_result(_place: int, error: TimeLimitExceeded) -> Target | Exception | None:
    return error


def _refusal(target: Target | Exception | None) -> Exception | None:
    """Return why an event goes to `@ERROR`: a failure, or an invalid tag."""
    if target is None or isinstance(target, Exception):
        return target
    return problem_of_tag(target[1])


def _valid(text: str) -> str:
    """Return a text with question marks for invalid bytes, for use in a tag."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\ufffd", "?")
    return text


def _by_target(batch: EventBatch, targets: list[Target | None]) -> Iterator[tuple[Target, EventBatch]]:
    """Yield a batch for each target, in order of first occurrence."""
    parts: dict[Target, EventBatch] = {}
    for target, time, record in zip(targets, batch.times, batch.records, strict=True):
        if target is not None:
            part = parts.get(target)
            if part is None:
                part = parts[target] = EventBatch(target[1], [], [], batch.receipt)
            part.times.append(time)
            part.records.append(record)
    yield from parts.items()


def _in_order(batch: EventBatch, targets: list[Target | None]) -> Iterator[tuple[Target, EventBatch]]:
    """Yield the events in their order, adjacent ones with the same target together."""
    last: Target | None = None
    part = EventBatch(batch.tag, [], [], batch.receipt)
    for target, time, record in zip(targets, batch.times, batch.records, strict=True):
        if target is None:
            continue
        if target != last:
            if last is not None:
                yield last, part
            last, part = target, EventBatch(target[1], [], [], batch.receipt)
        part.times.append(time)
        part.records.append(record)
    if last is not None:
        yield last, part
