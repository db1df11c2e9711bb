"""The paths of the API, and what is answered at each. Paths, queries and shapes: fluentd's in_monitor_agent.rb."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from logpipe import InputHost, Record
from logpipe.builtin.in_monitor_agent import prometheus
from logpipe.builtin.in_monitor_agent.states import Shown, show
from logpipe.codec import dump_record
from logpipe.monitor import CONTENT_TYPE, Monitor, PluginState
from logpipe.net import Handler, Reply, Request, Route

LTSV: Final = "text/plain; charset=utf-8"

Query: TypeAlias = Mapping[str, str]
Page: TypeAlias = Callable[[Query], Reply]


def to_json(document: Record, query: Query) -> Reply:
    """Answer with JSON, on several lines with ?debug=."""
    # compat: in_monitor_agent.rb indents with any value of debug
    return Reply(json.dumps(document, indent=2).encode() if query.get("debug") else dump_record(document))


class Answers:
    """Answers by what the graph of `host` says of itself; `included` is the most that is shown of a plugin."""

    def __init__(self, host: InputHost, included: Shown) -> None:
        self._host = host
        self._included = included

    @property
    def _monitor(self) -> Monitor:
        return self._host.monitor  # which is there from the start on

    def routes(self) -> dict[str, Route]:
        """Return what answers at each path."""
        pages: dict[str, Page] = {
            "/api/plugins": lambda query: _ltsv(self._plugins(query)),
            "/api/plugins.json": lambda query: to_json({"plugins": self._plugins(query)}, query),
            "/api/config": lambda _query: _ltsv([dict(self._monitor.process())]),
            "/api/config.json": lambda query: to_json(dict(self._monitor.process()), query),
            "/api/ledger.json": lambda query: to_json(dict(self._monitor.ledger()), query),
            "/api/health": lambda query: to_json({"status": "ok"}, query),
            "/metrics": self._metrics,
        }
        return {path: Route(_handler(page)) for path, page in pages.items()}

    def _plugins(self, query: Query) -> list[Record]:
        shown = Shown(
            config=self._included.config and _is_wanted(query, "with_config"),
            retry=self._included.retry and _is_wanted(query, "with_retry"),
        )
        return [show(state, shown) for state in self._found(query)]

    def _found(self, query: Query) -> Iterable[PluginState]:
        """Return the plugins that are asked for: the first of tag, id and type that is given decides."""
        if "tag" in query:
            state = self._monitor.output_of(query["tag"])
            return [] if state is None else [state]
        plugins = self._monitor.plugins()
        plugin_id = query.get("@id", query.get("id"))
        if plugin_id is not None:
            return [state for state in plugins if state.plugin_id == plugin_id]
        type_name = query.get("@type", query.get("type"))
        return plugins if type_name is None else [state for state in plugins if state.type == type_name]

    def _metrics(self, _query: Query) -> Reply:
        return Reply(prometheus.expose(self._monitor).encode("utf-8", "replace"), CONTENT_TYPE)


def _handler(page: Page) -> Handler:
    async def handle(request: Request) -> Reply:
        return page(request.query)

    return handle


def _is_wanted(query: Query, name: str) -> bool:
    """Return whether what is included is to be shown: a query can only take away, as in fluentd since 1.19.3."""
    return query.get(name, "true") in {"true", "yes", ""}


def _ltsv(records: Iterable[Record]) -> Reply:
    lines = ("\t".join(_fields(record)) + "\n" for record in records)
    return Reply("".join(lines).encode("utf-8", "replace"), LTSV)


def _fields(record: Record) -> Iterator[str]:
    for key, value in record.items():
        if isinstance(value, list):
            yield f"{key}:{','.join(map(_text, value))}"
        elif not isinstance(value, dict):  # compat: in_monitor_agent.rb has no place for objects in a line
            yield f"{key}:{_text(value)}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
