"""In which index documents are that are there already, with `target_index_affinity`.

Rules: get_affinity_target_indices in out_elasticsearch.rb, which asks for all ids at once and reads ten answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from logpipe import Chunk, DeliveryError
from logpipe.ruby import RecordAccessor
from logpipe_elasticsearch.cluster.cluster import Cluster
from logpipe_elasticsearch.documents.names import is_id

MOST_IDS: Final = 500
"""Of one question."""
_MOST_HITS: Final = 5000
"""The server gives no more than 10,000; several indexes may have a document of one id."""
_MOST_ANSWER: Final = 32 * 1024 * 1024


def ids_of(chunk: Chunk, path: RecordAccessor) -> list[str]:
    """Return the ids of a chunk's events, each once; call it by `host.in_thread`.

    compat: of other values than texts the plugin finds none, since the server answers with texts.
    """
    found: dict[str, None] = {}
    for batch in chunk.batches():
        for record in batch.records:
            value = path.get(record)
            if isinstance(value, str) and is_id(value):
                found[value] = None
    return sorted(found)


async def indexes_of(cluster: Cluster, pattern: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the index of each document that is there.

    Args:
        cluster: is asked.
        pattern: of the indexes to look in.
        ids: of the documents.

    Raises:
        DeliveryError: there is no answer, or none that can be read.
    """
    found: dict[str, str] = {}
    path = f"/{quote(pattern, safe='*')}/_search?size={_MOST_HITS}&filter_path=hits.hits._id,hits.hits._index"
    for start in range(0, len(ids), MOST_IDS):
        query = {
            "query": {"ids": {"values": ids[start : start + MOST_IDS]}},
            "_source": False,
            "sort": [{"_index": {"order": "desc"}}],
        }
        said = await cluster.ask("POST", path, query, missing=True, most_answer=_MOST_ANSWER)
        # compat: of several the oldest is taken, which comes last
        found.update(_hits(said))
    return found


def _hits(said: Any) -> list[tuple[str, str]]:
    """Return the ids and indexes in an answer; none in that of a server which has no such index."""
    try:
        return [(str(hit["_id"]), str(hit["_index"])) for hit in ((said or {}).get("hits") or {}).get("hits") or ()]
    except (AttributeError, KeyError, TypeError):
        raise DeliveryError("the answer does not say in which indexes documents are") from None
