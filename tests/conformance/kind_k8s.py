"""Rows of kind `k8s`: a record, its tag and the kubernetes_metadata filter, with an API server on loopback.

The API server's objects stand in `kubernetes-api.json` beside this file. Fluentd's watch was off; `PORT` in what is
expected is the API server's port.
"""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

from logpipe.testing import drive
from logpipe_kubernetes.filter import KubernetesMetadata
from logpipe_kubernetes.testing import FakeApiServer


def run(row: dict[str, Any]) -> str | None:
    """Return None where the records are fluentd's, else what differs."""
    return asyncio.run(_run(row))


async def _run(row: dict[str, Any]) -> str | None:
    async with FakeApiServer() as api:
        for found in _objects():
            api.put(json.loads(found))
        conf = f"kubernetes_url {api.url}\nwatch false\n{row['config']}"
        async with drive(KubernetesMetadata, conf) as stage:
            await stage.feed(row["tag"], row["record"])
            got = stage.records()
        expected = json.loads(json.dumps(row["expect"]).replace("PORT", str(api.port)))
    return None if got == expected else f"got {json.dumps(got)}"


@cache
def _objects() -> list[str]:
    """Return the API server's objects, each as JSON since they are changed when they are put there."""
    kinds = json.loads(Path(__file__).with_name("kubernetes-api.json").read_text(encoding="utf-8"))
    return [json.dumps(found) for objects in kinds.values() for found in objects.values()]
