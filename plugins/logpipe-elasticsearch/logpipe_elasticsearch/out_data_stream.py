"""`@type elasticsearch_data_stream` and `opensearch_data_stream`, as the plugins' out_*_data_stream.rb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from logpipe import Chunk, InvalidSetting, Options, OutputHost, PermanentError, param
from logpipe_elasticsearch.cluster.cluster import Cluster
from logpipe_elasticsearch.documents.documents import Names, Server, Target
from logpipe_elasticsearch.documents.names import begins_itself, part_of_name, whole_name
from logpipe_elasticsearch.indexes.templates import DEFAULT_POLICY, Wanted, in_path
from logpipe_elasticsearch.options.connection import has_placeholder, text_or_none
from logpipe_elasticsearch.out_elasticsearch import ElasticsearchBase, ElasticsearchOptions
from logpipe_elasticsearch.out_opensearch import OpenSearchBase, OpenSearchOptions

_START: Final = ("-", "_", "+", ".")
_INVALID: Final = ("\\", "/", "*", "?", '"', "<", ">", "|", " ", ",", "#", ":")
_LONGEST: Final = 255


def wrong_name(name: str) -> str:
    """Return what is wrong with the name of a data stream, "" for nothing; the words are the plugin's."""
    if name in {".", ".."}:
        return "must not be . or .."
    if name.startswith(_START):
        return f"must not start with {','.join(_START)}"
    if any(char in name for char in _INVALID):
        return f"must not contain invalid characters {','.join(_INVALID)}"
    if name.lower() != name:
        return "must be lowercase only"
    return "must not be longer than 255 bytes" if len(name.encode()) > _LONGEST else ""


class StreamOptions(Options):
    """What is said of a data stream."""

    data_stream_name: str = param("Name of the data stream, with placeholders.")
    data_stream_template_name: str | None = param(
        "Name of its index template; unset: the stream's with `_template` behind.", default=None, convert=text_or_none
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield names that there cannot be."""
        yield from super().check()
        if has_placeholder(self.data_stream_name):
            return
        for name in ("data_stream_name", "data_stream_template_name", "data_stream_ilm_name"):
            value = getattr(self, name, None)
            if value is not None and (wrong := wrong_name(value)):
                yield InvalidSetting(f"'{name}' {wrong}: <{value}>", param=name)


class ElasticsearchDataStreamOptions(StreamOptions, ElasticsearchOptions):
    """Settings of `<match> @type elasticsearch_data_stream`."""

    use_legacy_template: bool = param("Accepted for compatibility; data streams have none.", default=False)
    data_stream_ilm_name: str | None = param(
        "Name of its lifecycle policy; unset: the stream's with `_policy` behind.", default=None, convert=text_or_none
    )
    data_stream_ilm_policy: str | None = param(
        "The policy, JSON; unset: roll over at 50 GB or 30 days.", default=None, convert=text_or_none
    )
    data_stream_ilm_policy_overwrite: bool = param("Install it though there is one of that name.", default=False)
    data_stream_template_use_index_patterns_wildcard: bool = param(
        "Whether the template is for all streams whose names begin so.", default=True
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a policy that is none."""
        yield from super().check()
        try:
            json.loads(self.data_stream_ilm_policy or "{}")
        except ValueError as problem:
            yield InvalidSetting(f"this is no JSON: {problem}", param="data_stream_ilm_policy")


class OpenSearchDataStreamOptions(StreamOptions, OpenSearchOptions):
    """Settings of `<match> @type opensearch_data_stream`."""

    use_legacy_template: bool = param("Accepted for compatibility; data streams have none.", default=False)


def _stream_names(output: Any, chunk: Chunk, names: Names) -> Names:
    """Return a chunk's names with the stream's in the place of the index: documents are created in it."""
    template = output.options.data_stream_name
    name = output.filled(template, chunk, part_of_name)
    is_own = begins_itself(template)
    whole = whole_name(name, is_own=is_own)
    if wrong := wrong_name(whole):
        raise PermanentError(f"the name of a data stream {wrong}: <{whole[:100]}>")
    return names._replace(index_name=whole, index_is_own=is_own, operation="create", is_stream=True)


class ElasticsearchDataStream(ElasticsearchBase[ElasticsearchDataStreamOptions], type="elasticsearch_data_stream"):
    """Sends chunks to a data stream of Elasticsearch, which it sets up with template and policy."""

    adds_fields = True

    def __init__(self, options: ElasticsearchDataStreamOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._policy = DEFAULT_POLICY
        if options.data_stream_ilm_policy is not None:
            self._policy = json.loads(options.data_stream_ilm_policy)

    async def server(self, cluster: Cluster) -> Server:
        """Return that nothing depends on the version: data streams have no types."""
        del cluster
        return Server()

    def names(self, chunk: Chunk) -> Names:
        """Return the names that hold for a chunk."""
        return _stream_names(self, chunk, super().names(chunk))

    def wanted(self, chunk: Chunk) -> Wanted:
        """Return the stream that a chunk needs."""
        options = self.options
        name = self.names(chunk).index_name
        return Wanted(
            index_name=name,
            template=self.filled(options.data_stream_template_name, chunk, part_of_name) or f"{name}_template",
            policy=self.filled(options.data_stream_ilm_name, chunk, part_of_name) or f"{name}_policy",
        )

    async def set_up_early(self, cluster: Cluster) -> None:
        """Create a stream whose name is known.

        Raises:
            DeliveryError: it does not go.
        """
        options = self.options
        name = options.data_stream_name
        if not has_placeholder(name) and "%" not in name:
            template, policy = options.data_stream_template_name, options.data_stream_ilm_name
            wanted = Wanted(template or f"{name}_template", index_name=name, policy=policy or f"{name}_policy")
            await self.set_up(cluster, Target(), wanted)

    async def set_up(self, cluster: Cluster, target: Target, wanted: Wanted) -> None:
        """Create a stream, unless it is there, after its template and its policy.

        Raises:
            DeliveryError: it does not go.
        """
        del target
        await self.once.do((cluster, wanted), lambda: self._create(cluster, wanted))

    async def _create(self, cluster: Cluster, wanted: Wanted) -> None:
        templates, options = self.templates, self.options
        stream, template = f"/_data_stream/{in_path(wanted.index_name)}", f"/_index_template/{in_path(wanted.template)}"
        is_there = await templates.exists(cluster, stream)
        has_template = is_there or await templates.exists(cluster, template)
        if options.data_stream_ilm_policy_overwrite or not has_template:
            overwrites = options.data_stream_ilm_policy_overwrite
            await templates.install_policy(cluster, wanted.policy, self._policy, overwrites=overwrites)
        if not has_template:
            wildcard = "*" if options.data_stream_template_use_index_patterns_wildcard else ""
            body = {
                "index_patterns": [f"{wanted.index_name}{wildcard}"],
                "data_stream": {},
                "template": {"settings": {"index.lifecycle.name": wanted.policy}},
            }
            await cluster.ask("PUT", template, body)
        if not is_there:
            await cluster.ask("PUT", stream)
            self.host.log.info("data stream %r is created", wanted.index_name)


class OpenSearchDataStream(OpenSearchBase[OpenSearchDataStreamOptions], type="opensearch_data_stream"):
    """Sends chunks to a data stream of OpenSearch, whose template it installs."""

    adds_fields = True

    def names(self, chunk: Chunk) -> Names:
        """Return the names that hold for a chunk."""
        return _stream_names(self, chunk, super().names(chunk))

    def wanted(self, chunk: Chunk) -> Wanted:
        """Return the stream that a chunk needs."""
        setup, name = self.options, self.names(chunk).index_name
        template = self.filled(setup.data_stream_template_name, chunk, part_of_name) or f"{name}_template"
        customize = {
            key: self.filled(value, chunk, part_of_name) for key, value in (setup.customize_template or {}).items()
        }
        return Wanted(template=template.lower(), customize=tuple(customize.items()), index_name=name)

    async def set_up_early(self, cluster: Cluster) -> None:
        """Install the template of a stream whose name is known.

        Raises:
            DeliveryError: it does not go.
        """
        name = self.options.data_stream_name
        texts = (self.options.customize_template or {}).values()
        if not any("${" in text or "%" in text for text in (name, *texts)):
            template = self.options.data_stream_template_name or f"{name}_template"
            customize = tuple((self.options.customize_template or {}).items())
            await self.set_up(cluster, Target(), Wanted(template, customize, name))

    async def set_up(self, cluster: Cluster, target: Target, wanted: Wanted) -> None:
        """Install the template of a stream, unless it or the stream is there; the server creates the stream.

        Raises:
            DeliveryError: it does not go.
        """
        del target
        await self.once.do((cluster, wanted), lambda: self._install(cluster, wanted))

    async def _install(self, cluster: Cluster, wanted: Wanted) -> None:
        templates = self.templates
        path = f"/_index_template/{in_path(wanted.template)}"
        if await templates.exists(cluster, f"/_data_stream/{in_path(wanted.index_name)}"):
            return
        if await templates.exists(cluster, path):
            return
        if self.options.template_file is not None:
            await templates.install(cluster, wanted)
        else:
            await cluster.ask("PUT", path, {"index_patterns": [f"{wanted.index_name}*"], "data_stream": {}})
