"""The settings of kubernetes_metadata: 3.7.1's, and those of older versions that configurations still contain."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from logpipe import InvalidSetting, Options, param
from logpipe_kubernetes.names import JOURNAL_REGEXP, TAG_REGEXP


def _truth_of_integer(text: str) -> bool:
    # compat: filter_kubernetes_metadata.rb declares ignore_nil as an integer whose default is true
    return text.strip().lower() not in {"false", "no", "0"}


class KubernetesMetadataOptions(Options):
    """Settings of `<filter> @type kubernetes_metadata`."""

    kubernetes_url: str | None = param(
        "The API server's URL, with or without /api at its end; by default made of the environment variables "
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. Without any, or with an empty text, nothing is looked "
        "up and records get metadata from the tag only.",
        default=None,
    )
    api_version: str = param("The API version in URLs.", name="apiVersion", default="v1")
    client_cert: str | None = param("A PEM file with the client certificate for the API server.", default=None)
    client_key: str | None = param("A PEM file with the client certificate's key.", default=None)
    ca_file: str | None = param(
        "A PEM file with the authorities to trust; by default ca.crt in secret_dir where that exists.", default=None
    )
    verify_ssl: bool = param("Whether the API server's certificate is checked.", default=True)
    ssl_partial_chain: bool = param("Whether an intermediate authority in ca_file is sufficient.", default=False)
    bearer_token_file: str | None = param(
        "A file with the token for the API server, read again whenever it changes; by default token in "
        "secret_dir where that exists.",
        default=None,
    )
    secret_dir: str | None = param(
        "The folder of the service account's secrets; by default that of the environment variable "
        "LOGPIPE_KUBERNETES_SECRET_DIR, or /var/run/secrets/kubernetes.io/serviceaccount.",
        default=None,
    )
    open_timeout: float = param("Seconds to wait for a connection to the API server.", default=3.0)
    read_timeout: float = param("Seconds to wait for the API server's next bytes.", default=10.0)

    watch: bool = param(
        "Whether pods are listed and watched, which needs this node's name in the environment variable "
        "K8S_NODE_NAME; without it each pod is requested by itself.",
        default=True,
    )
    watch_retry_interval: int = param("Seconds before a failed watch is tried again for the first time.", default=1)
    watch_retry_exponential_backoff_base: int = param("Factor from one wait to the next, up to 60 s.", default=2)
    watch_retry_max_times: int = param("Accepted for compatibility: the watch is retried without limit.", default=10)

    cache_size: int = param("How many containers, pods and namespaces are cached, of each.", default=1000)
    cache_ttl: int = param(
        "Seconds after which a pod that is not watched, or a namespace, is requested again; negative for never.",
        default=3600,
    )
    ignore_nil: bool = param(
        "Whether a pod unknown to the API server is requested again after 10 s, 20 s, … 10 minutes; false waits for "
        "cache_ttl.",
        default=True,
        convert=_truth_of_integer,
    )

    tag_to_kubernetes_name_regexp: str = param(
        "Finds in a tag the groups namespace, pod_name and container_name, and docker_id or pod_uuid.",
        default=TAG_REGEXP,
    )
    lookup_from_k8s_field: bool = param(
        "Whether kubernetes.namespace_name, pod_name, container_name and docker.container_id in a record override the "
        "tag.",
        default=True,
    )
    use_journal: bool | None = param(
        "Whether names come from the journal's CONTAINER_NAME and CONTAINER_ID_FULL in each record, and not from the "
        "tag; removed in 3.0.0, but supported here.",
        default=None,
    )
    container_name_to_kubernetes_regexp: str = param(
        "Finds with use_journal in CONTAINER_NAME the groups namespace, pod_name and container_name.",
        default=JOURNAL_REGEXP,
    )

    annotation_match: list[str] = param(
        "Regular expressions; annotations of pods and namespaces whose key one of them matches are added.", default=[]
    )
    allow_orphans: bool = param(
        "Whether a line whose pod and namespace are both unknown to the API server is moved to "
        "orphaned_namespace_name.",
        default=True,
    )
    orphaned_namespace_name: str = param("The namespace of orphaned lines.", default=".orphaned")
    orphaned_namespace_id: str = param("The namespace id of orphaned lines.", default="orphaned")
    skip_labels: bool = param("Leave out the labels of pods and namespaces.", default=False)
    skip_pod_labels: bool = param("Leave out the labels of pods.", default=False)
    skip_namespace_labels: bool = param("Leave out the labels of namespaces.", default=False)
    skip_container_metadata: bool = param("Leave out container_image and container_image_id.", default=False)
    skip_master_url: bool = param("Leave out master_url.", default=False)
    skip_namespace_metadata: bool = param("Leave out namespaces' ids, labels and annotations.", default=False)
    include_ownerrefs_metadata: bool = param("Add kind and name of the pod's owners, as ownerrefs.", default=False)

    include_namespace_id: bool | None = param(
        "Until 0.28: false leaves out namespace_id, which is included by default today.", default=None
    )
    include_namespace_metadata: bool | None = param(
        "Until 0.33: false is today's skip_namespace_metadata.", default=None
    )
    merge_json_log: bool = param(
        "Until 1.0: add the fields of a log that is a JSON object (MESSAGE with use_journal) to the record, where it "
        "does not have them. It was the default, and is not today.",
        default=False,
    )
    preserve_json_log: bool = param("Whether merge_json_log keeps the field it has read.", default=True)
    de_dot: bool = param(
        "Until 2.x: replace dots in the keys of labels. It was the default, and is not today.", default=False
    )
    de_dot_separator: str = param("Replacement of a dot by de_dot.", default="_")
    de_slash: bool = param("Until 2.x: replace slashes in the keys of labels.", default=False)
    de_slash_separator: str = param("Replacement of a slash by de_slash.", default="__")

    stats_interval: int = param("Seconds between lines of statistics in the log; 0 or less for none.", default=30)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield invalid settings."""
        if self.kubernetes_url:
            yield from _check_url(self.kubernetes_url)
        # compat: filter_kubernetes_metadata.rb 0.24 to 2.x refuses these separators
        if self.de_dot and "." in self.de_dot_separator:
            yield InvalidSetting('de_dot_separator must not hold ".": choose another', param="de_dot_separator")
        if self.de_slash and "/" in self.de_slash_separator:
            yield InvalidSetting('de_slash_separator must not hold "/": choose another', param="de_slash_separator")
        for name in ("open_timeout", "read_timeout"):
            if getattr(self, name) <= 0:
                yield InvalidSetting(f"{name} must be more than 0", param=name)


def _check_url(url: str) -> Iterator[InvalidSetting]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield InvalidSetting(
            f'kubernetes_url "{url}" is no URL of an API server: write https://HOST:PORT', param="kubernetes_url"
        )
