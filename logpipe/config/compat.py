"""Moves fluentd 0.12's parameters, which stood flat in a plugin's section, into today's sub-sections.

The mapping is that of fluentd's plugin_helper/compat_parameters.rb.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from logpipe.config.diagnostic import Position, Report, error, warning
from logpipe.config.element import Element, Param
from logpipe.config.json_text import dump_json
from logpipe.config.values import convert_bool

Group: TypeAlias = Literal["buffer", "parser", "formatter", "inject", "extract"]
"""A group of fluentd 0.12's flat parameters that today stand in a section of their own."""

_ENGINE: Final[Mapping[str, str]] = {"type": "@type", "id": "@id", "log_level": "@log_level"}
NONE_OWN: Final[Mapping[str, Mapping[str, str]]] = {}
_TYPED: Final = frozenset({"source", "filter", "match"})

_BUFFER: Final[Mapping[str, str]] = {
    "buffer_type": "@type",
    "buffer_path": "path",
    "num_threads": "flush_thread_count",
    "flush_interval": "flush_interval",
    "try_flush_interval": "flush_thread_interval",
    "queued_chunk_flush_interval": "flush_thread_burst_interval",
    "disable_retry_limit": "retry_forever",
    "retry_limit": "retry_max_times",
    "max_retry_wait": "retry_max_interval",
    "buffer_chunk_limit": "chunk_limit_size",
    "buffer_queue_limit": "queue_limit_length",
    "buffer_queue_full_action": "overflow_action",
    "flush_at_shutdown": "flush_at_shutdown",
    "time_slice_wait": "timekey_wait",
    "timezone": "timekey_zone",
}


def _same(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


_PARSER: Final = _same(
    "keys time_key time_format delimiter keep_time_key null_empty_string null_value_pattern json_parser"
    " label_delimiter format_firstline message_key with_priority message_format rfc5424_time_format"
)
_INJECT: Final = _same("time_key time_format timezone tag_key")
_FORMATTER: Final = {
    "format": "@type",
    **_same(
        "delimiter force_quotes keys fields json_parser label_delimiter output_time output_tag localtime utc timezone"
        " message_key add_newline output_type"
    ),
}

_MULTILINE: Final = re.compile(r"format(?:[1-9]|1[0-9]|20)")
_TIMEKEYS: Final = (("%S", "1"), ("%M", "60"), ("%H", "3600"), ("%d", "86400"))


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One parameter of 0.12 that now stands elsewhere: `old` flat, `new` as `@type` or `<buffer> path`."""

    old: str
    new: str
    position: Position

    def __str__(self) -> str:
        return f"{self.position}: {self.old} is read as {self.new}"


def convert(
    element: Element,
    groups: Collection[Group],
    *,
    report: Report | None = None,
    keep: Collection[str] = (),
    default_chunk_key: str = "",
    own: Mapping[str, Mapping[str, str]] = NONE_OWN,
    of_parser: Callable[[str], Collection[str]] = lambda _type: (),
) -> list[Rewrite]:
    """Move 0.12's flat parameters of a plugin's section into today's sub-sections; return what was moved.

    A sub-section that the user wrote is left alone, and so are the flat parameters that would belong into it. Moved
    parameters keep their place in the file.

    Args:
        element: the section; it is changed.
        groups: the groups whose flat parameters the plugin accepts.
        report: receives what cannot be converted.
        keep: names that the plugin itself reads flat; they are copied, not moved.
        default_chunk_key: the chunk key of a `<buffer>` made here; `time` for outputs that cut by time.
        own: flat parameters of this plugin alone, by the sub-section and the names that they have there.
        of_parser: gives the parameters and sections that a type of parser has flat, beside those of all parsers.
    """
    flat = _Flat(element, report or (lambda _diagnostic: None), keep, of_parser)
    for old, new in _ENGINE.items():
        if flat.has(old) and new not in element.params:
            flat.move(element, old, new)
    for title, mapping in own.items():
        if not any(element.sections(title)) and any(flat.has(each) for each in mapping):
            made = Element(title, position=element.position, arg_position=element.position)
            flat.move_all(made, mapping)
            element.elements.append(made)
    for group, (name, triggers, fill) in _GROUPS.items():
        kept = keep if group == "parser" else ()  # they alone do not say how to parse
        is_written = any(flat.has(each) for each in triggers if each not in kept)
        if group in groups and not any(element.sections(name)) and is_written:
            section = Element(name, position=element.position, arg_position=element.position)
            fill(flat, section)
            element.elements.append(section)
            if group == "buffer" and not section.arg:
                _slice_by_default(section, default_chunk_key)
    if "parser" in groups:
        _move_multiline(flat)
    if "buffer" in groups:
        _report_lost(flat, keep)
    flat.remove(keep)
    return flat.rewrites


class _Flat:
    """The flat parameters that the user wrote, and where each was moved."""

    def __init__(
        self, element: Element, report: Report, keep: Collection[str], of_parser: Callable[[str], Collection[str]]
    ) -> None:
        self.element = element
        self.of_parser = of_parser
        self.keep = keep
        self.report = report
        self.rewrites: list[Rewrite] = []
        self._params = dict(element.params)
        self._done: set[str] = set()

    def has(self, name: str) -> bool:
        return name in self._params

    def names(self) -> list[str]:
        return list(self._params)

    def text(self, name: str) -> str:
        param = self._params.get(name)
        return param.value if param is not None and isinstance(param.value, str) else ""

    def true(self, name: str) -> bool:
        return self.has(name) and bool(convert_bool(self.text(name)))

    def place(self, name: str) -> Position:
        return self._params[name].position

    def move(self, section: Element, old: str, new: str, value: str | None = None) -> None:
        """Write the parameter `old` into `section` as `new`, with its value or the given one."""
        param = self._params[old]
        changed = param.value if value is None else value
        pieces = param.pieces if changed == param.value else ()
        is_copy = old in self.keep
        section.params[new] = Param(new, changed, param.position, param.value_position, pieces, is_copy=is_copy)
        self.done(old, new if section is self.element else f"<{section.name}> {new}")

    def done(self, old: str, shown: str) -> None:
        """Record that `old` is read as `shown` and needs no further conversion."""
        self._done.add(old)
        self.rewrites.append(Rewrite(old, shown, self._params[old].position))

    def move_all(self, section: Element, mapping: Mapping[str, str]) -> None:
        for old, new in mapping.items():
            if self.has(old):
                self.move(section, old, new)

    def remove(self, keep: Collection[str]) -> None:
        for name in self._done.difference(keep):
            self.element.params.pop(name, None)

    def reject(self, name: str, message: str, hint: str) -> None:
        self.report(error("cannot-convert", f"{self.element.title}: {message}", self.place(name), hint))

    def zone(self, section: Element, new: str, *, when_utc: bool) -> None:
        """Turn `utc` or `localtime` into the flag `new`, which is `when_utc` for UTC."""
        for name, meaning in (("localtime", not when_utc), ("utc", when_utc)):
            if self.has(name):
                self.move(section, name, new, "true" if self.true(name) == meaning else "false")
                return


def _fill_buffer(flat: _Flat, buffer: Element) -> None:
    flat.move_all(buffer, _BUFFER)
    if buffer.get("overflow_action") == "exception":
        buffer.params["overflow_action"].value = "throw_exception"
    if not flat.has("time_slice_format"):
        return
    written = flat.text("time_slice_format")
    timekey = next((seconds for directive, seconds in _TIMEKEYS if directive in written), "")
    if not timekey:
        flat.reject("time_slice_format", f'"{written}" cuts no slices of a day or less', "add %d, %H, %M or %S")
        return
    flat.move(buffer, "time_slice_format", "timekey", timekey)
    buffer.arg, buffer.arg_position = "time", flat.place("time_slice_format")
    if _one_zone(flat):
        flat.zone(buffer, "timekey_use_utc", when_utc=True)


def _slice_by_default(buffer: Element, chunk_key: str) -> None:
    buffer.arg = chunk_key
    if chunk_key == "time":
        # compat: 0.12's time_slice_format is %Y%m%d
        buffer.set("timekey", "86400", buffer.position)


def _fill_parse(flat: _Flat, parse: Element) -> None:
    flat.move_all(parse, _PARSER)
    written = flat.text("format")
    if written.startswith("/") and written.endswith("/"):
        flat.move(parse, "format", "expression", written[1:-1])
        parse.set("@type", "regexp", flat.place("format"))
    elif written:
        flat.move(parse, "format", "@type")
        names = flat.of_parser(written)
        flat.move_all(parse, {name: name for name in names})
        parse.elements += [each for each in flat.element.elements if each.name in names]
        flat.element.elements = [each for each in flat.element.elements if each.name not in names]
    if flat.text("types"):
        flat.move(parse, "types", "types", _types(flat))
        for name in ("types_delimiter", "types_label_delimiter"):
            if flat.has(name):
                flat.done(name, "<parse> types")
    if _one_zone(flat):
        flat.zone(parse, "localtime", when_utc=False)


def _types(flat: _Flat) -> str:
    pairs = flat.text("types").split(flat.text("types_delimiter") or ",")
    split = (pair.partition(flat.text("types_label_delimiter") or ":") for pair in pairs if pair)
    return dump_json({name: kind if colon else None for name, colon, kind in split})


def _fill_inject(flat: _Flat, inject: Element) -> None:
    flat.move_all(inject, _INJECT)
    _name_time(flat, inject, "include_time_key")
    if flat.true("include_tag_key") and "tag_key" not in inject.params:
        flat.move(inject, "include_tag_key", "tag_key", "tag")
    elif flat.has("include_tag_key"):
        flat.done("include_tag_key", "<inject> tag_key")
    # compat: only here is `utc false` beside `localtime true` not a contradiction
    agrees = (flat.text("utc") != "false") != (flat.text("localtime") != "false")
    if agrees or _one_zone(flat):
        flat.zone(inject, "localtime", when_utc=False)


def _fill_extract(flat: _Flat, extract: Element) -> None:
    flat.move_all(extract, _INJECT)
    written = flat.text("format")
    if flat.true("time_as_epoch"):
        _name_time(flat, extract, "")
    elif written.startswith("/") and written.endswith("/"):
        # compat: 0.12's regexp parser takes the time from the group called time
        for name, value in (("time_key", "time"), ("time_type", "string")):
            if name not in extract.params:
                extract.set(name, value, flat.place("format"))
    if _one_zone(flat):
        flat.zone(extract, "localtime", when_utc=False)


def _name_time(flat: _Flat, section: Element, flag: str) -> None:
    """Write the time's field and kind for a 0.12 flag, which only says that there is such a field."""
    if flag and flat.has(flag):
        if flat.true(flag):
            section.params.setdefault("time_key", Param("time_key", "time", flat.place(flag), flat.place(flag)))
            section.params.setdefault("time_type", Param("time_type", "string", flat.place(flag), flat.place(flag)))
        flat.done(flag, f"<{section.name}> time_key")
    if flat.true("time_as_epoch"):
        place = flat.place("time_as_epoch")
        section.params.setdefault("time_key", Param("time_key", "time", place, place))
        flat.move(section, "time_as_epoch", "time_type", "unixtime")


def _fill_format(flat: _Flat, section: Element) -> None:
    flat.move_all(section, _FORMATTER)
    if flat.true("time_as_epoch"):
        flat.move(section, "time_as_epoch", "time_type", "unixtime")


def _one_zone(flat: _Flat) -> bool:
    if flat.has("localtime") and flat.has("utc"):
        flat.reject("utc", '"utc" and "localtime" contradict each other', "write only one of them")
        return False
    return True


def _move_multiline(flat: _Flat) -> None:
    # compat: plugin/in_tail.rb copies format1 … format20 into <parse>, the user's own too
    parse = next(flat.element.sections("parse"), None)
    for name in flat.names():
        if parse is not None and _MULTILINE.fullmatch(name):
            flat.move(parse, name, name)
    # compat: it hands emit_unmatched_lines on, too; fluentd takes any text for yes then, be it false
    emit = flat.element.params.get("emit_unmatched_lines")
    if parse is not None and parse.type == "multiline" and emit is not None:
        parse.params["unmatched_lines"] = emit


def _report_lost(flat: _Flat, keep: Collection[str]) -> None:
    # compat: plugin_helper/compat_parameters.rb omits retry_wait, so fluentd ignores it
    if flat.has("retry_wait") and "retry_wait" not in keep:
        message = f'{flat.element.title}: "retry_wait" is ignored outside <buffer>, as in fluentd'
        hint = "move it into <buffer>; without it the first retry comes after 1s"
        flat.report(warning("lost-parameter", message, flat.place("retry_wait"), hint))
        flat.element.params.pop("retry_wait")


_ZONES: Final = ("localtime", "utc")
_Fill = Callable[[_Flat, Element], None]
_GROUPS: Final[Mapping[Group, tuple[str, Collection[str], _Fill]]] = {
    "buffer": ("buffer", {*_BUFFER, "time_slice_format"}, _fill_buffer),
    "parser": (
        "parse",
        {*_PARSER, *_ZONES, "format", "types", "types_delimiter", "types_label_delimiter"},
        _fill_parse,
    ),
    "inject": ("inject", {*_INJECT, *_ZONES, "include_time_key", "include_tag_key"}, _fill_inject),
    "extract": ("extract", {*_INJECT, *_ZONES, "format"}, _fill_extract),
    "formatter": ("format", set(_FORMATTER), _fill_format),
}
"""Each group's section, the parameters that make it necessary, and the function that fills it."""


def names_of(group: str) -> Collection[str]:
    """Return the flat parameters of a group, but for those that stand in a section as they do flat."""
    return _GROUPS[group][1] if group in _GROUPS else ()  # type: ignore[index]  # looked up by any text


def section_of(name: str) -> str:
    """Return today's section for a flat parameter of 0.12; "" for other names."""
    return next((section for section, names, _ in _GROUPS.values() if name in names), "")


def is_spelled_as_before(root: Element) -> bool:
    """Return whether a section names its plugin with 0.12's `type`, which means the file was written for 0.12."""
    return any(
        ("type" in element.params and "@type" not in element.params)
        if element.name in _TYPED
        else is_spelled_as_before(element)
        for element in root.elements
    )
