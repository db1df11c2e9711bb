"""Ids for documents, as the plugin makes them."""

from __future__ import annotations

import base64
import hashlib

import pytest

from logpipe.testing import check_plugin, drive
from logpipe_elasticsearch.filter_genid import GenId

NOON = 1_704_110_400 * 1_000_000_000


@pytest.mark.parametrize("hash_type", ["md5", "sha1", "sha256", "sha512"])
async def test_how_they_are_hashed(hash_type: str) -> None:
    """And in which field they are."""
    conf = f"use_record_as_seed true\nrecord_keys a\nhash_type {hash_type}\nhash_id_key id"
    async with drive(GenId, conf) as running:
        await running.feed("t", {"a": "x"})
        (record,) = running.records()
    assert record == {"a": "x", "id": base64.b64encode(hashlib.new(hash_type, b"x").digest()).decode()}


async def test_ids_of_the_plugin() -> None:
    """As Ruby makes them: lists are joined, nil is nothing, and the whole record is sorted by key."""

    def of(seed: str) -> str:
        return base64.b64encode(hashlib.sha1(seed.encode()).digest()).decode()  # noqa: S324 - what is tested

    record = {"b": [1, [None, "x"]], "a": {"k": True}, "n": None}
    for conf, seed in (
        ("record_keys b,n,a", '1__x__{"k"=>true}'),
        ("use_entire_record true", '|a|{"k"=>true}|b|[1, [nil, "x"]]|n|'),
        ("record_keys n\ninclude_tag_in_seed true\ninclude_time_in_seed true\nseparator -", "t.a-1704110400-"),
    ):
        async with drive(GenId, f"use_record_as_seed true\n{conf}") as running:
            await running.feed("t.a", dict(record), times=[NOON])
            assert running.records()[0]["_hash"] == of(seed)


async def test_random_ids() -> None:
    """Each event has its own; and the promises of every plugin."""
    await check_plugin(GenId)
    async with drive(GenId) as running:
        await running.feed("t", {}, {})
        assert len({record["_hash"] for record in running.records()}) == 2
