"""`@type elasticsearch_dynamic`: settings with Ruby in them, for each event. Rules: out_elasticsearch_dynamic.rb."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from logpipe import Chunk, InvalidSetting, OutputHost, Record, Time, param
from logpipe.ruby import ExpressionError, Reading, Template, compile_template, to_s
from logpipe_elasticsearch.documents.documents import Names, Naming
from logpipe_elasticsearch.documents.names import part_of_name
from logpipe_elasticsearch.documents.times import checked_pattern
from logpipe_elasticsearch.options.connection import has_placeholder
from logpipe_elasticsearch.out_elasticsearch import ElasticsearchBase, ElasticsearchOptions

_FIELDS: Final = {
    "index_name": "index_name",
    "logstash_prefix": "prefix",
    "logstash_dateformat": "dateformat",
    "type_name": "type_name",
    "write_operation": "operation",
    "time_key": "time_key",
    "tag_key": "tag_key",
    "id_key": "id_key",
    "parent_key": "parent_key",
    "routing_key": "routing_key",
}
"""The settings that may have Ruby in them, and the names that they give."""
_VARIABLE: Final = re.compile(r"@([a-z_]+)")
_EXPRESSION: Final = re.compile(r"\$\{.+?\}")
_MOST_TAGS: Final = 1000


class DynamicOptions(ElasticsearchOptions):
    """Settings of `<match> @type elasticsearch_dynamic`."""

    delimiter: str = param("What divides a tag into `tag_parts`.", default=".", no_effect="tags are divided at dots")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield expressions that cannot be run."""
        yield from super().check()
        for name in _FIELDS:
            text = getattr(self, name)
            if text and has_placeholder(text):
                try:
                    self.compiled(name)
                except ExpressionError as problem:
                    yield InvalidSetting(str(problem), param=name)

    def compiled(self, name: str) -> Template:
        """Return a setting as a function of an event.

        Raises:
            ExpressionError: it uses what expressions may not.
        """
        text = _EXPRESSION.sub(self._without_variables, getattr(self, name))
        return compile_template(text, Reading(auto_typecast=False), origin=name)

    def _without_variables(self, found: re.Match[str]) -> str:
        """Return an expression with the plugin's own settings, `@logstash_dateformat`, as texts."""

        def value(variable: re.Match[str]) -> str:
            given = getattr(self, variable[1], None)
            return variable[0] if not isinstance(given, str) else "'" + re.sub(r"([\\'])", r"\\\1", given) + "'"

        return _VARIABLE.sub(value, found[0])


class ElasticsearchDynamic(ElasticsearchBase[DynamicOptions], type="elasticsearch_dynamic"):
    """Sends each event where its settings' Ruby says, `${record['kubernetes']['namespace_name']}`, in bulk requests.

    What the plugin only writes into its log, that documents were refused, is handled as by `elasticsearch`.
    """

    def __init__(self, options: DynamicOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._templates_by_name = {
            field: options.compiled(setting)
            for setting, field in _FIELDS.items()
            if (text := getattr(options, setting)) and has_placeholder(text)
        }
        self._bound: dict[str, dict[str, Callable[[Record, Time], Any]]] = {}

    def filled(self, template: Any, chunk: Chunk, quote_: Callable[[str], str] | None = None) -> Any:
        """Return a setting as it is: it is filled in for each event."""
        del chunk, quote_
        return template

    def naming(self, chunk: Chunk) -> Naming:
        """Return what runs the expressions for an event."""
        common = self.names(chunk)
        if not self._templates_by_name:
            return lambda _tag, _time, _record: common

        def names(tag: str, time: Time, record: Record) -> Names:
            found: dict[str, Any] = {name: to_s(value(record, time)) for name, value in self._values(tag).items()}
            for name in ("index_name", "prefix", "dateformat"):
                if name in found:
                    part_of_name(found[name])
            if "dateformat" in found:
                checked_pattern(found["dateformat"])
            return common._replace(**found)

        return names

    def _values(self, tag: str) -> dict[str, Callable[[Record, Time], Any]]:
        bound = self._bound.get(tag)
        if bound is None:
            if len(self._bound) >= _MOST_TAGS:
                self._bound.clear()
            bound = self._bound[tag] = {
                name: template.bind(tag, hostname=self.host.hostname, env=os.environ)
                for name, template in self._templates_by_name.items()
            }
        return bound
