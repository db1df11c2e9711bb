"""`with_source_only`: sources run, and all that they emit waits in files. Fluentd's source_only_buffer_agent.rb.

It is a configuration made of the one that is written: the same sources, and in each label that they send to, and in
`@ERROR`, one output that keeps everything. When it ends (WINCH) the written one is read as at a reload, with an output
more for each label, which takes up the files and sends what is in them into that label.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from logpipe.config.diagnostic import Position
from logpipe.config.element import Element
from logpipe.engine.building.build import FLUENT_LOG
from logpipe.engine.building.construction import ERROR, ROOT
from logpipe.engine.dead_letters.files import default_base
from logpipe.engine.system import SystemOptions
from logpipe.tag_pattern import InvalidPatternError, compile_pattern

PLACE: Final = Position("with_source_only")
"""Where the sections stand that nobody has written."""
_KEEPS: Final = "buffer"
"""The type of output that keeps everything, as in fluentd."""
_DROPS: Final = "null"
_OWN: Final = "@SOURCE_ONLY"
_SECTION: Final = "source_only_buffer"


class SourceOnly:
    """Makes both configurations of a written one.

    Args:
        root: what is written.
        system: its settings of the process.
    """

    def __init__(self, root: Element, system: SystemOptions) -> None:
        self._root = root
        options = system.source_only_buffer
        base = Path(system.root_dir) if system.root_dir else default_base()
        self._path = Path(options.path) if options is not None and options.path else base / "source-only-buffer"

    def sources(self) -> Element:
        """Return the configuration whose outputs keep everything."""
        root = deepcopy(self._root)
        for parent in (root, *root.sections("worker")):
            parent.elements = [each for each in parent.elements if each.name in {"source", "system", "worker"}]
        if not _takes_log(self._root.elements):
            root.elements.append(_section("match", "fluent.**", {"@type": _DROPS}))
        for label in self._labels():
            keeps = self._kept(label, _OWN, {"flush_thread_count": "0"})  # so that nothing is delivered
            root.elements.append(keeps if label == ROOT else _section("label", label, {}, [keeps]))
        root.elements.append(_section("label", _OWN, {}, [_section("match", "**", {"@type": _DROPS})]))
        return root

    def written(self, *, ends: bool) -> Element:
        """Return the written configuration, with what takes up the files that there are.

        Args:
            ends: whether there may be more by the time it starts.
        """
        labels = [label for label in self._labels() if ends or _has_files(self._folder(label))]
        if not labels:
            return self._root
        loads = [self._kept(label, label, {"flush_interval": "1"}) for label in labels]
        more = _section("label", _OWN, {}, loads)
        return replace(self._root, elements=[*self._root.elements, more])

    def _labels(self) -> list[str]:
        """Return the labels that sources send to, and those that the engine does."""
        written = {section.arg for parent in self._parents() for section in parent.sections("label")}
        named = {each.get("@label") or ROOT for parent in self._parents() for each in parent.sections("source")}
        return sorted((named | {ERROR, FLUENT_LOG}) & (written | {ROOT}))

    def _parents(self) -> Iterable[Element]:
        return (self._root, *self._root.sections("worker"))

    def _folder(self, label: str) -> Path:
        return self._path / quote(label, safe="@")

    def _kept(self, label: str, target: str, more: dict[str, str]) -> Element:
        system = next(self._root.sections("system"), None)
        given = None if system is None else next(system.sections(_SECTION), None)
        written = {} if given is None else {name: each.value for name, each in given.params.items()}
        said = {name: value for name, value in written.items() if isinstance(value, str)}
        settings = {
            "@type": "file",
            "flush_mode": "interval",
            "overflow_action": "drop_oldest_chunk",
            "flush_at_shutdown": "false",
        }
        buffer = _section("buffer", "tag", {**settings, **said, **more, "path": str(self._folder(label))})
        return _section("match", "**", {"@type": _KEEPS, "@label": target, "@id": f"source_only{label}"}, [buffer])


def _takes_log(elements: Iterable[Element]) -> bool:
    """Return whether a rule outside of labels takes our own log events."""
    for each in elements:
        if each.name in {"filter", "match"}:
            try:
                if compile_pattern(each.arg)("fluent.info"):
                    return True
            except InvalidPatternError:
                continue
    return False


def _has_files(folder: Path) -> bool:
    return any(each.is_file() for each in folder.rglob("*"))


def _section(name: str, arg: str, params: dict[str, str], elements: Iterable[Element] = ()) -> Element:
    made = Element(name, arg, elements=list(elements), position=PLACE, arg_position=PLACE)
    for key, value in params.items():
        made.set(key, value, PLACE)
    return made
