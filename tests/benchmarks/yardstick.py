"""The yardstick: the flagship's work written by hand on the same libraries, with nothing that makes an engine one.

`python -m tests.benchmarks.yardstick LOG BROKER TOPIC FIELDS` reads docker's json-file lines, takes the time out, adds
constant fields, encodes JSON and produces it with aiokafka, batch by batch. There is no configuration, no plugin, no
position, no rotation, no error handling: what an engine can at best come near to, or pass by doing less for each event.
It prints one JSON object: events, and the seconds and CPU seconds of the work without the start-up.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaProducer

BLOCK = 1 << 20
MOST_PENDING = 16


async def main(log: Path, broker: str, topic: str, fields: dict[str, Any]) -> None:
    """Produce every line of the log to the topic, and say what it took."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks=1, max_batch_size=BLOCK, max_request_size=4 * BLOCK)
    await producer.start()
    partitions = sorted(await producer.partitions_for(topic))
    wall, cpu = time.perf_counter(), time.process_time()
    events = await _ship(log, producer, topic, partitions, fields)
    took = {"events": events, "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    await producer.stop()
    sys.stdout.write(json.dumps(took) + "\n")


async def _ship(
    log: Path, producer: AIOKafkaProducer, topic: str, partitions: list[int], fields: dict[str, Any]
) -> int:
    pending: set[asyncio.Future[Any]] = set()
    seconds: dict[str, int] = {}
    events = batches = 0
    with log.open("rb") as file:
        while block := file.read(BLOCK):
            messages = _messages(block + file.readline(), fields, seconds)
            events += len(messages)
            done = 0
            while done < len(messages):
                batch = producer.create_batch()
                while done < len(messages):
                    timestamp, value = messages[done]
                    if batch.append(key=None, value=value, timestamp=timestamp) is None:
                        break
                    done += 1
                batch.close()
                partition = partitions[batches % len(partitions)]
                future = await producer.send_batch(batch, topic, partition=partition)
                batches += 1
                pending.add(future)
                future.add_done_callback(pending.discard)
            if len(pending) > MOST_PENDING:
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*pending)
    return events


def _messages(block: bytes, fields: dict[str, Any], seconds: dict[str, int]) -> list[tuple[int, bytes]]:
    loads, dumps = orjson.loads, orjson.dumps
    messages = []
    for line in block.split(b"\n")[:-1]:
        record = loads(line)
        stamp = record.pop("time")
        if (milliseconds := seconds.get(stamp[:19])) is None:
            moment = datetime.fromisoformat(stamp[:19] + "+00:00")
            milliseconds = seconds[stamp[:19]] = int(moment.timestamp()) * 1000
        record.update(fields)
        messages.append((milliseconds + int(stamp[20:23]), dumps(record)))
    return messages


if __name__ == "__main__":
    _, log_file, address, to, added = sys.argv
    uvloop.run(main(Path(log_file), address, to, json.loads(added)))
