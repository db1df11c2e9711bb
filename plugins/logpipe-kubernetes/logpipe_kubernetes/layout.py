"""Converts the API server's objects to fields of a record, in 3.7.1's layout and order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from logpipe import Record, Time
from logpipe_kubernetes.names import Reference
from logpipe_kubernetes.options import KubernetesMetadataOptions

Labels: TypeAlias = dict[str, Any]

_SCHEME: Final = re.compile(r"^[-_a-zA-Z0-9]+://")

# the log folder of a static pod has the value of one of these annotations, not its mirror pod's uid
_STATIC_POD_UIDS: Final = ("kubernetes.io/config.hash", "kubernetes.io/config.mirror")


@dataclass(frozen=True, slots=True)
class Container:
    """The API server's data of one container."""

    image: str | None
    image_id: str
    container_id: str


@dataclass(frozen=True, slots=True)
class Pod:
    """The data of a pod that its records need."""

    uid: str
    namespace: str
    name: str
    created: Time
    other_uids: tuple[str, ...]
    """Other uids that its log folder may have."""
    container_ids: frozenset[str]
    """The containers in its status, ended ones included."""
    containers: Mapping[str, Container]
    fields: Record
    """Its share of a record's `kubernetes`."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """The data of a namespace that records need."""

    uid: str
    name: str
    created: Time
    fields: Record
    """Its share of a record's `kubernetes`."""


class Layout:
    """Reads API objects and composes records' metadata by the options."""

    def __init__(
        self, options: KubernetesMetadataOptions, *, master_url: str, annotations: list[re.Pattern[str]]
    ) -> None:
        self._options = options
        self._master_url = "" if options.skip_master_url else master_url
        self._annotations = annotations
        self._rename = _renamer(options)
        self._pod_labels = not (options.skip_labels or options.skip_pod_labels)
        self._namespace_labels = not (options.skip_labels or options.skip_namespace_labels)

    def pod(self, found: Mapping[str, Any]) -> Pod:
        """Return the needed data of a Pod object.

        Raises:
            KeyError, TypeError, AttributeError, ValueError: it is not a Pod object.
        """
        meta, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
        annotations = meta.get("annotations") or {}
        return Pod(
            uid=meta["uid"],
            namespace=meta["namespace"],
            name=meta["name"],
            created=_time(meta.get("creationTimestamp")),
            other_uids=tuple(annotations[key] for key in _STATIC_POD_UIDS if key in annotations),
            container_ids=_container_ids(status),
            containers={
                item["name"]: Container(item.get("image"), item.get("imageID") or "", _bare_id(item))
                for item in status.get("containerStatuses") or ()
            },
            fields=self._pod_fields(meta, spec, status),
        )

    def _pod_fields(self, meta: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]) -> Record:
        fields: Record = {
            "namespace_name": meta["namespace"],
            "pod_id": meta["uid"],
            "pod_name": meta["name"],
            "pod_ip": status.get("podIP"),
            "host": spec.get("nodeName"),
        }
        if self._options.include_ownerrefs_metadata:
            owners = meta.get("ownerReferences") or ()
            fields["ownerrefs"] = [{"kind": owner.get("kind"), "name": owner.get("name")} for owner in owners]
        if self._pod_labels:
            fields["labels"] = self._rename(meta.get("labels") or {}) or None
        fields["annotations"] = self._matching(meta.get("annotations") or {}) or None
        fields["master_url"] = self._master_url or None
        return {name: value for name, value in fields.items() if value is not None}

    def namespace(self, found: Mapping[str, Any]) -> Namespace:
        """Return the needed data of a Namespace object.

        Raises:
            KeyError, TypeError, AttributeError, ValueError: it is not a Namespace object.
        """
        meta = found["metadata"]
        fields: Record = {"namespace_id": None if self._options.include_namespace_id is False else meta["uid"]}
        if self._namespace_labels:
            fields["namespace_labels"] = self._rename(meta.get("labels") or {}) or None
        fields["namespace_annotations"] = self._matching(meta.get("annotations") or {}) or None
        return Namespace(
            uid=meta["uid"],
            name=meta["name"],
            created=_time(meta.get("creationTimestamp")),
            fields={name: value for name, value in fields.items() if value is not None},
        )

    def metadata(
        self, reference: Reference, *, pod: Pod | None = None, more: Mapping[str, Any] | None = None
    ) -> Record:
        """Return the fields for each record of a container: `docker` where its id is known, and `kubernetes`.

        `more` are fields that replace others of `kubernetes`: the namespace's, or those of an orphan.
        """
        kubernetes: Record = {
            "container_name": reference.container,
            "namespace_name": reference.namespace,
            "pod_name": reference.pod,
        }
        container_id = reference.container_id
        if pod is not None:
            container_id = self._add_container(kubernetes, reference, pod)
            kubernetes.update(pod.fields)
        if more:
            kubernetes.update(more)
        docker = {"docker": {"container_id": container_id}} if container_id else {}
        return {**docker, "kubernetes": kubernetes}

    def _add_container(self, kubernetes: Record, reference: Reference, pod: Pod) -> str:
        """Add the container's image; returns its id."""
        container = pod.containers.get(reference.container)
        if container is None or self._options.skip_container_metadata:
            return reference.container_id
        kubernetes["container_image"] = container.image
        if container.image_id:
            kubernetes["container_image_id"] = container.image_id
        # compat: filter_kubernetes_metadata.rb prefers the API server's id; the tag's is kept where the pod lists it,
        # so that lines of a container that was restarted keep the id of the one that wrote them
        known = reference.container_id in pod.container_ids
        return reference.container_id if known or not container.container_id else container.container_id

    def orphan(self, reference: Reference) -> Record | None:
        """Return the fields of a line whose pod and namespace do not exist, None where there are no orphans."""
        if not self._options.allow_orphans:
            return None
        return {
            "orphaned_namespace": reference.namespace,
            "namespace_name": self._options.orphaned_namespace_name,
            "namespace_id": self._options.orphaned_namespace_id,
        }

    def _matching(self, annotations: Mapping[str, Any]) -> Labels:
        return {
            key: value
            for pattern in self._annotations
            for key, value in annotations.items()
            if pattern.search(key) is not None
        }


def _renamer(options: KubernetesMetadataOptions) -> Callable[[Labels], Labels]:
    """Return the function that renames the keys of labels."""
    changes = [(".", options.de_dot_separator)] if options.de_dot else []
    changes += [("/", options.de_slash_separator)] if options.de_slash else []

    def rename(labels: Labels) -> Labels:
        for character, separator in changes:
            labels = {key.replace(character, separator): value for key, value in labels.items()}
        return labels

    return rename


def _bare_id(status: Mapping[str, Any]) -> str:
    """Return a status's containerID without its `docker://`."""
    return _SCHEME.sub("", status.get("containerID") or "")


def _container_ids(status: Mapping[str, Any]) -> frozenset[str]:
    found: set[str] = set()
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for item in status.get(kind) or ():
            found.add(_bare_id(item))
            for state in ("state", "lastState"):
                found.add(_bare_id((item.get(state) or {}).get("terminated") or {}))
    return frozenset(found - {""})


def _time(text: str | None) -> Time:
    """Return an API timestamp, which has whole seconds; 0 where there is none."""
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000 if text else 0
