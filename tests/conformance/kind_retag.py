"""Rows of kind `retag`: a batch of events, and the tags that rewrite_tag_filter sends them on with."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from logpipe.builtin.out_rewrite_tag_filter import RewriteTagFilter
from logpipe.config.declare import InvalidSetting
from logpipe.config.diagnostic import ConfigError
from logpipe.event import EventBatch
from logpipe.testing import FakeHost, configure
from tests.conformance.kind_ruby import same_value


def run(row: dict[str, Any]) -> str | None:
    """Return None where the events and their tags are fluentd's, in its order, else what differs."""
    host = FakeHost()
    try:
        stage = RewriteTagFilter(configure(RewriteTagFilter, row["config"]), host)
    except (ConfigError, InvalidSetting) as problem:
        return None if "error" in row else f"the configuration is refused: {problem}"
    records = copy.deepcopy(row["records"])
    asyncio.run(stage.process(EventBatch(row["tag"], list(range(len(records))), records)))
    got = [[batch.tag, record] for batch in host.emitted for record in batch.records]
    if "error" in row:
        return f"got {got}, fluentd fails"
    return None if same_value(got, row["expect"]) else f"got {got}"
