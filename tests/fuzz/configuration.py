"""Makes configurations: any stages in any order with any settings, and taps between them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from logpipe.config.declare import REQUIRED, Setting
from logpipe.config.diagnostic import ConfigError, Diagnostic
from logpipe.config.options import Options, hints, options_class
from logpipe.engine.running.graph import Graph
from logpipe.plugin import Plugin
from logpipe.registry import Registry
from logpipe.testing.collector import Collector
from logpipe.testing.pipeline import parse
from tests.fuzz import settings
from tests.fuzz.community import RETAGGING
from tests.fuzz.place import Place
from tests.fuzz.tap import Tap

_SILENT: Final = logging.getLogger("logpipe_fuzz_check")
_SILENT.propagate = False
_SILENT.addHandler(logging.NullHandler())

SHARE: Final = 0.25
"""How often a setting is written that need not be."""
NESTED: Final = 0.5
"""The same for settings within sections of a stage, which have fewer turns."""
SHARES: Final = {"inject": 0.8}
"""Sections of more settings than others have turns."""

KINDS: Final = ("input", "filter", "output", "parser", "formatter", "buffer", "service_discovery")

_WITHOUT_ALIASES: Final = frozenset(
    {
        *(("input", name) for name in ("dummy", "monitor_agent", "secure_forward", "unix")),
        ("output", "secure_forward"),  # forward's code, behind TLS and a handshake
        *(("output", name) for name in ("tcp", "unix")),  # the same, without options, for another server than there is
        ("input", "debug_agent"),  # is refused always
        ("output", "secondary_file"),  # stands in a <secondary> only
        ("output", "detect_exceptions"),  # the filter's code; whose tag it changes depends on what it is given
        ("service_discovery", "file"),
        ("service_discovery", "srv"),
    }
)
INTO_ROUTER: Final = frozenset({"buffer", "copy", "relabel", "rewrite_tag_filter", "roundrobin", "route"})
"""Outputs with a way of their own to be written below."""


_NOT_TRIED: Final = (
    # no line is written in their formats, so that the judge would not find its mark
    *(f"logpipe_community.{name}" for name in ("grok.", "parser_")),
    "logpipe_aws.",  # there is no server to look into
    "logpipe_elasticsearch.",  # as above, and so with the next one
    "logpipe_http_services.",
    *(f"logpipe_kafka.{name}" for name in ("in_", "parser_")),  # no topic is filled for them
    "logpipe_systemd.",  # one reads no lines, and one lets go of the fields that the mark is in
    "logpipe_prometheus.",  # chance makes no metrics that agree with one another
    "logpipe.builtin.in_exec",  # random texts are no commands to run
    "logpipe.builtin.out_exec",
)


@functools.cache
def stages() -> dict[tuple[str, str], type[Plugin[Any]]]:
    """Return every installed stage that takes events."""
    registry = Registry()
    every = ((each.kind, each.type) for each in registry.installed())
    found = {name: registry.find(*name) for name in every if name not in _WITHOUT_ALIASES}
    return {name: cls for name, cls in found.items() if not cls.__module__.startswith(_NOT_TRIED)}


def types(kind: str) -> list[str]:
    """Return the types of a kind."""
    return [name for other, name in stages() if other == kind]


def every_setting() -> Iterator[str]:
    """Yield the name of each setting that is tried: `kind type.setting`, sections between dots."""
    for (kind, name), cls in stages().items():
        for each in _settings_of(cls.options_class, f"{kind} {name}"):
            if not settings.left_out(each):
                yield each


def _settings_of(cls: type[Options], name: str) -> Iterator[str]:
    for attribute, setting in cls.settings().items():
        if setting.removed or setting.deprecated:
            continue
        full = f"{name}.{setting.name or attribute}"
        yield full
        if setting.role == "section":
            yield from _settings_of(options_class(hints(cls)[attribute]), full)


class Writer:
    """Writes the configuration of one case."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._random = place.random
        self._lines: list[str] = []
        self.parser = ""
        """The type of the tail's parser; `multiline of two` where an event has two lines."""
        self.posted = "in_http"
        """The type of the parser of what is posted."""
        self.sent: dict[str, str] = {}
        """The types of the parsers of messages, by the types of the inputs that they are sent to."""

    def write(self) -> str:
        """Return the text of a configuration; see `mended`."""
        self._source()
        self._route("in.**")
        for label in self._labels():
            self._lines.append(f"<label {label}>")
            self._route("**")
            self._lines.append("</label>")
        return "\n".join((*self._lines, *_WITNESS.format(place=self._place).splitlines())) + "\n"

    def _labels(self) -> Iterator[str]:
        if self._random.random() < 0.5:
            self._place.labels.append("@ERROR")
        written = self._place.written
        while rest := [label for label in self._place.labels if label not in written]:
            written.add(rest[0])
            yield rest[0]

    def _source(self) -> None:
        for name in types("input"):
            if name != "tail" and name not in self._place.preferred and self._random.random() > 0.1:
                continue
            self._lines.append("<source>")
            self._section(f"input {name}", stages()["input", name].options_class)
            if name == "syslog":
                self.sent.setdefault(name, "syslog")
                self._lines += ["<transport tcp>", "</transport>"] if self._random.random() < 0.5 else []
            self._lines.append("</source>")

    def _route(self, pattern: str) -> None:
        """Write filters with a tap before, between and behind them, and an output."""
        self._tap("")
        for _ in range(self._random.choice((0, 1, 1, 2, 3))):
            name = self._place.type_of(types("filter"))
            self._lines.append(f"<filter {self._random.choice(('**', 'in.**', '{in.**,re.**}'))}>")
            self._section(f"filter {name}", stages()["filter", name].options_class)
            self._lines.append("</filter>")
            self._tap(name)
        if self._random.random() < 0.15:
            self._match("in.**", self._random.choice(("rewrite_tag_filter", *RETAGGING)))
            pattern = "re.**"
        name = self._output()
        # a rule that makes its own tags longer ends after a thousand rounds, which takes long and shows nothing more
        self._match(pattern, "file" if (pattern, name) == ("re.**", "rewrite_tag_filter") else name)

    def _tap(self, behind: str) -> None:
        """Write what takes note of the events that pass; `behind` is the filter that stands before it."""
        self._lines += [
            "<filter **>",
            "  @type fuzz_tap",
            f"  name {self._place.taps}",
            f"  behind {behind or 'nothing'}",
            "</filter>",
        ]
        self._place.taps += 1

    def _output(self) -> str:
        if self._random.random() < 0.4:
            return self._random.choice(("file", "file", "test"))
        deep = len(self._place.labels) > 4
        names = [name for name in types("output") if name not in RETAGGING]
        return self._place.type_of([name for name in names if not (deep and name in INTO_ROUTER)])

    def _match(self, pattern: str, name: str) -> None:
        self._lines.append(f"<match {pattern}>")
        self._write_output(name)
        self._lines.append("</match>")

    def _write_output(self, name: str) -> None:
        if name == "test":
            self._lines += ["  @type test", f"  name t{self._place.random.random()}"]
            return
        cls = stages()["output", name]
        began = len(self._lines)
        self._section(f"output {name}", cls.options_class)
        if name in {"copy", "roundrobin"}:
            for _ in range(2):
                self._place.used[f"output {name}.store"] += 1
                self._lines.append("<store>")
                self._write_output(self._random.choice(("test", "file", "stdout", "relabel")))
                self._lines.append("</store>")
        if cls.is_buffered() and (name == "file" or self._random.random() < 0.8 or not cls.is_direct()):
            kind = self._place.type_of(types("buffer"))
            keys = self._chunk_keys(name, self._lines[began:])
            kind = "file" if kind == "file_single" and keys.count(",") != 0 else kind
            self._place.used[f"buffer {kind}.chunk_keys"] += bool(keys)
            self._lines.append(f"<buffer {keys}>")
            self._section(f"buffer {kind}", stages()["buffer", kind].options_class)
            if "time" in keys and not any(line.startswith("  timekey ") for line in self._lines[-40:]):
                self._lines.append(f"  timekey {self._random.choice(('1d', '1h'))}")
            self._lines.append("</buffer>")

    def _chunk_keys(self, output: str, lines: list[str]) -> str:
        """Return chunk keys: any, but for outputs whose names are made of them."""
        keys = self._random.sample(("tag", "time", "k", "a", "$.o.x"), self._random.randrange(4))
        if output == "file":
            written = " ".join(line for line in lines if line.startswith(("  path", "  path_suffix")))
            keys = [key for key in ("tag", "k", "a") if f"${{{key}" in written]
            keys += ["time"] if "%" in written or "*" in written or not keys else []
        elif output == "forward":
            keys = sorted({*keys, "tag"})
        elif output in {"kafka2", "rdkafka2"}:
            keys = sorted({*keys, "k", "tag"})
        return ",".join(keys)

    def _section(self, name: str, cls: type[Options]) -> None:
        """Write the inside of a section."""
        if name.count(".") == 0:
            self._place.stages[name] += 1
            self._lines.append(f"  @type {name.split(' ')[1]}")
        types_of = hints(cls)
        tried = [
            (f"{name}.{setting.name or attribute}", setting, types_of[attribute])
            for attribute, setting in cls.settings().items()
            if setting.role != "argument" and not setting.removed and not setting.deprecated
        ]
        tried = [each for each in tried if not settings.left_out(each[0])]
        self._params(name, [each for each in tried if each[1].role == "param"])
        for full, setting, hint in tried:
            if setting.role != "param":
                self._nested(full, setting, hint, needed=_is_needed(full, setting))

    def _params(self, name: str, tried: list[tuple[str, Setting, Any]]) -> None:
        words: dict[str, str] = {}
        share = NESTED if "." in name else SHARE
        for full, setting, hint in tried:
            if _is_needed(full, setting) or self._random.random() < share:
                words[full.rsplit(".", 1)[1]] = settings.choose(full, hint, self._place)
        settings.reconcile(words, self._random)
        for word, text in (*words.items(), *settings.numbered(name, words, self._random)):
            self._place.used[f"{name}.{word}"] += 1
            self._lines.append(f"  {word} {_quoted(text)}")

    def _nested(self, full: str, setting: Setting, hint: Any, *, needed: bool) -> None:
        word = full.rsplit(".", 1)[1]
        if setting.role == "plugin" and setting.plugin_kind != "output":
            self._plugin(word, full, setting.plugin_kind, needed=needed)
        elif (
            setting.role == "section"
            and word != "buffer"
            and (needed or self._random.random() < SHARES.get(word, SHARE))
        ):
            if settings.excludes(full, self._lines):
                return
            self._place.used[full] += 1
            for _ in range(1 + (setting.many and self._random.random() < SHARE)):
                self._lines.append(f"<{word}>")
                self._section(full, options_class(hint))
                self._lines.append(f"</{word}>")
        elif setting.role == "raw" and word == "record":
            self._place.used[full] += 1
            ruby = "record_modifier" in full or "  enable_ruby 'true'" in self._lines[-12:]
            self._lines.append("<record>")
            self._lines += [f"  {key} {_quoted(text)}" for key, text in settings.record_section(self._place, ruby=ruby)]
            self._lines.append("</record>")

    def _plugin(self, word: str, full: str, kind: str, *, needed: bool) -> None:
        if not needed and self._random.random() < 0.3:
            return
        self._place.used[full] += 1
        name = self._place.type_of(types(kind))
        if kind == "parser" and full == "input tail.parse":
            if name == "msgpack" and any("encoding" in line for line in self._lines):
                name = "none"  # what is converted may be other values in MessagePack, which have no mark
            self.parser = name
        if kind == "parser" and full == "input http.parse":
            self.posted = name
        if kind == "parser" and full in {"input syslog.parse", "input tcp.parse", "input udp.parse"}:
            self.sent[full.removeprefix("input ").removesuffix(".parse")] = name
        if kind == "parser" and full.startswith("parser"):
            name = "json"
        self._lines.append(f"<{word}>")
        began = len(self._lines)
        self._section(f"{kind} {name}", stages()[kind, name].options_class)
        if full == "input tail.parse" and not any("format_firstline" in line for line in self._lines[began:]):
            self.parser = self.parser.replace("multiline", "multiline of two")
        self._lines.append(f"</{word}>")


def mended(text: str) -> str:
    """Leave out the parameters that a check blames, a few times over; what is still wrong is refused when it runs."""
    registry = Registry(log=logging.getLogger("logpipe.fuzz"))
    for cls in (Collector, Tap):
        registry.add(cls, Path(__file__))
    for _ in range(4):
        found: list[Diagnostic] = []
        with suppress(ConfigError):
            Graph.build(parse(text), registry=registry, report=found.append, log=_SILENT)
        blamed = {each.position.line for each in found if each.severity == "error"}
        lines = text.splitlines()
        if not blamed or any(lines[line - 1].startswith("<") for line in blamed):
            break
        text = "\n".join(line for number, line in enumerate(lines, 1) if number not in blamed) + "\n"
    return text


def _is_needed(full: str, setting: Setting) -> bool:
    no_default = setting.role == "param" and setting.default is REQUIRED
    return full in settings.ALWAYS or setting.required or no_default


def _quoted(text: str) -> str:
    if text.startswith(("[", "{", "/")):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_WITNESS: Final = """
<source>
  @type tail
  path {place.root}/witness/*.txt
  tag witness.x
  @label @WITNESS
  pos_file {place.state}/witness.pos
  read_from_head true
  <parse>
    @type none
    message_key id
  </parse>
</source>
<label @WITNESS>
  <match **>
    @type test
    name witness
  </match>
</label>
"""
