"""A cache of pods and namespaces, by container id, uid and name; deleted pods are kept for a while."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from logpipe import Clock, Time
from logpipe_kubernetes.layout import Namespace, Pod
from logpipe_kubernetes.names import Reference

K = TypeVar("K")
V = TypeVar("V")

FOREVER: Final = float("inf")

DELETED_SECONDS: Final = 600.0
"""Seconds that a deleted pod is kept, for late lines."""

_FIRST_ABSENCE: Final = 10.0
_LONGEST_ABSENCE: Final = 600.0


class Lru(Generic[K, V]):
    """A mapping of at most `size` items that drops the least recently used ones. None is not a valid value."""

    def __init__(self, size: int) -> None:
        self._size = max(size, 1)
        self._items: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """Return the value of `key`, and count that as a use."""
        value = self._items.pop(key, None)
        if value is not None:
            self._items[key] = value
        return value

    def put(self, key: K, value: V) -> None:
        """Store `value` under `key`; drops the least recently used item if it is full."""
        self._items.pop(key, None)
        if len(self._items) >= self._size:
            del self._items[next(iter(self._items))]
        self._items[key] = value


class Found(NamedTuple):
    """A pod for a reference."""

    pod: Pod
    certain: bool
    """False where only the name matches: it may be an earlier or later pod of that name."""
    expires: float
    """When to request it again, on the monotonic clock."""


@dataclass(slots=True)
class _PodEntry:
    pod: Pod
    watched: bool
    expires: float


@dataclass(slots=True)
class NamespaceEntry:
    """A namespace as of the last request."""

    namespace: Namespace
    expires: float
    as_of: Time
    """Pods created after this may belong to a newer namespace of the same name."""
    former: Namespace | None = None
    """The previous namespace of the same name."""


class MetadataCache:
    """Pods and namespaces by id, uid and name.

    `generation` changes whenever the content does, so that composed metadata can be composed again.
    """

    def __init__(self, clock: Clock, *, size: int, ttl: float) -> None:
        self.generation = 0
        self._clock = clock
        self._size = max(size, 1)
        self._ttl = ttl if ttl >= 0 else FOREVER
        self._pods: dict[str, _PodEntry] = {}
        self._fetched: dict[str, None] = {}
        """The uids of pods that are not watched, the oldest entry first."""
        self._dead: dict[str, float] = {}
        """The uids of deleted pods and when to drop them, the next first."""
        self._by_name: dict[tuple[str, str], list[str]] = {}
        """The uids of the pods that have or had a name, the newest last."""
        self._owners: Lru[str, str] = Lru(4 * self._size)
        """The pod's uid by container id, where the pod itself does not list it."""
        self._namespaces: Lru[str, NamespaceEntry] = Lru(self._size)
        self._absences: Lru[tuple[str, ...], tuple[float, float]] = Lru(4 * self._size)

    @property
    def pods(self) -> int:
        """The number of pods, deleted ones included."""
        return len(self._pods)

    @property
    def namespaces(self) -> int:
        """The number of namespaces."""
        return len(self._namespaces)

    def find(self, reference: Reference) -> Found | None:
        """Return the pod of a container: the one that lists or was assigned its id, else by name.

        A uid in the reference must be the pod's, or one of a static pod's other uids.
        """
        owner = self._pods.get(self._owners.get(reference.container_id) or "")
        if owner is not None:
            return Found(owner.pod, certain=True, expires=owner.expires)
        entries = [self._pods[uid] for uid in reversed(self._by_name.get((reference.namespace, reference.pod), ()))]
        for entry in entries:
            if _matches(reference, entry.pod):
                return Found(entry.pod, certain=True, expires=entry.expires)
        if not entries or reference.pod_uid:
            return None
        return Found(entries[0].pod, certain=False, expires=entries[0].expires)

    def assign(self, container_id: str, pod: Pod) -> None:
        """Store the pod of a container."""
        if container_id and self._owners.get(container_id) != pod.uid:
            self._owners.put(container_id, pod.uid)
            self.generation += 1

    def store(self, pod: Pod, *, watched: bool = False) -> None:
        """Store a new or changed pod. Of two pods of one name the older one is deleted.

        A single request may return an outdated pod, so it does not replace a watched one.
        """
        entry = self._pods.get(pod.uid)
        if entry is not None and entry.watched and not watched:
            return
        if entry is None or entry.pod != pod:
            self.generation += 1
        self._pods[pod.uid] = _PodEntry(pod, watched, FOREVER if watched else self._clock.monotonic() + self._ttl)
        self._dead.pop(pod.uid, None)
        self._fetched.pop(pod.uid, None)
        if not watched:
            self._fetched[pod.uid] = None
        self._add_name(pod)
        self._sweep()

    def _add_name(self, pod: Pod) -> None:
        """Index a pod by name; all but the newest pod of a name are deleted."""
        uids = self._by_name.setdefault((pod.namespace, pod.name), [])
        if pod.uid not in uids:
            uids.append(pod.uid)
            uids.sort(key=lambda uid: self._pods[uid].pod.created)
        for uid in uids[:-1]:
            self.mark_deleted(uid)

    def store_watched(self, pods: Iterable[Pod]) -> None:
        """Store a complete list: watched pods that are not in it are deleted."""
        listed = set()
        for pod in pods:
            listed.add(pod.uid)
            self.store(pod, watched=True)
        for uid in [uid for uid, entry in self._pods.items() if entry.watched and uid not in listed]:
            self.mark_deleted(uid)

    def mark_deleted(self, uid: str) -> None:
        """Record that a pod was deleted: it is kept for a while and not requested any more."""
        entry = self._pods.get(uid)
        if entry is not None and uid not in self._dead:
            entry.watched = False
            entry.expires = FOREVER
            self._fetched.pop(uid, None)
            self._dead[uid] = self._clock.monotonic() + DELETED_SECONDS
            self._sweep()

    def mark_missing(self, uid: str) -> None:
        """Record that a request did not find a pod; ignored for a watched one, whose watch is newer."""
        entry = self._pods.get(uid)
        if entry is not None and not entry.watched:
            self.mark_deleted(uid)

    def _sweep(self) -> None:
        """Drop pods deleted long ago and, beyond the size, the oldest; the node limits the number of watched pods."""
        now = self._clock.monotonic()
        while self._dead and (len(self._dead) > self._size or next(iter(self._dead.values())) <= now):
            self._forget(next(iter(self._dead)))
        while len(self._fetched) > self._size:
            self._forget(next(iter(self._fetched)))

    def _forget(self, uid: str) -> None:
        pod = self._pods.pop(uid).pod
        self._dead.pop(uid, None)
        self._fetched.pop(uid, None)
        uids = self._by_name[pod.namespace, pod.name]
        uids.remove(uid)
        if not uids:
            del self._by_name[pod.namespace, pod.name]

    def namespace(self, name: str) -> NamespaceEntry | None:
        """Return the entry of a namespace."""
        return self._namespaces.get(name)

    def store_namespace(self, namespace: Namespace, *, as_of: Time) -> None:
        """Store a new or changed namespace."""
        entry = self._namespaces.get(namespace.name)
        former = None
        if entry is not None:
            former = entry.former if entry.namespace.uid == namespace.uid else entry.namespace
        if entry is None or entry.namespace != namespace:
            self.generation += 1
        expires = self._clock.monotonic() + self._ttl
        self._namespaces.put(namespace.name, NamespaceEntry(namespace, expires, as_of, former))

    def store_absence(self, *key: str, for_good: bool) -> None:
        """Record that an object does not exist; it may be requested again after a growing pause."""
        _, delay = self._absences.get(key) or (0.0, 0.0)
        delay = min(max(2 * delay, _FIRST_ABSENCE), _LONGEST_ABSENCE)
        self._absences.put(key, (self._clock.monotonic() + (self._ttl if for_good else delay), delay))

    def absent_until(self, *key: str) -> float:
        """Return until when an object counts as absent; 0 where it does not."""
        until, _ = self._absences.get(key) or (0.0, 0.0)
        return until if until > self._clock.monotonic() else 0.0


def _matches(reference: Reference, pod: Pod) -> bool:
    """Return whether the ids of a reference match a pod that has its names."""
    if reference.pod_uid:
        return reference.pod_uid in {pod.uid, *pod.other_uids}
    return not reference.container_id or reference.container_id in pod.container_ids
