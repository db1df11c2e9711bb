"""What stages of others say of themselves: they get the checks of ours, and `check_plugin` finds what is not so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from logpipe import Chunk, EventBatch, Input, Options, Output, PluginConf, param, plugin_section
from logpipe.engine.building.lint import lint
from logpipe.registry import Registry
from logpipe.testing import check_plugin, parse, pipeline
from logpipe.tree import Element, Way
from tests.engine.planted import OWN_LOG, some


class Suffix(Output[Options], type="suffix"):
    """Emits events under a longer tag."""

    passes_to = "route"
    keeps_tag = False

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        yield Way(element.get("label") or "", retag=lambda tag: f"{tag}.x")

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(EventBatch(f"{batch.tag}.x", batch.times, batch.records, batch.receipt))


class Elsewhere(Output[Options], type="elsewhere"):
    """Emits events as they are."""

    passes_to = "route"

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(batch)


class AnyChunk(Output[Options], type="any_chunk"):
    """Writes what others have encoded."""

    takes_any_chunk = True

    async def write(self, chunk: Chunk) -> None:
        assert list(chunk.payloads())


class Encoding(AnyChunk, type="encoding"):
    """Encodes its chunks, and cannot write those of others."""

    takes_any_chunk = False

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [b"x"] * len(batch)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<match **>\n@type suffix\n</match>\n", ["error"]),
        ("<match **>\n@type copy\n<store>\n@type suffix\n</store>\n</match>\n", ["error"]),
        ("<match **>\n@type suffix\nlabel @A\n</match>\n<label @A>\n<match **>\n@type null\n</match>\n</label>\n", []),
        ("<match a>\n@type suffix\n</match>\n<match **>\n@type null\n</match>\n", []),
        ("<match **>\n@type elsewhere\n</match>\n", ["error"]),
        ("<match **>\n@type unheard_of\n</match>\n", []),
    ],
    ids=["a longer tag", "in a store", "into another label", "another rule takes it", "the same tag", "not installed"],
)
def test_a_circle_through_a_stage_of_others(text: str, expected: list[str]) -> None:
    """Its class says where it sends events."""
    found: list[str] = []
    registry = Registry()
    for cls in (Suffix, Elsewhere):
        registry.add(cls, Path(__file__))
    source = "<source>\n@type sample\ntag a\n</source>\n"
    lint(parse(source + text).elements, registry, lambda said: found.extend([said.severity] * (said.code == CIRCLE)))
    assert found == expected


CIRCLE = "routing-circle"


@pytest.mark.parametrize(("secondary", "warns"), [("any_chunk", False), ("encoding", False), ("stdout", True)])
async def test_a_secondary_that_takes_any_chunk(secondary: str, *, warns: bool) -> None:
    """Others, but for the output's own type, are doubtful."""
    text = f"{OWN_LOG}<match a>\n@type encoding\n<secondary>\n@type {secondary}\n</secondary>\n</match>\n"
    async with pipeline(text, AnyChunk, Encoding) as running:
        assert ("doubtful-secondary" in {said.code for said in running.warnings}) is warns


class AddressOptions(Options):
    """Settings of a listener."""

    bind: str = param("Address.", default="127.0.0.1")
    port: int = param("Port.", default=1)


class Silent(Input[AddressOptions], type="silent"):
    """Has an address, and does not say that it listens."""

    async def run(self) -> None:
        raise NotImplementedError


class Tagless(Silent, type="tagless"):
    """Has no tag to keep."""

    keeps_tag = True


class Shielded(Silent, type="shielded"):
    """Is protected by what it does not have."""

    listens = "send events"
    protected_by: ClassVar = {"security": "<security>"}


class Deaf(Input[Options], type="deaf"):
    """Says that it listens, and has no address."""

    listens = "send events"

    async def run(self) -> None:
        raise NotImplementedError


class Direct(Output[Options], type="direct"):
    """Takes chunks, and has no way to."""

    takes_any_chunk = True

    async def process(self, batch: EventBatch) -> None:
        raise NotImplementedError


class Storeless(Elsewhere, type="storeless"):
    """Has no stores."""

    passes_to = "stores"


class Retagging(Suffix, type="retagging"):
    """Does not keep the tag."""

    keeps_tag = True


class Losing(Elsewhere, type="losing"):
    """Loses seven."""

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(some(batch, [0, 1]))


class Doubling(Elsewhere, type="doubling"):
    """Emits two more."""

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(some(batch, [*range(9), 0, 1]))


class FanOptions(Options):
    """Settings of a fan."""

    store: list[PluginConf] = plugin_section("Where events go.", kind="output", many=True)


class Uneven(Output[FanOptions], type="uneven"):
    """Gives its second store less than its first."""

    passes_to = "stores"
    parts: Callable[[EventBatch], list[EventBatch]] = staticmethod(lambda batch: [batch, some(batch, [0])])

    async def process(self, batch: EventBatch) -> None:
        outlets = [self.host.outlet(conf) for conf in self.options.store]
        for outlet, part in zip(outlets, self.parts(batch), strict=False):
            await outlet.process(part)


class Idle(Uneven, type="idle"):
    """Gives its stores nothing."""

    parts = staticmethod(lambda _batch: [])


STORES = "<store>\n@type null\n</store>\n" * 2


@pytest.mark.parametrize(
    ("cls", "conf", "problem"),
    [
        (Silent, "", "Silent has bind and port: listens says what who reaches it can do"),
        (Tagless, "", "Tagless keeps_tag, and has no setting tag"),
        (Shielded, "", "Shielded is protected_by <security>, which it does not have"),
        (Deaf, "", "Deaf listens, and has no settings bind and port"),
        (Direct, "", "Direct takes_any_chunk, and has no write"),
        (Storeless, "", "Storeless passes to stores, and has no section of outputs"),
        (Retagging, "", "Retagging makes the tags {'test.x'}: write keeps_tag = False"),
        (Losing, "", "7 of 9 events are lost in Losing: pass them on or tell host.dropped"),
        (Doubling, "", "2 events more than came are made in Doubling: tell host.made"),
        (Uneven, STORES, "Uneven gives its stores [9, 1] of 9 events: each gets all that others get"),
        (Idle, STORES, "9 of 9 events are lost in Idle: tell host.dropped"),
    ],
)
async def test_a_trait_that_is_not_so(cls: type[Any], conf: str, problem: str) -> None:
    """`check_plugin` says what it found, and what to write."""
    with pytest.raises(AssertionError) as raised:
        await check_plugin(cls, conf)
    assert str(raised.value).splitlines()[0] == problem


@pytest.mark.parametrize("cls", [Suffix, Elsewhere, AnyChunk, Encoding])
async def test_traits_that_are_so(cls: type[Any]) -> None:
    """Nothing is said of them."""
    await check_plugin(cls)
