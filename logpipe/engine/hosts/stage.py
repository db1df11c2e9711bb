"""The plugins of a graph, each with its host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from logpipe.engine.hosts.host import PluginHost
from logpipe.engine.hosts.kinds import FilterPluginHost, InputPluginHost, OutputPluginHost
from logpipe.plugin import Plugin

K_co = TypeVar("K_co", bound=PluginHost, covariant=True)


@dataclass(frozen=True, slots=True)
class Stage(Generic[K_co]):
    """A plugin with its host."""

    plugin: Plugin[Any]
    host: K_co


@dataclass(slots=True)
class Stages:
    """Every plugin of a graph, in the order they were built."""

    inputs: list[Stage[InputPluginHost]] = field(default_factory=list)
    filters: list[Stage[FilterPluginHost]] = field(default_factory=list)
    outputs: list[Stage[OutputPluginHost]] = field(default_factory=list)
