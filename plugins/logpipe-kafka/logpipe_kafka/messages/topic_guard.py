"""Limits the number of topics: their names may come from log lines, which could create any number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from logpipe import Host, LogpipeError
from logpipe_kafka.messages.options import MessageOptions
from logpipe_kafka.messages.topic_queue import TopicQueue

WINDOW_SECONDS: Final = 86400.0
"""Seconds that a topic counts after it was used: names with the date in them change daily."""
REMIND_SECONDS: Final = 60.0


class TooManyTopics(LogpipeError):  # noqa: N818 - named after the problem
    """An event is for a new topic beyond `max_topics`."""


def guarded(options: MessageOptions, host: Host, queue: Callable[[str], TopicQueue]) -> Callable[[str], TopicQueue]:
    """Return `queue`, which returns a topic's queue, limited to `max_topics`."""
    return TopicGuard(options, host, queue).queue if options.max_topics > 0 else queue


class TopicGuard:
    """Limits the topics that are written to within a day."""

    def __init__(self, options: MessageOptions, host: Host, queue: Callable[[str], TopicQueue]) -> None:
        self._most = options.max_topics
        self._fallback = options.default_topic
        self._queue = queue
        self._host = host
        self._diverted = host.counter("events_of_too_many_topics", "Times that a topic over max_topics was requested.")
        self._used: dict[str, float] = {}
        self._look_again_at = 0.0
        self._remind_at = 0.0

    def queue(self, topic: str) -> TopicQueue:
        """Return a topic's queue, or that of `default_topic` in its place.

        Raises:
            TooManyTopics: it would be one too many, and there is no `default_topic`.
            LogpipeError: the name is invalid.
        """
        now = self._host.clock.monotonic()
        if topic not in self._used and topic != self._fallback and not self._has_room(now):
            return self._other(topic, now)
        queue = self._queue(topic)
        self._used[topic] = now
        return queue

    def _has_room(self, now: float) -> bool:
        if len(self._used) >= self._most and now >= self._look_again_at:
            self._look_again_at = now + REMIND_SECONDS
            self._used = {name: used for name, used in self._used.items() if now - used < WINDOW_SECONDS}
        return len(self._used) < self._most

    def _other(self, topic: str, now: float) -> TopicQueue:
        self._diverted.add(1)
        if now >= self._remind_at:
            self._remind_at = now + REMIND_SECONDS
            self._host.log.error(
                "topic %s is one more than max_topics %d; events for such topics go to %s: "
                "check the source of topic names, or raise max_topics",
                topic[:250],
                self._most,
                self._fallback or "@ERROR",
            )
        if self._fallback:
            return self._queue(self._fallback)
        raise TooManyTopics(
            f"topic {topic[:250]} is one more than max_topics {self._most}: set default_topic, or raise it"
        )
