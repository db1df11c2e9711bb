"""What is known of pods and namespaces: found by container id, by uid and by name, and kept a while after their end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from logpipe import Clock, Time
from logpipe_kubernetes.layout import Namespace, Pod
from logpipe_kubernetes.lru import Lru
from logpipe_kubernetes.names import Reference

FOREVER: Final = float("inf")

GRAVE_TIME: Final = 600.0
"""Seconds that a deleted pod is remembered, for lines that come late."""

_FIRST_ABSENCE: Final = 10.0
_LONGEST_ABSENCE: Final = 600.0


class Found(NamedTuple):
    """A pod for a reference."""

    pod: Pod
    certain: bool
    """False where only the name speaks for it: it may be another pod that had the name before, or has it now."""
    expires: float
    """When to ask for it again, on the monotonic clock."""


@dataclass(slots=True)
class _PodEntry:
    pod: Pod
    watched: bool
    expires: float


@dataclass(slots=True)
class NamespaceEntry:
    """A namespace as it was when last asked for."""

    namespace: Namespace
    expires: float
    as_of: Time
    """Pods created after this may belong to a newer namespace of the same name."""
    former: Namespace | None = None
    """The namespace of the same name that was there before."""


class Memory:
    """Pods and namespaces by every name they are asked for.

    `generation` changes whenever something known changes, so that what was composed of it can be composed again.
    """

    def __init__(self, clock: Clock, *, size: int, ttl: float) -> None:
        self.generation = 0
        self._clock = clock
        self._size = max(size, 1)
        self._ttl = ttl if ttl >= 0 else FOREVER
        self._pods: dict[str, _PodEntry] = {}
        self._fetched: dict[str, None] = {}
        """The uids of pods that are not watched, the one learnt longest ago first."""
        self._dead: dict[str, float] = {}
        """The uids of deleted pods and when to forget them, the next first."""
        self._by_name: dict[tuple[str, str], list[str]] = {}
        """The uids of the pods that have or had a name, the newest last."""
        self._owners: Lru[str, str] = Lru(4 * self._size)
        """Whose container an id is, where the pod itself does not list it."""
        self._namespaces: Lru[str, NamespaceEntry] = Lru(self._size)
        self._absences: Lru[tuple[str, ...], tuple[float, float]] = Lru(4 * self._size)

    @property
    def pods(self) -> int:
        """How many pods are known, the late ones included."""
        return len(self._pods)

    @property
    def namespaces(self) -> int:
        """How many namespaces are known."""
        return len(self._namespaces)

    def find(self, reference: Reference) -> Found | None:
        """Return the pod of a container: the one that lists its id, or that was found to own it, else by name.

        A uid that is said must be the pod's, or one of a static pod's other uids.
        """
        owner = self._pods.get(self._owners.get(reference.container_id) or "")
        if owner is not None:
            return Found(owner.pod, certain=True, expires=owner.expires)
        entries = [self._pods[uid] for uid in reversed(self._by_name.get((reference.namespace, reference.pod), ()))]
        for entry in entries:
            if _speaks_of(reference, entry.pod):
                return Found(entry.pod, certain=True, expires=entry.expires)
        if not entries or reference.pod_uid:
            return None
        return Found(entries[0].pod, certain=False, expires=entries[0].expires)

    def assign(self, container_id: str, pod: Pod) -> None:
        """Remember whose container this is."""
        if container_id and self._owners.get(container_id) != pod.uid:
            self._owners.put(container_id, pod.uid)
            self.generation += 1

    def keep(self, pod: Pod, *, watched: bool = False) -> None:
        """Learn a pod, or what has changed of it. Of two pods of one name the older one is dead.

        What was asked for by itself may come from an API server that is behind: it says nothing new of a watched pod.
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
        self._give_name(pod)
        self._sweep()

    def _give_name(self, pod: Pod) -> None:
        """Note a pod's name; but for the newest, those of the same name are dead."""
        uids = self._by_name.setdefault((pod.namespace, pod.name), [])
        if pod.uid not in uids:
            uids.append(pod.uid)
            uids.sort(key=lambda uid: self._pods[uid].pod.created)
        for uid in uids[:-1]:
            self.bury(uid)

    def keep_watched(self, pods: Iterable[Pod]) -> None:
        """Learn a whole list: watched pods that are not in it any more are dead."""
        listed = set()
        for pod in pods:
            listed.add(pod.uid)
            self.keep(pod, watched=True)
        for uid in [uid for uid, entry in self._pods.items() if entry.watched and uid not in listed]:
            self.bury(uid)

    def bury(self, uid: str) -> None:
        """Learn that a pod was deleted: it is remembered a while and asked for no more."""
        entry = self._pods.get(uid)
        if entry is not None and uid not in self._dead:
            entry.watched = False
            entry.expires = FOREVER
            self._fetched.pop(uid, None)
            self._dead[uid] = self._clock.monotonic() + GRAVE_TIME
            self._sweep()

    def gone(self, uid: str) -> None:
        """Learn that the API server did not know a pod; where it is watched, the watch knows better."""
        entry = self._pods.get(uid)
        if entry is not None and not entry.watched:
            self.bury(uid)

    def _sweep(self) -> None:
        """Forget pods long dead, and beyond the size the oldest; watched pods are as many as the node has."""
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
        """Return what is known of a namespace."""
        return self._namespaces.get(name)

    def keep_namespace(self, namespace: Namespace, *, as_of: Time) -> None:
        """Learn a namespace, or what has changed of it."""
        entry = self._namespaces.get(namespace.name)
        former = None
        if entry is not None:
            former = entry.former if entry.namespace.uid == namespace.uid else entry.namespace
        if entry is None or entry.namespace != namespace:
            self.generation += 1
        expires = self._clock.monotonic() + self._ttl
        self._namespaces.put(namespace.name, NamespaceEntry(namespace, expires, as_of, former))

    def note_absence(self, *key: str, for_good: bool) -> None:
        """Learn that the API server does not know something; it may be asked again after a growing while."""
        _, delay = self._absences.get(key) or (0.0, 0.0)
        delay = min(max(2 * delay, _FIRST_ABSENCE), _LONGEST_ABSENCE)
        self._absences.put(key, (self._clock.monotonic() + (self._ttl if for_good else delay), delay))

    def absent_until(self, *key: str) -> float:
        """Return until when something is known not to exist; 0 where that is not known or too long ago."""
        until, _ = self._absences.get(key) or (0.0, 0.0)
        return until if until > self._clock.monotonic() else 0.0


def _speaks_of(reference: Reference, pod: Pod) -> bool:
    """Return whether what a reference says, beside its names, is true of a pod of these names."""
    if reference.pod_uid:
        return reference.pod_uid in {pod.uid, *pod.other_uids}
    return not reference.container_id or reference.container_id in pod.container_ids
