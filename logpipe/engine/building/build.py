"""From elements to a graph that has touched nothing yet: plugins constructed, routers filled, mistakes reported."""

from __future__ import annotations

import logging
from typing import Any, Final

from logpipe.config.diagnostic import Position, Report, did_you_mean, error, warning
from logpipe.config.element import Element
from logpipe.engine.building.construction import ERROR, ROOT, Construction
from logpipe.engine.building.lint import lint
from logpipe.engine.building.outlets import OutletBuilder, Replace
from logpipe.engine.building.workers import report_workers, sections_of
from logpipe.engine.hosts.host import PluginHost, World
from logpipe.engine.hosts.kinds import FilterPluginHost, InputPluginHost, Stage
from logpipe.engine.routing.chain import Rule
from logpipe.engine.routing.router import Router
from logpipe.plugin import AsyncFilter, Filter, Input
from logpipe.registry import Registry
from logpipe.tag_pattern import InvalidPatternError, compile_pattern

FLUENT_LOG: Final = "@FLUENT_LOG"
DIRECTIVES: Final = ("source", "filter", "match", "label", "system", "worker")


class Builder(Construction):
    """Builds one worker's stages and routers; look at `failed` before using them."""

    def __init__(
        self,
        registry: Registry,
        world: World,
        report: Report,
        *,
        log: logging.Logger,
        strict: bool = False,
        compat: str = "",
        in_memory: bool = False,
        replace: Replace | None = None,
    ) -> None:
        super().__init__(registry, world, report, log=log, strict=strict, compat=compat)
        self.outlets = OutletBuilder(self, in_memory=in_memory, replace=replace)

    def build(self, root: Element, *, with_sources: bool = True) -> None:
        """Build everything in the order of fluentd's root_agent.rb: labels, `@ERROR`, root, sources."""
        self.begin(root)
        report_workers(root, self.world.workers, self.report)
        elements = list(sections_of(root, self.world.worker_id))
        labels = self._labels(elements)
        lint(elements, self.registry, self.report)
        self.routers[ROOT] = self._router(ROOT)
        for name in labels:
            self.routers[name] = self._router(name)
        if (label := self.routers.get(ERROR)) is not None:
            self.world.dead_letters.label = label
            self.world.dead_letters.edge = self.world.edges.between("errors", label.title)
        for name in sorted(labels, key=lambda name: name == ERROR):
            self._fill(self.routers[name], labels[name].elements)
        self._fill(self.routers[ROOT], elements)
        for element in elements:
            if element.name == "source" and with_sources:
                self._source(element)
            elif element.name not in DIRECTIVES and not element.name.startswith("@"):
                hint = did_you_mean(element.name, DIRECTIVES)
                message = f"section {element.title} is not used"
                self.report(warning("unknown-section", message, element.position, hint))

    def _labels(self, elements: list[Element]) -> dict[str, Element]:
        labels: dict[str, Element] = {}
        for element in elements:
            if element.name != "label":
                continue
            problem = _label_problem(element, labels)
            if problem:
                self.report(error("invalid-label", f"{element.title}: {problem}", element.position))
            labels.setdefault(element.arg, element)
        return labels

    def _router(self, name: str) -> Router:
        world = self.world
        return Router(
            name, log=self.log, dead_letters=world.dead_letters, edges=world.edges, is_error_label=name == ERROR
        )

    def _fill(self, router: Router, elements: list[Element]) -> None:
        for element in elements:
            if element.name not in {"filter", "match"}:
                continue
            try:
                matches = compile_pattern(element.arg)
            except InvalidPatternError as problem:
                start = element.arg_position
                place = Position(start.file, start.line, start.column + problem.offset)
                self.report(error("invalid-pattern", f"{element.title}: {problem}", place))
                continue
            found = self.outlets.top(element, router) if element.name == "match" else self._filter(element, router)
            if found is not None:
                stage, host = found
                router.add(Rule(matches, stage, host, sizes=host.sizes if element.name == "filter" else None))

    def _filter(self, element: Element, router: Router) -> tuple[Filter[Any] | AsyncFilter[Any], PluginHost] | None:
        conf = self.configured("filter", element)
        if conf is None:
            return None
        host = self.host(conf, router, FilterPluginHost, self.outlets)
        plugin = self.construct(conf, host)
        if not isinstance(plugin, (Filter, AsyncFilter)):
            return None
        self.stages.filters.append(Stage(plugin, host))
        return plugin, host

    def _source(self, element: Element) -> None:
        conf = self.configured("input", element)
        if conf is None:
            return
        host = self.host(conf, self.routers[ROOT], InputPluginHost, self.outlets)
        plugin = self.construct(conf, host)
        if isinstance(plugin, Input):
            self.stages.inputs.append(Stage(plugin, host))


def _label_problem(element: Element, labels: dict[str, Element]) -> str:
    if not element.arg:
        return "a label needs a name: write <label @NAME>"
    if element.arg == ROOT:
        return "@ROOT is the name of what stands outside labels"
    if element.arg in labels:
        return f"the label is defined twice, first at {labels[element.arg].position}"
    if not any(True for _ in element.sections("match")):
        return "a label needs at least one <match>"
    return ""
