"""What a peer can make a reader of its bytes hold and do."""

from __future__ import annotations

from dataclasses import dataclass

from logpipe import LogpipeError


class ProtocolError(LogpipeError):
    """What a peer has sent is not the protocol, so that what follows cannot be read either."""


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Of one connection. Beside these, nothing may be nested deeper than 1,024 levels."""

    frame: int = 272 * 1024 * 1024
    """Bytes of a frame: a chunk of fluentd's file buffer, 256 MB, and some."""
    inflated: int = 256 * 1024 * 1024
    """Bytes of a frame's events, decompressed."""
    ratio: int = 5_000
    """So many times as large decompressed; gzip cannot do more than about a thousand."""
    option: int = 65_536
    """Bytes of what stands behind the events."""
    tag: int = 1_024
    """Bytes of a tag."""
    events: int = 4_194_304
    """In one message."""
    values: int = 262_144
    """Values in one record, those within others too: an empty map is one byte, and 64 when it is read."""
    json: int = 16 * 1024 * 1024
    """Bytes of a frame that is JSON; less than of others, since all of it is read at once."""
    json_containers: int = 1_048_576
    """Arrays and objects in one."""
