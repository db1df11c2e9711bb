"""Gives each tag an output of its own. Settings and rules: fluent-plugin-forest 0.3.3, out_forest.rb."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from logpipe import (
    EventBatch,
    InvalidSetting,
    LogpipeError,
    Options,
    Outlet,
    Output,
    OutputHost,
    PluginConf,
    param,
    raw_section,
)
from logpipe.tree import Diagnostic, Element, Position, compile_pattern
from logpipe_community.forest.template import Template, UnusableTagError


class ForestOptions(Options):
    """Settings of `<match> @type forest`."""

    subtype: str = param("The type of the outputs.")
    remove_prefix: str | None = param("What is cut off the tag, with the dot behind it, first.", default=None)
    add_prefix: str | None = param("What is put before the tag, with a dot behind it, then.", default=None)
    hostname: str | None = param("What stands for `${hostname}`; without it, the machine's name.", default=None)
    escape_tag_separator: str = param("What stands for a dot in `${escaped_tag}`.", default="_")
    max_outputs: int = param(
        "How many outputs there may be, since whoever chooses tags makes them; events of further tags go to `@ERROR`.",
        default=1000,
    )
    template: list[Element] = raw_section(
        "Settings of all outputs. `${tag}`, `${tag_parts[0]}`, `${tag_parts[1..-1]}`, `${escaped_tag}` and "
        "`${hostname}` stand for what they say, and so do `__TAG__`, `__TAG_PARTS[0]__`, `__ESCAPED_TAG__`, "
        "`__HOSTNAME__`."
    )
    case: list[Element] = raw_section(
        "`<case PATTERN>`: settings of the outputs whose tag matches, over those of `<template>`; the first counts."
    )
    pattern: list[Element] = raw_section("The same as `<case>`.")

    @property
    def cases(self) -> list[Element]:
        """Both, in the order of the file."""
        return sorted([*self.case, *self.pattern], key=lambda each: each.position.line)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield patterns that are none."""
        if self.max_outputs < 1:
            yield InvalidSetting("max_outputs must be 1 or more", param="max_outputs")
        for case in self.cases:
            try:
                compile_pattern(case.arg)
            except ValueError as problem:
                yield f"{case.title}: {problem}"


class Forest(Output[ForestOptions], type="forest"):
    """Makes an output for each tag of `<template>` and `<case>`, with its buffer, when the first event of it comes.

    A tag is written into settings only if it can mean nothing else in a path, a command or a URL. Events of other tags,
    of tags for which no output can be made, and of too many tags go to `@ERROR`, where the original drops them.
    """

    passes_to = "store"

    def __init__(self, options: ForestOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._template = Template(
            options.subtype,
            options.template,
            options.cases,
            separator=options.escape_tag_separator,
            hostname=options.hostname or host.hostname,
            name="" if host.root_dir is None else host.plugin_id,
        )
        self._outlets: dict[str, Outlet | LogpipeError] = {}
        self._said: set[tuple[str, Position]] = set()
        host.gauge("outputs", lambda: len(self._outlets))
        self._look()

    def _look(self) -> None:
        """Look at what the settings of outputs have that does not depend on a tag.

        Raises:
            InvalidSetting: it cannot be used.
        """
        open_lines = self._template.open_lines()
        for tag in self._template.samples():
            for found in self._configured(tag)[1]:
                place = found.position
                if found.severity == "error" and (place.file, place.line) not in open_lines:
                    hint = f": {found.hint}" if found.hint else ""
                    is_of_type = found.code == "unknown-plugin" and not place.line
                    text, param = f"{found.message}{hint}", "subtype" if is_of_type else ""
                    where = place if place.line else None
                    raise InvalidSetting(text, param=param, position=where, code=found.code)

    async def start(self) -> None:
        """Make the outputs whose buffers have something left of an earlier run, in folders that are called by them."""
        if self.host.root_dir is None:
            return
        for tag in await self.host.in_thread(_tags_left, self.host.root_dir):
            outlet = self._plant(tag)
            if not isinstance(outlet, LogpipeError):
                try:
                    await outlet.process(EventBatch(tag, [], []))  # an output starts with its first batch
                except LogpipeError as problem:
                    self.host.log.warning("tag %r: its output does not start yet: %s", tag, problem)

    async def process(self, batch: EventBatch) -> None:
        """Give a batch to the output of its tag.

        Raises:
            Exception: the output's.
        """
        batch.tag = self._changed(batch.tag)
        outlet = self._outlets.get(batch.tag) or self._plant(batch.tag)
        if isinstance(outlet, LogpipeError):
            for time, record in batch.events():
                self.host.emit_error(batch.tag, time, record, outlet, receipt=batch.receipt)
            return
        await outlet.process(batch)

    def _changed(self, tag: str) -> str:
        removed, added = self.options.remove_prefix, self.options.add_prefix
        if removed is not None:
            tag = "" if tag == removed else tag.removeprefix(f"{removed}.")
        if added is not None:
            tag = f"{added}.{tag}" if tag else added
        return tag

    def _plant(self, tag: str) -> Outlet | LogpipeError:
        """Return a new output, or why there is none."""
        if len(self._outlets) >= self.options.max_outputs:
            return LogpipeError(f"there are outputs for {len(self._outlets)} tags already: max_outputs allows no more")
        found: Outlet | LogpipeError
        try:
            found = self._made(tag)
        except UnusableTagError as problem:
            return problem
        except LogpipeError as problem:
            text = "tag %r: failed to configure sub output %s: %s"
            self.host.log.error(text, tag, self.options.subtype, problem)  # noqa: TRY400 - one line a tag
            found = problem
        else:
            self.host.log.info("tag %r: a new output of type %s", tag, self.options.subtype)
        self._outlets[tag] = found
        return found

    def _made(self, tag: str) -> Outlet:
        """Return a tag's output.

        Raises:
            LogpipeError: it cannot be made.
        """
        conf, found = self._configured(tag)
        for each in found:
            if conf is not None and each.severity == "warning" and (each.code, each.position) not in self._said:
                self._said.add((each.code, each.position))  # places are those of the file: there are few
                self.host.log.warning("%s", each)
        if conf is None:
            problem = next((each for each in found if each.severity == "error"), None)
            raise LogpipeError("no output can be made of it" if problem is None else problem.message)
        return self.host.outlet(conf)

    def _configured(self, tag: str) -> tuple[PluginConf | None, list[Diagnostic]]:
        found: list[Diagnostic] = []
        return self.host.configured(self._template.section(tag), found.append), found


def _tags_left(folder: Path) -> list[str]:
    """Return the tags of outputs that have files in folders of their own, beside this one."""
    if not folder.parent.is_dir():
        return []
    prefix = f"{folder.name}."
    own = sorted(each for each in folder.parent.iterdir() if each.name.startswith(prefix))
    return [each.name.removeprefix(prefix) for each in own if any(path.is_file() for path in each.rglob("*"))]
