"""`@type elasticsearch`. Settings and rules: fluent-plugin-elasticsearch 6.0.0."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from typing import Final, Generic, Literal, TypeVar

from logpipe import InvalidSetting, OutputHost, param
from logpipe_elasticsearch.cluster.cluster import Cluster, basic
from logpipe_elasticsearch.cluster.version import Versions
from logpipe_elasticsearch.documents.documents import Server
from logpipe_elasticsearch.indexes.templates import check_lifecycle
from logpipe_elasticsearch.nodes import Node, cloud_node
from logpipe_elasticsearch.options.connection import text_or_none
from logpipe_elasticsearch.options.indexes import LifecycleOptions
from logpipe_elasticsearch.search_output import SearchOptions, SearchOutput

_REASON: Final = "the server's reason is always told"


class ElasticsearchOptions(SearchOptions, LifecycleOptions):
    """Settings of `<match> @type elasticsearch`."""

    cloud_id: str | None = param("Deployment of Elastic Cloud, in place of hosts.", default=None, convert=text_or_none)
    cloud_auth: str | None = param("Its `user:password`.", default=None, secret=True, convert=text_or_none)
    api_key: str | None = param(
        "`id:key` in place of user and password.", default=None, secret=True, convert=text_or_none
    )
    type_name: str = param(
        "`_type` of documents up to version 6; version 7 has `_doc`, later ones none.", default="fluentd"
    )
    suppress_type_name: bool = param("Send no `_type` to version 7.", default=False)
    target_type_key: str | None = param(
        "Field with it.", default=None, convert=text_or_none, no_effect="types ended with version 7: write type_name"
    )
    content_type: Literal["application/json", "application/x-ndjson"] = param(
        "Content-Type of bulk requests.", default="application/x-ndjson"
    )
    verify_es_version_at_startup: bool = param(
        "Ask the server for its version, which decides about `_type`.", default=True
    )
    default_elasticsearch_version: int = param("The version where it is not asked.", default=5)
    max_retry_get_es_version: int = param(
        "With `fail_on_detecting_es_version_retry_exceed false`, failures after which `default_elasticsearch_version` "
        "is taken.",
        default=15,
    )
    fail_on_detecting_es_version_retry_exceed: bool = param(
        "Whether nothing is sent until the server has told its version; each attempt of a chunk asks again, where the "
        "plugin's own start fails in the end.",
        default=True,
    )
    unrecoverable_error_types: list[str] | None = param(
        "Types of errors after which a document is not sent again. The plugin's default makes dead letters of what the "
        "server is too busy for; unset, that is sent again.",
        default=None,
    )
    log_es_400_reason: bool = param(f"Accepted for compatibility; {_REASON}.", default=False)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what contradicts another."""
        yield from super().check()
        if self.cloud_id is not None:
            if self.cloud_auth is None:
                message = "`cloud_auth` must be present if `cloud_id` is present"  # compat
                yield InvalidSetting(message, param="cloud_id")
            try:
                cloud_node(self.cloud_id, self.node())
            except ValueError as problem:
                yield InvalidSetting(str(problem), param="cloud_id")
        if self.max_retry_get_es_version < 0:
            message = "'max_retry_get_es_version' must be greater than or equal to zero."  # compat
            yield InvalidSetting(message, param="max_retry_get_es_version")


E = TypeVar("E", bound=ElasticsearchOptions)


class ElasticsearchBase(SearchOutput[E], Generic[E]):
    """What is Elasticsearch's own."""

    def __init__(self, options: E, host: OutputHost) -> None:
        super().__init__(options, host)
        self._versions = Versions(
            host,
            asks=options.verify_es_version_at_startup,
            default=options.default_elasticsearch_version,
            most=None if options.fail_on_detecting_es_version_retry_exceed else options.max_retry_get_es_version,
        )

    def final_types(self) -> Collection[str]:
        """Return those of the settings."""
        return self.options.unrecoverable_error_types or ()

    def bulk_content_type(self) -> str:
        """Return that of the settings."""
        return self.options.content_type

    def authorization(self) -> str | None:
        """Return that of an API key or of a cloud's user."""
        options = self.options
        if options.cloud_auth is not None:
            user, _, password = options.cloud_auth.partition(":")
            return basic(user, password)
        if options.api_key is not None:
            return f"ApiKey {base64.b64encode(options.api_key.encode()).decode()}"
        return None

    def has_fixed_nodes(self) -> bool:
        """Return whether it is a deployment of Elastic Cloud."""
        return self.options.cloud_id is not None

    def fixed_nodes(self) -> list[Node]:
        """Return that of the cloud."""
        return [cloud_node(self.options.cloud_id or "", self.options.node())]

    async def server(self, cluster: Cluster) -> Server:
        """Ask for the version, once.

        Raises:
            DeliveryError: it is not known yet.
        """
        version = await self._versions.of(cluster)
        return version.server(suppress_type_name=self.options.suppress_type_name)

    async def prepare(self, cluster: Cluster) -> None:
        """Look whether the server manages the lives of indexes, where that is wanted.

        Raises:
            DeliveryError: it does not go.
        """
        await super().prepare(cluster)
        if self.options.enable_ilm and self.has_template:
            await self.once.do((cluster, "ilm"), lambda: check_lifecycle(cluster))


class ElasticsearchOutput(ElasticsearchBase[ElasticsearchOptions], type="elasticsearch"):
    """Sends chunks to Elasticsearch in bulk requests.

    A document that the server refuses goes to `<secondary>`, `@ERROR` or the dead letters with the server's reason; one
    that it is too busy for is sent again, alone; all others are delivered.
    """
