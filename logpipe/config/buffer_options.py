"""The settings of `<buffer>` that the engine reads, whatever keeps the chunks; a buffer's Options extend them.

Names and defaults: fluentd's plugin/output.rb and plugin/buffer.rb.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from logpipe.config.conversion import Seconds, Size
from logpipe.config.declare import InvalidSetting, argument, param
from logpipe.config.options import Options

_NO_KEY: Final = re.compile(r"[^-_.@a-zA-Z0-9]")


class BufferOptions(Options):
    """The settings of every `<buffer CHUNK_KEYS>`."""

    chunk_keys: list[str] = argument(
        "What events must share to go into one chunk: `tag`, `time`, field names, `$.a.b`; none: one chunk for all.",
        default=[],
    )
    timekey: Seconds | None = param(
        "Length of a time slice; needed with the chunk key `time`. Days begin at midnight in the zone, also where "
        "clocks change: such a day has 23 or 25 hours and is one slice, and two hours of one name share their files.",
        default=None,
    )
    timekey_wait: Seconds = param("How long after its end a slice waits for late events.", default="600")
    timekey_use_utc: bool = param("Cut slices and fill time placeholders in UTC.", default=False)
    timekey_zone: str | None = param(
        "Zone of slices and time placeholders, `+09:00` or `Asia/Tokyo`; the machine's own where unset.", default=None
    )
    flush_at_shutdown: bool | None = param(
        "Deliver what is left when stopping; unset: yes unless the buffer survives a restart.", default=None
    )
    flush_mode: Literal["default", "lazy", "interval", "immediate"] = param(
        "When a chunk is queued: by age (interval), at once (immediate), by slice or size only (lazy); default is lazy "
        "with the chunk key `time`, else interval.",
        default="default",
    )
    flush_interval: Seconds = param(
        "Age at which a chunk is queued. Written beside `<buffer>` in the output it makes `flush_mode` interval, and "
        "counts only where there is no `<buffer>`.",
        default="60",
    )
    flush_thread_count: int = param(
        "How many chunks are delivered at the same time; with 0 none is, and all of them are kept.", default=1
    )
    flush_thread_interval: float = param(
        "Accepted for compatibility: logpipe flushes when there is work, not on a timer.", default=1.0
    )
    flush_thread_burst_interval: float = param(
        "Accepted for compatibility: logpipe does not pause between chunks.", default=1.0
    )
    delayed_commit_timeout: Seconds = param(
        "How long an output with delayed commit waits for its peer to confirm a chunk before it is tried again; other "
        "outputs have their own deadlines.",
        default="60",
    )
    overflow_action: Literal["throw_exception", "block", "drop_oldest_chunk"] = param(
        "What happens when the buffer is full: refuse, so that the input reads again later; make the input wait; or "
        "drop the oldest chunk and count it.",
        default="throw_exception",
    )
    retry_forever: bool = param("Retry a chunk without limit.", default=False)
    retry_timeout: Seconds = param("How long a chunk that fails is tried before it is given up.", default="259200")
    retry_max_times: int | None = param(
        "How many times a failing output is tried again; unset: no limit.", default=None
    )
    retry_secondary_threshold: float = param("Share of the retry time after which `<secondary>` is used.", default=0.8)
    retry_type: Literal["exponential_backoff", "periodic"] = param(
        "How the wait between attempts grows.", default="exponential_backoff"
    )
    retry_wait: Seconds = param("The first wait between attempts.", default="1")
    retry_exponential_backoff_base: float = param("Factor from one wait to the next.", default=2.0)
    retry_max_interval: Seconds | None = param("The longest wait between attempts.", default=None)
    retry_randomize: bool = param("Spread waits by an eighth, so that agents do not retry in step.", default=True)
    chunk_limit_size: Size = param("Largest size of a chunk.", default="8m")
    total_limit_size: Size = param("Largest size of all chunks together.", default="512m")
    queue_limit_length: int | None = param(
        "0.12's limit: a number of chunks, which makes `total_limit_size` that many times `chunk_limit_size`.",
        default=None,
    )
    chunk_limit_records: int | None = param("Most events in a chunk; unset: no limit.", default=None)
    chunk_full_threshold: float = param("Share of `chunk_limit_size` from which a chunk counts as full.", default=0.95)
    queued_chunks_limit_size: int | None = param(
        "Chunks are not queued by age while this many are queued; unset: `flush_thread_count`.", default=None
    )
    compress: Literal["text", "gzip", "zstd"] = param("Compression of stored chunks.", default="text")
    decompression_size_limit: Size = param("Largest size of a chunk after decompression.", default="256m")
    disable_chunk_backup: bool = param("Throw away chunks that are given up instead of saving them.", default=False)

    @property
    def mode(self) -> Literal["lazy", "interval", "immediate"]:
        """The flush mode in force."""
        if self.flush_mode == "default":
            return "lazy" if "time" in self.chunk_keys else "interval"
        return self.flush_mode

    @property
    def limit(self) -> int:
        """The largest size of all chunks together, bytes."""
        if self.queue_limit_length is not None:
            return self.chunk_limit_size * self.queue_limit_length
        return self.total_limit_size

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield chunk keys and limits that cannot work together."""
        if "time" in self.chunk_keys and self.timekey is None:
            yield InvalidSetting("the chunk key time needs timekey, the length of a slice: add timekey 1d")
        if self.timekey is not None and self.timekey < 1:
            yield InvalidSetting("timekey must be a second at least: write timekey 1d", param="timekey")
        for key in self.chunk_keys:
            if _NO_KEY.search(key) and not key.startswith("$."):
                # compat: output.rb, CHUNK_KEY_PATTERN
                bare = key.removeprefix("${").removesuffix("}")
                yield f"the chunk key {key} is no name of a field: write {_NO_KEY.sub('', bare) or 'tag'}"
            elif key.startswith("$["):
                # compat: fluentd's output.rb refuses the bracket form here
                yield f"the chunk key {key} must be written as $.a.b"
        if self.flush_thread_count < 0:
            yield InvalidSetting("flush_thread_count must be at least 0", param="flush_thread_count")
