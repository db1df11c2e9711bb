"""A Kafka cluster that fails on request: librdkafka's own mock, in this process, reached through ctypes.

The library is the one that the confluent-kafka wheel carries. Its header calls the interface experimental. The mock
keeps a partition's last 5 MB, answers a Produce request with `acks=0` (a real Kafka does not), refuses no message for
its size, and does not sort out an idempotent producer's duplicates: use a real broker for those.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

ALL_BROKERS: Final = -1

_PRODUCER: Final = 0  # rd_kafka_type_t


class Error(enum.IntEnum):
    """What the mock can be told to answer, as Kafka's protocol numbers it; TRANSPORT cuts the connection."""

    TRANSPORT = -195
    NONE = 0
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    LEADER_NOT_AVAILABLE = 5
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    MSG_SIZE_TOO_LARGE = 10
    INVALID_TOPIC = 17
    NOT_ENOUGH_REPLICAS = 19
    TOPIC_AUTHORIZATION_FAILED = 29
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    INVALID_RECORD = 87


class Request(enum.IntEnum):
    """The kinds of request that tests count or fail."""

    PRODUCE = 0
    FETCH = 1
    METADATA = 3
    INIT_PRODUCER_ID = 22


class MockKafka:
    """A mock cluster on loopback; brokers are numbered from 1. Use it as a context manager, or call `close`.

    Nothing here blocks for longer than a hand-over to librdkafka's thread, so a coroutine may call it.

    A topic that somebody asks for is made, with four partitions; `fail_topic` is how to have one that is not there.

    Args:
        brokers: how many.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._library = _library()
        conf = self._library.rd_kafka_conf_new()
        # It would complain about a client without brokers, which is all that this one is for.
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", None, 0)
        reason = ctypes.create_string_buffer(512)
        self._client = self._library.rd_kafka_new(_PRODUCER, conf, reason, len(reason))
        if not self._client:
            raise RuntimeError(f"librdkafka would not start: {reason.value.decode()}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 1)

    @property
    def bootstrap(self) -> str:
        """Every broker's HOST:PORT, joined with commas."""
        addresses: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return addresses.decode()

    def create_topic(self, name: str, *, partitions: int = 1) -> None:
        """Make a topic; one that is there already is left as it is."""
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def fail_topic(self, name: str, error: Error) -> None:
        """Answer questions about a topic (Metadata) with an error, or no longer with Error.NONE."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), error)

    def fail_requests(self, kind: Request, *errors: Error) -> None:
        """Answer the next requests of a kind with these errors, one each, all brokers together."""
        stack = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, kind, len(errors), stack)

    def fail_partition(self, topic: str, partition: int, *errors: Error) -> None:
        """Answer the next Produce requests to one partition with these errors, one each; Error.NONE lets one pass."""
        codes = [ctypes.c_int(error) for error in errors]
        self._library.rd_kafka_mock_partition_push_request_errors(
            self._cluster, topic.encode(), partition, Request.PRODUCE, len(codes), *codes
        )

    def forgive_requests(self, kind: Request) -> None:
        """Forget the errors that requests of a kind have not met yet."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, kind)

    def set_leader(self, topic: str, partition: int, broker: int) -> None:
        """Move a partition to a broker, or to none with -1."""
        self._library.rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), partition, broker)

    def stop_broker(self, broker: int = ALL_BROKERS) -> None:
        """Cut a broker's connections and refuse new ones; its partitions stay where they are."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def start_broker(self, broker: int = ALL_BROKERS) -> None:
        """Let a stopped broker serve again, with what it held."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def slow_broker(self, milliseconds: int, broker: int = ALL_BROKERS) -> None:
        """Delay every answer; 0 ends it."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, broker, milliseconds)

    def advertise(self, broker: int, port: int) -> None:
        """Have a broker send clients to another loopback port, to something in front of it."""
        self._library.rd_kafka_mock_broker_set_host_port(self._cluster, broker, b"localhost", port)

    def count_requests(self) -> None:
        """Begin to count requests, from nothing."""
        self._library.rd_kafka_mock_start_request_tracking(self._cluster)
        self._library.rd_kafka_mock_clear_requests(self._cluster)

    def requests(self) -> Sequence[int]:
        """Return the kind of every request since `count_requests`, in order; compare with `Request`."""
        count = ctypes.c_size_t()
        found = self._library.rd_kafka_mock_get_requests(self._cluster, ctypes.byref(count))
        kinds = [self._library.rd_kafka_mock_request_api_key(found[index]) for index in range(count.value)]
        for index in range(count.value):
            self._library.rd_kafka_mock_request_destroy(found[index])
        self._library.rd_kafka_mem_free(None, found)
        return kinds

    def close(self) -> None:
        """End the cluster; safe to call twice."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._cluster = self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@functools.cache
def _library() -> ctypes.CDLL:
    """Load librdkafka out of the confluent-kafka wheel, with the signatures of what is used here."""
    wheel = importlib.util.find_spec("confluent_kafka")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("the mock cluster needs the confluent-kafka wheel: pip install confluent-kafka")
    folder = Path(wheel.origin).parent.with_name("confluent_kafka.libs")
    library = ctypes.CDLL(str(next(folder.glob("librdkafka-*.so*"))))
    pointer, text, number, short, size = (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.c_int16,
        ctypes.c_size_t,
    )
    pointers = ctypes.POINTER(pointer)
    signatures: dict[str, tuple[type[Any] | None, list[type[Any]]]] = {
        "conf_new": (pointer, []),
        "conf_set": (number, [pointer, text, text, text, size]),
        "new": (pointer, [number, pointer, text, size]),
        "destroy": (None, [pointer]),
        "mem_free": (None, [pointer, pointers]),
        "mock_cluster_new": (pointer, [pointer, number]),
        "mock_cluster_destroy": (None, [pointer]),
        "mock_cluster_bootstraps": (text, [pointer]),
        "mock_group_initial_rebalance_delay_ms": (None, [pointer, number]),
        "mock_topic_create": (number, [pointer, text, number, number]),
        "mock_topic_set_error": (None, [pointer, text, number]),
        "mock_push_request_errors_array": (None, [pointer, short, size, pointer]),
        "mock_partition_push_request_errors": (number, [pointer, text, number, short, size]),
        "mock_clear_request_errors": (None, [pointer, short]),
        "mock_partition_set_leader": (number, [pointer, text, number, number]),
        "mock_broker_set_down": (number, [pointer, number]),
        "mock_broker_set_up": (number, [pointer, number]),
        "mock_broker_set_rtt": (number, [pointer, number, number]),
        "mock_broker_set_host_port": (number, [pointer, number, text, number]),
        "mock_start_request_tracking": (None, [pointer]),
        "mock_clear_requests": (None, [pointer]),
        "mock_get_requests": (pointers, [pointer, ctypes.POINTER(size)]),
        "mock_request_api_key": (short, [pointer]),
        "mock_request_destroy": (None, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library
