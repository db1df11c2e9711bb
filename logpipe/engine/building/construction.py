"""Makes the plugins of a graph: settings read, hosts made, constructors called, and whatever is wrong reported."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeVar

from logpipe.config.compat import Rewrite, convert, is_spelled_as_before
from logpipe.config.declare import InvalidSetting, as_diagnostic, describe
from logpipe.config.diagnostic import Diagnostic, Position, Report, did_you_mean, error
from logpipe.config.element import Element
from logpipe.config.options import Options, PluginConf
from logpipe.engine.building.workers import is_shared
from logpipe.engine.hosts.host import PartBuilder, PluginHost, World
from logpipe.engine.hosts.kinds import Stages
from logpipe.engine.logging.setup import LEVELS, PluginLog
from logpipe.engine.routing.router import Router
from logpipe.plugin import Output, Plugin
from logpipe.registry import Registry, UnknownPluginError, innermost_place, reason

P = TypeVar("P")
K = TypeVar("K", bound=PluginHost)

ROOT: Final = "@ROOT"
ERROR: Final = "@ERROR"
COMPAT: Final = "compat"
"""The setting of plugins that know the rules of several Fluentds; `<system>` has one for all of them."""
BY_NAME: Final = "names_are_fields"
"""The setting of plugins whose expressions may name fields as 0.12's did: set in files that 0.12 could read."""


def set_dialect(element: Element, options_class: type[Options], *, compat: str, is_old: bool) -> None:
    """Tell a section that does not say so itself, and whose plugin knows several Fluentds, whose rules hold.

    Args:
        element: the section; its settings are added to.
        options_class: what reads it.
        compat: what the whole configuration asks for; "" for nothing.
        is_old: whether the configuration is spelled as for 0.12.
    """
    known, given = options_class.settings(), element.params
    if compat and COMPAT in known and COMPAT not in given:
        element.set(COMPAT, compat, element.position)
    elif is_old and BY_NAME in known and BY_NAME not in given and COMPAT not in given:
        element.set(BY_NAME, "true", element.position)


class Construction:
    """What plugins of one graph are made with: their settings read, their hosts, and mistakes reported."""

    def __init__(
        self, registry: Registry, world: World, report: Report, *, log: logging.Logger, strict: bool, compat: str
    ) -> None:
        self.world = world
        self.stages = Stages()
        self.routers: dict[str, Router] = {}
        self.failed = False
        self.rewrites: list[Rewrite] = []
        """The parameters of 0.12 that were read as others."""
        self.log = log
        self.registry = registry
        self._strict = strict
        self._compat = compat
        self._is_old = False
        self._root = Element("ROOT")
        self._report_to = report
        self._ids: dict[str, Element] = {}
        self._numbers: dict[str, int] = {}
        self._included: dict[str, tuple[Position, ...]] = {}
        """The `@include` lines that led to each file."""

    def begin(self, root: Element) -> None:
        """Take the configuration whose plugins are to be made."""
        self._root = root
        self._included = dict(_included(root))
        self._is_old = not self._compat and is_spelled_as_before(root)

    def report(self, diagnostic: Diagnostic) -> None:
        """Pass a diagnostic on, with how its file got in, and remember that there was an error."""
        self.failed = self.failed or diagnostic.severity == "error"
        if not diagnostic.included_from and (lines := self._included.get(diagnostic.position.file)):
            diagnostic = replace(diagnostic, included_from=lines)
        self._report_to(diagnostic)

    def configured(self, kind: str, element: Element) -> PluginConf | None:
        """Read a top-level plugin section; None, with the reasons reported, where it cannot be used."""
        if not element.type:
            message = f'{element.title}: missing "@type"'
            self.report(error("missing-type", message, element.position, "add: @type NAME"))
            return None
        return self.find(kind, element.type, element, self.report)

    def find(self, kind: str, name: str, element: Element, report: Report) -> PluginConf | None:
        """Read a plugin section of that kind and type; None, with the reasons reported, where it cannot be used."""
        place = element.params.get("@type") or element.params.get("type")
        position = place.value_position if place is not None else element.position
        try:
            cls = self.registry.find(kind, name)
        except UnknownPluginError as problem:
            report(error("unknown-plugin", f"{element.title}: {problem}", position, problem.hint))
            return None
        failed = False

        def watch(diagnostic: Diagnostic) -> None:
            nonlocal failed
            failed = failed or diagnostic.severity == "error"
            report(diagnostic)

        chunk_key = ""
        if issubclass(cls, Output):
            chunk_key = cls.buffer_argument if cls.compat_chunk_key is None else cls.compat_chunk_key
        self.rewrites += convert(
            element,
            cls.compat,
            report=watch,
            keep=cls.compat_kept,
            default_chunk_key=chunk_key,
            own=cls.compat_own,
            of_parser=self.registry.flat_of_parser,
        )
        set_dialect(element, cls.options_class, compat=self._compat, is_old=self._is_old)
        try:
            options = cls.options_class.read(element, watch, find=self.find, strict=self._strict)
        except InvalidSetting as invalid:
            report(as_diagnostic(element, invalid))
            return None
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - whatever its authors have written may fail
            report(_failure(cls, element, problem))
            return None
        return None if failed else PluginConf(kind, name, cls, options, element)

    def has_setting(self, kind: str, name: str, setting: str) -> bool:
        """Return whether plugins of that kind and type have a setting of that name."""
        cls = self.registry.get(kind, name)
        return cls is not None and setting in cls.options_class.settings()

    def host(self, conf: PluginConf, router: Router, cls: type[K], builder: PartBuilder) -> K:
        """Return a new host for a plugin, of its kind's class, with the router that `@label` names.

        Args:
            conf: the plugin's.
            router: where it stands.
            cls: the host's class.
            builder: builds what the plugin gets through its host.
        """
        element = conf.element
        plugin_id = self._plugin_id(conf)
        if not conf.plugin_class.several_workers and is_shared(element, self._root, self.world.workers):
            message = f"{describe(element)}: it does not support several workers: each would do all of its work"
            self.report(error("several-workers", message, element.position, "put it into a <worker 0> section"))
        logger = self.log.getChild(plugin_id)
        level = LEVELS.get(element.get("@log_level") or element.get("log_level") or "", logging.NOTSET)
        if logger.level != level:
            logger.setLevel(level)  # which visits every logger there is
        label = element.get("@label")
        if label is not None and label not in self.routers:
            place = element.params["@label"].value_position
            message = f'{describe(element)}: label "{label}" is not defined'
            hint = did_you_mean(label, self.routers) or f"add: <label {label}>"
            self.report(error("unknown-label", message, place, hint))
        target = self.routers.get(label or ROOT, self.routers[ROOT]) if label else router
        return cls(
            plugin_id,
            kind=conf.kind,
            type_name=conf.type,
            world=self.world,
            router=target,
            log=PluginLog(logger, plugin_id, section=describe(element), place=element.position),
            builder=builder,
            element=element,
            label=(target if conf.kind == "input" else router).name,
            in_error_label=router.name == ERROR,
            is_named=bool(element.get("@id") or element.get("id")),
        )

    def _plugin_id(self, conf: PluginConf) -> str:
        given = conf.element.get("@id") or conf.element.get("id")
        if given:
            if self._ids.get(given) is conf.element:  # another outlet of a <store>
                return self._numbered(given)
            if given in self._ids:
                first = self._ids[given].position
                message = f'{describe(conf.element)}: duplicated plugin id "{given}", first used at {first}'
                self.report(error("duplicate-id", message, conf.element.position, "give each plugin its own @id"))
            self._ids.setdefault(given, conf.element)
            return self._numbered(given)
        return self._numbered(f"{conf.kind}_{conf.type}")

    def _numbered(self, name: str) -> str:
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        return name if number == 1 else f"{name}_{number}"

    def raising(self, make: Callable[[], P]) -> P:
        """Return what `make` makes; of what it reports the first error is raised, for who builds in a running graph.

        Raises:
            InvalidSetting: it reported an error.
        """
        said: list[Diagnostic] = []
        before, self._report_to = self._report_to, said.append
        try:
            made = make()
        finally:
            self._report_to = before
        for diagnostic in said:
            if diagnostic.severity == "error":
                raise InvalidSetting(diagnostic.message)
        return made

    def construct(self, conf: PluginConf, host: PluginHost) -> Plugin[Any] | None:
        """Construct a plugin; None, with the reason reported, where its settings cannot work."""
        return self.guarded(conf, lambda: conf.plugin_class(conf.options, host))

    def guarded(self, conf: PluginConf, make: Callable[[], P]) -> P | None:
        """Return what `make` makes; a setting it refuses is reported with its place, and so is a plugin's own fault."""
        try:
            return make()
        except InvalidSetting as invalid:
            self.report(as_diagnostic(conf.element, invalid))
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - whatever its authors have written may fail
            self.report(_failure(conf.plugin_class, conf.element, problem))
        return None


def _failure(cls: type[Plugin[Any]], element: Element, problem: BaseException) -> Diagnostic:
    """Return what to say of an exception that a plugin did not raise on purpose."""
    place = innermost_place(problem, getattr(sys.modules.get(cls.__module__), "__file__", None) or "")
    message = f"{describe(element)}: the plugin failed: {reason(problem)} ({place})"
    return error("plugin-failed", message, element.position, "report it to the plugin's authors")


def _included(section: Element) -> Iterator[tuple[str, tuple[Position, ...]]]:
    for element in section.elements:
        if element.included_from:
            yield element.position.file, element.included_from
        yield from _included(element)
