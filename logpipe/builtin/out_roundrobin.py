"""Gives each batch to one of several outputs, in turn. Settings and order: fluentd's plugin/out_roundrobin.rb."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from logpipe import EventBatch, InvalidSetting, Options, Outlet, Output, OutputHost, PluginConf, param, plugin_section

MOST_TURNS: Final = 100_000
"""Turns of a round; weights that make more of them are a mistake."""


class StoreOptions(Options):
    """What `<store>` has beside its output's own settings."""

    weight: int = param("The output's share of the batches, beside the weights of the others.", default=1)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a weight that is no share."""
        if self.weight < 0:
            yield InvalidSetting("weight must not be negative", param="weight")


class RoundRobinOptions(Options):
    """Settings of `<match> @type roundrobin`."""

    store: list[PluginConf] = plugin_section(
        "An output that gets its share of the batches.", kind="output", many=True, required=True, owned=StoreOptions
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield weights of which no round can be made."""
        weights = [_weight(conf) for conf in self.store]
        if not any(weights):
            yield "no <store> has a weight above 0: there is nowhere to send events to"
        elif sum(weights) // math.gcd(*weights) > MOST_TURNS:
            yield f"the weights make a round of more than {MOST_TURNS} batches: write smaller ones"


class _Store(NamedTuple):
    outlet: Outlet
    name: str
    is_buffered: bool
    """Whether it puts events into a buffer, without changing their records."""


class RoundRobin(Output[RoundRobinOptions], type="roundrobin"):
    """Gives each batch to one store: to the first, then to the second, and so on; by `weight` in a shuffled order.

    A batch that its store does not accept is offered to the others, one after the other, and goes back to the input
    when all have refused: fluentd gives it back after the first, and an input that cannot send it again has lost it.
    A `<store>` with a buffer accepts events until the buffer is full, whatever becomes of its peer.
    """

    passes_to = "store"

    def __init__(self, options: RoundRobinOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._stores = [_store(number, conf, host) for number, conf in enumerate(options.store, start=1)]
        self._turns = _turns([_weight(conf) for conf in options.store])
        self._turn = -1
        self._refusing: set[int] = set()

    async def process(self, batch: EventBatch) -> None:
        """Give a batch to the store whose turn it is.

        Raises:
            Exception: of the last store that was asked, when all have refused it.
        """
        self._turn = (self._turn + 1) % len(self._turns)
        # the order in which they would come next: each once, and none whose weight is 0
        asked = list(dict.fromkeys(self._turns[self._turn :] + self._turns[: self._turn]))
        for number in asked:
            store = self._stores[number]
            is_last = number == asked[-1]
            try:
                # a store may have changed the records before it refuses
                await store.outlet.process(batch if is_last or store.is_buffered else batch.copy())
            except Exception as error:
                self._refused(number, error)
                if is_last:
                    raise
            else:
                self._accepted(number)
                return

    def _refused(self, number: int, error: Exception) -> None:
        if number not in self._refusing:
            self._refusing.add(number)
            self.host.log.warning("%s takes no events, the others get its share: %r", self._stores[number].name, error)

    def _accepted(self, number: int) -> None:
        if number in self._refusing:
            self._refusing.discard(number)
            self.host.log.info("%s takes events again", self._stores[number].name)


def _store(number: int, conf: PluginConf, host: OutputHost) -> _Store:
    name = conf.element.get("@id") or f"store {number} ({conf.type})"
    is_buffered = any(conf.element.sections("buffer")) or not conf.plugin_class.is_direct()
    return _Store(host.outlet(conf), name, is_buffered)


def _weight(conf: PluginConf) -> int:
    return conf.owned.weight if isinstance(conf.owned, StoreOptions) else 1


def _turns(weights: list[int]) -> list[int]:
    """Return the numbers of the stores in the order of a round."""
    common = math.gcd(*weights)
    turns = [number for number, weight in enumerate(weights) for _ in range(weight // common)]
    if any(weight > 1 for weight in weights):  # compat: out_roundrobin.rb shuffles then only
        random.shuffle(turns)
    return turns
