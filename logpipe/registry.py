"""Finds a plugin's class by `@type`: entry points of installed distributions and the folders of `-p`.

Names are read from package metadata; a class is imported when a configuration first uses it, so a dependency of an
unused plugin costs nothing and may be missing.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from logpipe.errors import LogpipeError
from logpipe.plugin import Parser, Plugin

KINDS: Final = ("input", "filter", "output", "parser", "formatter", "buffer", "service_discovery")
GROUPS: Final = {kind: f"logpipe.{kind}" for kind in KINDS}

ELSEWHERE: Final = {
    ("output", "cloudwatch_logs"): "logpipe-aws",
    ("output", "s3"): "logpipe-aws",
    ("output", "elasticsearch"): "logpipe-elasticsearch",
    ("output", "elasticsearch_data_stream"): "logpipe-elasticsearch",
    ("output", "elasticsearch_dynamic"): "logpipe-elasticsearch",
    ("output", "opensearch"): "logpipe-elasticsearch",
    ("output", "opensearch_data_stream"): "logpipe-elasticsearch",
    ("filter", "elasticsearch_genid"): "logpipe-elasticsearch",
    ("filter", "opensearch_genid"): "logpipe-elasticsearch",
    ("output", "splunk_hec"): "logpipe-http-services",
    ("parser", "text"): "logpipe-kafka",
    **{("input", name): "logpipe-kafka" for name in ("kafka", "kafka_group", "rdkafka_group")},
    ("output", "kafka"): "logpipe-kafka",
    ("output", "kafka2"): "logpipe-kafka",
    ("output", "kafka_buffered"): "logpipe-kafka",
    ("output", "rdkafka"): "logpipe-kafka",
    ("output", "rdkafka2"): "logpipe-kafka",
    ("filter", "kubernetes_metadata"): "logpipe-kubernetes",
    ("input", "systemd"): "logpipe-systemd",
    ("filter", "systemd_entry"): "logpipe-systemd",
    **{(kind, "prometheus"): "logpipe-prometheus" for kind in ("input", "filter", "output")},
    **{("input", f"prometheus_{name}monitor"): "logpipe-prometheus" for name in ("", "output_", "tail_")},
    **{
        (kind, name): "logpipe-community"
        for kind, names in {
            "filter": "add_insert_ids concat de_dot dedot detect_exceptions flatten_hash parse_json_field sampling"
            " sampling_filter throttle",
            "output": "detect_exceptions forest fork record_reformer route",
            "parser": "grok kubernetes logfmt multi_format multiline_grok multiline_kubernetes",
        }.items()
        for name in names.split()
    },
}
"""The types that ship with logpipe but not in it: what is not installed cannot say what to install."""

FLUENTD: Final = {
    "input": "debug_agent exec forward gc_stat http monitor_agent object_space sample syslog tail tcp udp unix",
    "filter": "grep parser record_transformer stdout",
    "output": "copy exec exec_filter file forward http null relabel roundrobin secondary_file stdout stream",
    "parser": "apache apache2 apache_error csv json ltsv msgpack multiline nginx none regexp syslog tsv",
    "formatter": "csv hash json ltsv msgpack out_file single_value stdout tsv",
    "buffer": "file file_single memory",
    "service_discovery": "file srv static",
}
"""The types that ship with fluentd."""


class UnknownPluginError(LogpipeError):
    """No usable plugin has that type; `hint` says what may help."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Installed:
    """One plugin that a configuration may name."""

    kind: str
    type: str
    origin: str
    """The distribution with its version, or the file of a `-p` folder."""
    target: str
    """Module and class."""


class Registry:
    """All plugins that can be named."""

    def __init__(self, folders: Sequence[Path] = (), *, log: logging.Logger | None = None) -> None:
        self._log = log or logging.getLogger("logpipe")
        self._entries = _entries(tuple((folder, _changed(folder)) for folder in sys.path))
        self._found: dict[tuple[str, str], type[Plugin[Any]]] = {}
        """The loaded classes of entry points: a configuration names a few types very often."""
        self._local: dict[tuple[str, str], tuple[type[Plugin[Any]], Path]] = {}
        self.broken: list[UnknownPluginError] = []
        """The errors of plugin files that could not be loaded."""
        for folder in folders:
            self._load_folder(folder)

    def add(self, cls: type[Plugin[Any]], origin: Path) -> None:
        """Register a class under its types; it takes precedence over installed ones."""
        for name in cls.types:
            self._local[cls.kind, name] = (cls, origin)

    def find(self, kind: str, name: str) -> type[Plugin[Any]]:
        """Return the class of a type.

        Raises:
            UnknownPluginError: there is none, two distributions have the name, or it cannot be imported or is invalid.
        """
        if (kind, name) in self._local:
            return self._local[kind, name][0]
        if (kind, name) in self._found:
            return self._found[kind, name]
        entries = self._entries.get((kind, name), [])
        if not entries:
            raise UnknownPluginError(f'unknown {kind} plugin "{name}"', self._hint(kind, name))
        if len({entry.value for entry in entries}) > 1:
            owners = " and ".join(sorted(_origin(entry) for entry in entries))
            raise UnknownPluginError(f'{kind} plugin "{name}" is claimed by {owners}', "uninstall one of them")
        try:
            loaded = entries[0].load()
        except (Exception, SystemExit) as error:  # a plugin's module may raise anything
            hint = f"reinstall {_origin(entries[0])} with its dependencies"
            where = "" if isinstance(error, ImportError) else f" ({innermost_place(error)})"
            message = f'{kind} plugin "{name}" cannot be imported: {reason(error)}{where}'
            raise UnknownPluginError(message, hint) from error
        if mistake := _mistake(loaded, kind, name):
            message = f'{kind} plugin "{name}": {entries[0].value} {mistake}'
            raise UnknownPluginError(message, f"report it to the authors of {_origin(entries[0])}")
        self._found[kind, name] = loaded
        return self._found[kind, name]

    def get(self, kind: str, name: str) -> type[Plugin[Any]] | None:
        """Return the class of a type; None where `find` says why there is none."""
        try:
            return self.find(kind, name)
        except UnknownPluginError:
            return None

    def flat_of_parser(self, name: str) -> tuple[str, ...]:
        """Return what 0.12 reads flat of a type of parser alone, see `Parser.compat_flat`."""
        cls = self.get("parser", name)
        return cls.compat_flat if cls is not None and issubclass(cls, Parser) else ()

    def installed(self) -> Iterator[Installed]:
        """Yield every plugin, sorted by kind and type; imports nothing."""
        names = sorted({*self._entries, *self._local}, key=lambda name: (KINDS.index(name[0]), name[1]))
        for kind, name in names:
            if (kind, name) in self._local:
                cls, path = self._local[kind, name]
                yield Installed(kind, name, str(path), f"{cls.__module__}:{cls.__qualname__}")
            else:
                for entry in self._entries[kind, name]:
                    yield Installed(kind, name, _origin(entry), entry.value)

    def _hint(self, kind: str, name: str) -> str:
        if (kind, name) in ELSEWHERE:
            distribution = ELSEWHERE[kind, name]
            return f"it ships as {distribution}: pip install ./plugins/{distribution}"
        others = [other for other in KINDS if (other, name) in self._entries or (other, name) in self._local]
        if others:
            return f"there is {' and '.join(others)} plugin of that name"
        if name in FLUENTD[kind].split():
            return "fluentd has it and logpipe does not yet: `logpipe plugins` lists what is installed"
        known = [known for other, known in {*self._entries, *self._local} if other == kind]
        near = difflib.get_close_matches(name, known, n=1)
        return f'did you mean "{near[0]}"?' if near else "`logpipe plugins` lists what is installed"

    def _load_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._log.warning("plugin folder %s does not exist", folder)
            return
        for path in sorted(folder.glob("*.rb")):
            self._log.warning("plugin %s is written in Ruby and is not loaded: logpipe plugins are Python", path)
        _make_importable(folder)
        for path in sorted(folder.glob("*.py")):
            try:
                found = _plugins_in(path)
            except UnknownPluginError as problem:
                self.broken.append(problem)
                continue
            for cls in found:
                for name in cls.types:
                    if (cls.kind, name) in self._entries:
                        self._log.warning("%s plugin %s of %s replaces the installed one", cls.kind, name, path)
                self.add(cls, path)


def _mistake(loaded: Any, kind: str, name: str) -> str:
    """Return why an entry point's object is not a valid plugin of that kind and type; "" if it is."""
    if not (isinstance(loaded, type) and issubclass(loaded, Plugin)):
        return "is no plugin's class"
    if loaded.kind != kind:
        wanted = f"its entry point belongs under logpipe.{loaded.kind}"
        return f"is a plugin of another kind, {loaded.kind or 'none'}: {wanted}"
    if name not in loaded.types:
        types = ", ".join(loaded.types) or "none"
        return f'has another type ({types}): its class says type="…"'
    try:
        loaded.options_class.verify()
    except (TypeError, NameError) as problem:
        return f"declares a setting wrong: {problem}"
    return ""


@functools.lru_cache(maxsize=2)
def _entries(_where: tuple[tuple[str, int], ...]) -> Mapping[tuple[str, str], Sequence[EntryPoint]]:
    """Return the entry points of every installed distribution, by kind and type.

    All of their metadata is read for that, so only when what is installed may have changed: a folder of Python's path
    changes when a distribution comes, goes or is replaced in it.
    """
    found: dict[tuple[str, str], list[EntryPoint]] = {}
    every = entry_points()
    for kind, group in GROUPS.items():
        for entry in every.select(group=group):
            found.setdefault((kind, entry.name), []).append(entry)
    return found


def _changed(folder: str) -> int:
    """Return when something came or went in a folder, in nanoseconds since 1970; 0 where there is none."""
    try:
        return Path(folder).stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.module


def reason(error: BaseException) -> str:
    """Return the message of an exception from third-party code, with its class."""
    said = str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def innermost_place(error: BaseException, file: str = "") -> str:
    """Return `FILE:LINE` of an exception's origin: the innermost line of `file`, where there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1] if frames else None)
    return f"{frame.filename}:{frame.lineno}" if frame is not None else file


def _make_importable(folder: Path) -> None:
    """Let the folder's files import each other; modules imported from it before are dropped, to read them anew."""
    path = str(folder.absolute())
    if path not in sys.path:
        sys.path.append(path)  # last: a file with a package's name must not shadow it
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{path}/"):
            del sys.modules[name]
    importlib.invalidate_caches()


def _plugins_in(path: Path) -> list[type[Plugin[Any]]]:
    """Import a file of a `-p` folder and return the plugin classes it defines."""
    name = f"logpipe_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnknownPluginError(f"plugin file {path} cannot be imported", "is it Python?")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything
        where = innermost_place(error, str(path))
        raise UnknownPluginError(
            f"plugin file {path} cannot be imported: {reason(error)} ({where})", f"try it: python {path}"
        ) from error
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == name and value.types
    ]
    for cls in found:
        try:
            cls.options_class.verify()
        except (TypeError, NameError) as problem:
            message = f"plugin file {path}: {cls.__name__} declares a setting wrong: {problem}"
            raise UnknownPluginError(message, "fix its Options class") from problem
    return found
