"""Finds the container named by a tag, a journal entry or a record's own fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from logpipe import InvalidSetting, Record
from logpipe.ruby import ExpressionError, compile_regexp, limited_search

_POD_NAME: Final = r"(?<pod_name>[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)"
_PODS: Final = (
    rf"(var\.log\.pods)\.(?<namespace>[^_]+)_{_POD_NAME}_(?<pod_uuid>[a-z0-9-]*)\.(?<container_name>.+)\..*\.log$"
)
_CONTAINERS: Final = (
    rf"(var\.log\.containers)\.{_POD_NAME}_(?<namespace>[^_]+)_(?<container_name>.+)-(?<docker_id>[a-z0-9]{{64}})\.log$"
)

# compat: filter_kubernetes_metadata.rb 3.7.1, tag_to_kubernetes_name_regexp; it repeats the groups' names
TAG_REGEXP: Final = f"({_PODS}|{_CONTAINERS})"

# Split so that `re` can compile each; repeated names would need the regex package, 0.1 s and 3 MB to import.
_ALTERNATIVES: Final = {TAG_REGEXP: (_PODS, _CONTAINERS)}

# compat: filter_kubernetes_metadata.rb 0.27 to 2.x, container_name_to_kubernetes_regexp
JOURNAL_REGEXP: Final = (
    r"^(?<name_prefix>[^_]+)_(?<container_name>[^\._]+)(\.(?<container_hash>[^_]+))?_(?<pod_name>[^_]+)"
    r"_(?<namespace>[^_]+)_[^_]+_[^_]+$"
)

_NEEDED: Final = ("namespace", "pod_name", "container_name")

# Valid names of pods; a namespace's rule is narrower. Nothing else may be part of a URL.
_API_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)


class Reference(NamedTuple):
    """The names of the container that wrote a line; `container_id` and `pod_uid` are "" where unknown."""

    namespace: str
    pod: str
    container: str
    container_id: str = ""
    pod_uid: str = ""

    @property
    def identity(self) -> str:
        """The id that distinguishes this container's pod from others of the same name; "" where unknown."""
        return self.pod_uid or self.container_id


def is_api_name(name: str) -> bool:
    """Return whether this is a valid name in Kubernetes, which may be part of a URL."""
    return _API_NAME.fullmatch(name) is not None and ".." not in name


def name_reader(regexp: str, *, param: str, remember: int) -> Callable[[str], Reference | None]:
    """Return a function that finds a container's names in a tag, or in the journal's CONTAINER_NAME.

    It caches its last results, `remember` of them; where the expression takes too long, it raises TimeLimitExceeded.

    Raises:
        InvalidSetting: the expression does not compile, or lacks a group; points at `param`.
    """
    try:
        patterns = [compile_regexp(source) for source in _ALTERNATIVES.get(regexp, (regexp,))]
    except ExpressionError as problem:
        raise InvalidSetting(f"{param}: {problem}", param=param) from None
    missing = [name for name in _NEEDED if any(name not in pattern.groupindex for pattern in patterns)]
    if missing:
        raise InvalidSetting(f"{param} has no group {', '.join(missing)}: write (?<{missing[0]}>…)", param=param)
    searches = [limited_search(pattern) for pattern in patterns]

    @lru_cache(maxsize=remember)
    def read(text: str) -> Reference | None:
        found = next(filter(None, (search(text) for search in searches)), None)
        if found is None:
            return None
        named = found.groupdict()
        return Reference(
            named["namespace"] or "",
            named["pod_name"] or "",
            named["container_name"] or "",
            named.get("docker_id") or "",
            named.get("pod_uuid") or "",
        )

    return read


def from_fields(record: Record) -> Reference | None:
    """Return the container that a record's own `kubernetes` and `docker` fields name, None if they do not.

    This is 3.7.1's `lookup_from_k8s_field`: all of namespace_name, pod_name, container_name and container_id must be
    there.
    """
    kubernetes, docker = record.get("kubernetes"), record.get("docker")
    if not isinstance(kubernetes, dict) or not isinstance(docker, dict) or "container_id" not in docker:
        return None
    namespace, pod = kubernetes.get("namespace_name"), kubernetes.get("pod_name")
    container, container_id = kubernetes.get("container_name"), docker["container_id"] or ""
    if not (isinstance(namespace, str) and isinstance(pod, str) and isinstance(container, str)):
        return None
    return Reference(namespace, pod, container, container_id) if isinstance(container_id, str) else None


def journal_reader(read_name: Callable[[str], Reference | None]) -> Callable[[Record], Reference | None]:
    """Return a function that finds the container in a journal entry's CONTAINER_NAME and CONTAINER_ID_FULL."""

    def read(record: Record) -> Reference | None:
        name, container_id = record.get("CONTAINER_NAME"), record.get("CONTAINER_ID_FULL")
        if not isinstance(name, str) or not isinstance(container_id, str):
            return None
        found = read_name(name)
        return None if found is None else found._replace(container_id=container_id)

    return read
