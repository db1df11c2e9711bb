"""What may stand behind the events of a message: how many there are, their chunk, how they are compressed."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, TypeAlias

from logpipe.builtin.forward_protocol.limits import ProtocolError

Chunk: TypeAlias = str | bytes | int
"""What a sender calls a chunk, in the form that it came in: it is sent back as an acknowledgement."""
Compressed: TypeAlias = Literal["gzip", "zstd"]

_LONGEST_CHUNK: Final = 1024
_COMPRESSIONS: Final[dict[Any, Compressed | None]] = {None: None, "text": None, "gzip": "gzip", "zstd": "zstd"}


class Option(NamedTuple):
    """The options of a message."""

    chunk: Chunk | None = None
    """What the acknowledgement holds, sent when the events are safe; None where the sender does not wait for one."""
    size: int | None = None
    """How many events the sender says there are."""
    compressed: Compressed | None = None
    """How the packed events are compressed."""
    signal: int | None = None
    """What Fluent Bit sends: 0 logs, 1 metrics, 2 traces."""

    def fields(self) -> dict[str, Any]:
        """Return what is set, by the names that it has in the protocol."""
        names = {"size": self.size, "chunk": self.chunk, "compressed": self.compressed, "fluent_signal": self.signal}
        return {name: value for name, value in names.items() if value is not None}


NONE: Final = Option()


def read_option(value: Any) -> Option:
    """Return the options that a value is; nothing is required, and names that are not known are nobody's.

    Raises:
        ProtocolError: it is no map, or how the events are compressed is not known here.
    """
    if value is None:
        return NONE
    if not isinstance(value, dict):
        raise ProtocolError(f"the options of a message are no map, but {str(value)[:64]!r}")
    chunk, size, signal = value.get("chunk"), value.get("size"), value.get("fluent_signal")
    compressed = value.get("compressed")
    if isinstance(chunk, str | bytes) and len(chunk) > _LONGEST_CHUNK:
        raise ProtocolError(f"the chunk has a name of {len(chunk)} characters: {_LONGEST_CHUNK} are the most")
    if not isinstance(compressed, str | None) or compressed not in _COMPRESSIONS:
        raise ProtocolError(f"compressed is {str(compressed)[:64]!r}: write gzip or zstd")
    return Option(
        chunk=chunk if type(chunk) in {str, bytes, int} else None,
        size=size if type(size) is int else None,
        compressed=_COMPRESSIONS[compressed],
        signal=signal if type(signal) is int else None,
    )
