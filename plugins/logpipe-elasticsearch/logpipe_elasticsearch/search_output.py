"""What all outputs to search servers share: from a chunk to judged requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Final, Generic, TypeVar
from urllib.parse import quote

from logpipe import Chunk, DeliveryError, Output, OutputHost, PermanentError
from logpipe.bulk import MOST_BYTES, Bulk, BulkRequest, Judged, RequestTooLargeError, gzipped
from logpipe.discovery import Peer
from logpipe.net import RequestFailedError, Seldom
from logpipe_elasticsearch.cluster.cluster import AwsAccess, Cluster
from logpipe_elasticsearch.cluster.verdicts import DONE, Rules, judged
from logpipe_elasticsearch.documents.documents import Documents, Names, Naming, Server, Target, accessor
from logpipe_elasticsearch.documents.names import begins_itself, part_of_name
from logpipe_elasticsearch.failures import names_of, plain_name
from logpipe_elasticsearch.indexes.affinity import ids_of, indexes_of
from logpipe_elasticsearch.indexes.once import Once
from logpipe_elasticsearch.indexes.templates import Templates, Wanted, read_template
from logpipe_elasticsearch.nodes import Node, nodes_of
from logpipe_elasticsearch.options.connection import ConnectionOptions, has_placeholder
from logpipe_elasticsearch.options.documents import DocumentOptions
from logpipe_elasticsearch.options.indexes import LifecycleOptions, TemplateOptions

_ANSWER_BYTES: Final = 4096
"""Of an answer for each document of the request."""
_REPEATS: Final = 8
"""How often an answer may hold what a document does: the reason of a refusal has its value, and so has each cause."""
_MOST_ANSWER: Final = 64 * 1024 * 1024
_LEVELS: Final = {"best_speed": 1, "default_compression": 6, "best_compression": 9}


class SearchOptions(ConnectionOptions, DocumentOptions, TemplateOptions):
    """Settings of all outputs."""


O = TypeVar("O", bound=SearchOptions)  # noqa: E741 - the one letter that reads as "options"


class SearchOutput(Output[O], Generic[O]):
    """Sends chunks in bulk requests, after what their indexes need is set up.

    A document that the server refuses goes to `<secondary>`, `@ERROR` or the dead letters with the server's reason; one
    that it is too busy for is sent again, alone; all others are delivered.
    """

    compat: ClassVar = frozenset({"buffer"})
    buffer_argument = "tag"
    buffer_defaults: ClassVar[dict[str, str]] = {"timekey_use_utc": "true"}
    adds_fields: ClassVar[bool] = False
    """Whether documents get `@timestamp` though no setting says so."""

    def __init__(self, options: O, host: OutputHost) -> None:
        super().__init__(options, host)
        lowest = options.bulk_message_request_threshold
        self._bulk = Bulk(host, self._send, most_bytes=lowest if lowest > 0 else MOST_BYTES)
        self._level = _LEVELS.get(options.compression_level, 0)
        self._rules = Rules(options.product, frozenset(self.final_types()))
        self._ignored = frozenset(map(plain_name, options.ignore_exceptions))
        self._clusters: dict[str, Cluster] = {}
        self.lifecycle: LifecycleOptions | None = options if isinstance(options, LifecycleOptions) else None
        self.templates = Templates(options, host)
        self.once = Once(options, host)
        self._documents = Documents(
            options,
            Seldom(host.log.warning, host.clock.monotonic, "times"),
            is_set_up_by_index=self.has_template and self.lifecycle is not None,
            adds_fields=self.adds_fields,
        )
        for path in (options.id_key, options.parent_key, options.routing_key):
            if path is not None and not has_placeholder(path):
                accessor(path)

    # what the outputs have of their own

    def final_types(self) -> Collection[str]:
        """Return the types of errors that the settings call final."""
        return ()

    def bulk_content_type(self) -> str:
        """Return the Content-Type of bulk requests."""
        return "application/x-ndjson"

    def authorization(self) -> str | None:
        """Return the header that says who sends; None for what the nodes say."""
        return None

    def aws(self) -> AwsAccess | None:
        """Return what signs requests; None where they are not signed."""
        return None

    def has_fixed_nodes(self) -> bool:
        """Return whether other settings than `host` and `hosts` name the nodes."""
        return False

    def fixed_nodes(self) -> list[Node]:
        """Return those nodes.

        Raises:
            ValueError: they are none.
        """
        return []

    async def server(self, cluster: Cluster) -> Server:
        """Return what depends on the server's version."""
        del cluster
        return Server()

    def naming(self, chunk: Chunk) -> Naming:
        """Return what gives the names for a chunk's events.

        Raises:
            PermanentError: an event must not choose them.
        """
        names = self.names(chunk)
        return lambda _tag, _time, _record: names

    # the way of a chunk

    async def start(self) -> None:
        """Read the files of TLS and of templates, and set up what no chunk is needed for.

        Raises:
            TlsError: a file of TLS cannot be used.
            DeliveryError: a template cannot, or there is no such host.
        """
        if self.has_template and self.options.customize_template is None:
            read_template(self.options.template_file or "", {})
        if self._fixed_hosts() is not None:
            self._cluster(self._hosts_setting()).check()
            self.host.start_task(self._begin(), name="set up")

    async def peers(self) -> list[Peer]:
        """Return the nodes, or those that placeholders may become."""
        fixed = self._fixed_hosts()
        texts = self.options.allowed_hosts if fixed is None else [fixed]
        return [peer for text in texts for peer in self._cluster(text).peers()]

    async def stop(self) -> None:
        """Close the connections."""
        for cluster in self._clusters.values():
            await cluster.stop()

    async def write(self, chunk: Chunk) -> None:
        """Deliver a chunk.

        Raises:
            PermanentError: an event has chosen what it must not choose.
            RefusedRecords: the server refuses some documents; all others are delivered.
            DeliveryError: it is to be tried again.
        """
        cluster = self._cluster_of(chunk)
        await self.prepare(cluster)
        server = await self.server(cluster)
        make = self._documents.maker(
            self.naming(chunk),
            server,
            chunk_id=chunk.id,
            affinity=await self._affinity(cluster, chunk),
            settings=(cluster, self.wanted(chunk)),
        )
        await self._bulk.deliver(chunk, make)

    def names(self, chunk: Chunk) -> Names:
        """Return the names that hold for a chunk."""
        options = self.options
        return Names(
            index_name=self.filled(options.index_name, chunk, part_of_name),
            prefix=self.filled(options.logstash_prefix, chunk, part_of_name),
            dateformat=self.filled(options.logstash_dateformat, chunk, _no_directive),
            type_name=self.filled(getattr(options, "type_name", None), chunk),
            pipeline=self.filled(options.pipeline, chunk),
            application=self.filled(getattr(options, "application_name", ""), chunk, part_of_name),
            operation=options.write_operation,
            time_key=options.time_key,
            tag_key=options.tag_key,
            id_key=options.id_key,
            parent_key=options.parent_key,
            routing_key=options.routing_key,
            index_is_own=begins_itself(options.index_name),
            prefix_is_own=begins_itself(options.logstash_prefix),
        )

    def filled(self, template: Any, chunk: Chunk, quote_: Callable[[str], str] | None = None) -> Any:
        """Return a setting with its placeholders filled in.

        Raises:
            PermanentError: a value must not stand there.
        """
        return template and self.host.expand(template, chunk, quote=quote_)

    async def prepare(self, cluster: Cluster) -> None:
        """Set up what is needed whatever a chunk holds.

        Raises:
            DeliveryError: it does not go.
        """
        if self.options.templates:
            await self.once.do((cluster, "templates"), lambda: self.templates.install_listed(cluster))

    def wanted(self, chunk: Chunk) -> Wanted | None:
        """Return what a chunk's documents need; None for nothing."""
        setup, lifecycle = self.options, self.lifecycle
        if not self.has_template:
            return None
        customize = {
            key: self.filled(value, chunk, part_of_name) for key, value in (setup.customize_template or {}).items()
        }
        index = self.filled(self.options.index_name, chunk, part_of_name)
        return Wanted(
            template=self.filled(setup.template_name, chunk, part_of_name),
            customize=tuple(customize.items()),
            index_name=index,
            alias=self.filled(lifecycle.deflector_alias, chunk, part_of_name) or "" if lifecycle is not None else "",
            application=self.filled(setup.application_name, chunk, part_of_name),
            policy=self.filled(lifecycle.ilm_policy_id, chunk, part_of_name) if lifecycle is not None else "",
        )

    async def set_up(self, cluster: Cluster, target: Target, wanted: Wanted) -> None:
        """Set up what the documents of one request need.

        Raises:
            DeliveryError: it does not go.
        """
        if self.options.logstash_format and target.index:
            # compat: each of these indexes is an alias of its own, of which application and date are in the first name
            wanted = wanted._replace(index_name=target.alias, alias=wanted.alias or target.index, application="")
        elif not wanted.alias:
            wanted = wanted._replace(alias=target.index or wanted.index_name.lower())
        await self.once.do((cluster, wanted), lambda: self.templates.install(cluster, wanted))

    async def _send(self, request: BulkRequest) -> Judged:
        """Send one request and return what the answer says."""
        target = request.target
        assert isinstance(target, Target)  # noqa: S101 - as the documents are made
        cluster, wanted = target.settings
        if wanted is not None:
            await self.set_up(cluster, target, wanted)
        path = f"/{quote(target.url_index, safe='')}/_bulk" if target.url_index else "/_bulk"
        body, headers = request.parts, {"Content-Type": self.bulk_content_type()}
        if self._level:
            body = await self.host.in_thread(gzipped, body, self._level)
            headers["Content-Encoding"] = "gzip"
        most = min(_MOST_ANSWER, 65_536 + _ANSWER_BYTES * len(request) + _REPEATS * request.size)
        try:
            answer = await cluster.request("POST", path, body=body, headers=headers, most_answer=most)
        except RequestFailedError as error:
            return self._given_up(request, error, names_of(error))
        try:
            return await self.host.in_thread(judged, answer, len(request), self._rules)
        except RequestTooLargeError:
            raise  # it is divided, or refused
        except DeliveryError as error:
            return self._given_up(request, error, names_of(answer if answer.status not in DONE else error))

    def _given_up(self, request: BulkRequest, error: DeliveryError, names: set[str]) -> Judged:
        """Return what `ignore_exceptions` makes of a request that failed.

        Raises:
            DeliveryError: the error, which the settings do not name.
        """
        if self._ignored.isdisjoint(names):
            raise error
        # compat: the message of out_elasticsearch.rb
        self.host.log.warning("Exception ignored: %s", error)
        if self.options.exception_backup:
            return Judged(refused=dict.fromkeys(range(len(request)), str(error)))
        self.host.dropped(len(request))
        return Judged()

    async def _affinity(self, cluster: Cluster, chunk: Chunk) -> Mapping[str, str] | None:
        """Return in which index the documents of a chunk are, by id, with `target_index_affinity`."""
        options = self.options
        wanted = options.target_index_affinity and options.logstash_format and options.id_key is not None
        if not wanted or options.write_operation not in {"update", "upsert"}:
            return None
        ids = await self.host.in_thread(ids_of, chunk, accessor(options.id_key or ""))
        prefix = self.filled(options.logstash_prefix, chunk, part_of_name)
        return await indexes_of(cluster, f"{prefix}{options.logstash_prefix_separator}*".lower(), ids)

    async def _begin(self) -> None:
        """Set up what no chunk is needed for; what fails is told, and tried again with the first chunk."""
        try:
            await self.prepare(self._cluster(self._hosts_setting()))
            await self.set_up_early(self._cluster(self._hosts_setting()))
        except DeliveryError as error:
            self.host.log.warning("indexes are set up with the first chunk, since now it does not go: %s", error)

    async def set_up_early(self, cluster: Cluster) -> None:
        """Set up what does not depend on a chunk.

        Raises:
            DeliveryError: it does not go.
        """
        options, lifecycle = self.options, self.lifecycle
        if not self.has_template or options.logstash_format:
            return
        texts = [options.index_name, options.template_name, options.application_name]
        texts.extend((options.customize_template or {}).values())
        if lifecycle is not None:
            texts += [lifecycle.deflector_alias, lifecycle.ilm_policy_id]
        if any("${" in text or "%" in text for text in texts if text):
            return
        wanted = Wanted(
            template=options.template_name or "",
            customize=tuple((options.customize_template or {}).items()),
            index_name=options.index_name,
            alias=(lifecycle.deflector_alias or "") if lifecycle is not None else "",
            application=options.application_name,
            policy=lifecycle.ilm_policy_id if lifecycle is not None else "",
        )
        await self.set_up(cluster, Target(), wanted)

    @property
    def has_template(self) -> bool:
        """Whether a template is installed for what documents are written to."""
        return bool(self.options.template_name and self.options.template_file)

    # where the cluster is

    def _hosts_setting(self) -> str:
        return self.options.hosts or self.options.host

    def _fixed_hosts(self) -> str | None:
        text = self._hosts_setting()
        return text if self.has_fixed_nodes() or not has_placeholder(text) else None

    def _cluster_of(self, chunk: Chunk) -> Cluster:
        """Return the cluster of a chunk.

        Raises:
            PermanentError: its events name a host that is not allowed.
        """
        text = self._fixed_hosts()
        if text is None:
            text = self.host.expand(self._hosts_setting(), chunk, quote=self._one_host)
            self.check_allowed(text)
        return self._cluster(text)

    def check_allowed(self, text: str) -> None:
        """Return if events may choose these hosts.

        Raises:
            PermanentError: they must not.
        """
        if not {part.strip() for part in text.split(",")} <= set(self.options.allowed_hosts):
            # the setting may have a password around the placeholder
            raise PermanentError("Not allowed host: what the event gives makes none of allowed_hosts")

    def _one_host(self, value: str) -> str:
        """Return what an event gives for a host; of lists it could make any number, each with connections of its own.

        Raises:
            PermanentError: it is a list.
        """
        if "," in value and not {value} <= set(self.options.allowed_hosts):
            raise PermanentError(f"Not allowed host: {value[:100]!r}")
        return value

    def _cluster(self, text: str) -> Cluster:
        cluster = self._clusters.get(text)
        if cluster is None:
            try:
                nodes = self.fixed_nodes() if self.has_fixed_nodes() else nodes_of(text, self.options.node())
            except ValueError as problem:
                raise DeliveryError(str(problem)) from None
            cluster = Cluster(self.options, nodes, self.host, authorization=self.authorization(), aws=self.aws())
            self._clusters[text] = cluster
        return cluster


def _no_directive(value: str) -> str:
    """Return a value for a date's pattern, in which it is no directive."""
    return part_of_name(value).replace("%", "%%")
