"""`@type opensearch`. Settings and rules: fluent-plugin-opensearch 1.1.6."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import ClassVar, Final, Generic, Literal, TypeVar

from logpipe import Chunk, InvalidSetting, Options, RefusedRecords, Seconds, param, section
from logpipe_elasticsearch.cluster.cluster import AwsAccess
from logpipe_elasticsearch.nodes import Node, nodes_of
from logpipe_elasticsearch.options.connection import text_or_none
from logpipe_elasticsearch.search_output import SearchOptions, SearchOutput

_TYPELESS: Final = "OpenSearch has no types, and nothing else depends on its version"


class EndpointOptions(Options):
    """`<endpoint>`: OpenSearch at AWS, whose requests are signed."""

    url: str = param("The endpoint's URL.")
    region: str = param("Its region.")
    access_key_id: str = param("Key; unset: as AWS's own libraries find it.", default="", secret=True)
    secret_access_key: str = param("The key's secret.", default="", secret=True)
    assume_role_arn: str | None = param("A role to assume.", default=None, convert=text_or_none)
    assume_role_session_name: str = param("Accepted for compatibility; it is `logpipe`.", default="fluentd")
    assume_role_web_identity_token_file: str | None = param(
        "File with a token for the role.", default=None, convert=text_or_none
    )
    ecs_container_credentials_relative_uri: str | None = param(
        "Path of a container's keys; unset: $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI.",
        default=None,
        convert=text_or_none,
    )
    sts_credentials_region: str | None = param(
        "Accepted for compatibility; STS is asked in `region`.", default=None, convert=text_or_none
    )
    refresh_credentials_interval: Seconds = param(
        "Accepted for compatibility; keys are asked for again five minutes before they end.", default="5h"
    )
    aws_service_name: Literal["es", "aoss"] = param("The service: `aoss` is OpenSearch Serverless.", default="es")

    def environ(self) -> Mapping[str, str]:
        """Return the environment in which keys are looked for."""
        own = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": self.ecs_container_credentials_relative_uri,
            "AWS_WEB_IDENTITY_TOKEN_FILE": self.assume_role_web_identity_token_file,
        }
        found = {**os.environ, **{name: value for name, value in own.items() if value}}
        if self.access_key_id and self.secret_access_key:
            found.pop("AWS_SESSION_TOKEN", None)  # it belongs to the environment's own keys
        if self.assume_role_web_identity_token_file and self.assume_role_arn:
            found["AWS_ROLE_ARN"] = self.assume_role_arn
        return found

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        try:
            nodes_of(self.url, Node("https", "localhost", 443))
        except ValueError as problem:
            # the plugin looks at it when it connects
            yield InvalidSetting(str(problem), param="url", severity="warning")


class OpenSearchOptions(SearchOptions):
    """Settings of `<match> @type opensearch`."""

    product: ClassVar[str] = "OpenSearch"

    suppress_type_name: bool = param(f"Accepted for compatibility; {_TYPELESS}.", default=False)
    verify_os_version_at_startup: bool = param(f"Accepted for compatibility; {_TYPELESS}.", default=True)
    default_opensearch_version: int = param(f"Accepted for compatibility; {_TYPELESS}.", default=1)
    max_retry_get_os_version: int = param(f"Accepted for compatibility; {_TYPELESS}.", default=15)
    fail_on_detecting_os_version_retry_exceed: bool = param(f"Accepted for compatibility; {_TYPELESS}.", default=True)
    unrecoverable_error_types: list[str] | None = param(
        "Types of errors after which a document is not sent again. The plugin's default makes dead letters of what the "
        "server is too busy for; unset, that is sent again.",
        default=None,
    )
    unrecoverable_record_types: list[str] = param(
        "More types of errors after which a document is not sent again.", default=["json_parse_exception"]
    )
    emit_error_label_event: bool = param(
        "Whether what is refused goes to `<secondary>`, `@ERROR` or the dead letters; else it is thrown away.",
        default=True,
    )
    log_os_400_reason: bool = param("Accepted for compatibility; the server's reason is always told.", default=False)
    endpoint: EndpointOptions | None = section("OpenSearch at AWS, in place of hosts.")


P = TypeVar("P", bound=OpenSearchOptions)


class OpenSearchBase(SearchOutput[P], Generic[P]):
    """What is OpenSearch's own."""

    async def write(self, chunk: Chunk) -> None:
        """Deliver a chunk; what is refused is thrown away where the settings say so.

        Raises:
            DeliveryError: as of every output to a search server.
        """
        try:
            await super().write(chunk)
        except RefusedRecords as error:
            if self.options.emit_error_label_event:
                raise
            self.host.log.warning("%d records are thrown away: %s", len(error.refused), error)
            self.host.dropped(len(error.refused))

    def final_types(self) -> Collection[str]:
        """Return those of the settings."""
        return (*(self.options.unrecoverable_error_types or ()), *self.options.unrecoverable_record_types)

    def has_fixed_nodes(self) -> bool:
        """Return whether it is AWS's endpoint."""
        return self.options.endpoint is not None

    def fixed_nodes(self) -> list[Node]:
        """Return the endpoint.

        Raises:
            ValueError: it is none.
        """
        endpoint = self.options.endpoint
        return [] if endpoint is None else nodes_of(endpoint.url, Node("https", "localhost", 443))

    def aws(self) -> AwsAccess | None:
        """Return what signs requests to AWS."""
        endpoint = self.options.endpoint
        if endpoint is None:
            return None
        role = "" if endpoint.assume_role_web_identity_token_file else endpoint.assume_role_arn or ""
        return AwsAccess(endpoint.aws_service_name, endpoint.region, role, endpoint.environ())


class OpenSearchOutput(OpenSearchBase[OpenSearchOptions], type="opensearch"):
    """Sends chunks to OpenSearch in bulk requests.

    A document that the server refuses goes to `<secondary>`, `@ERROR` or the dead letters with the server's reason; one
    that it is too busy for is sent again, alone; all others are delivered.
    """
