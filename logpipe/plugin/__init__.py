"""The contracts: what a plugin is, what the engine does with it, and what it may reach.

Every method's docstring says who calls it, when, how often, and what the engine does about each exception. The life
of a plugin is: constructed (no I/O), `start`, work, `stop`. Read `stages.py` first, then `host.py`.
"""

from logpipe.files import Files
from logpipe.plugin.buffers import Buffer, StoredChunk
from logpipe.plugin.chunk import Chunk, ChunkKey
from logpipe.plugin.codec_protocols import LineParser, Parsed, RecordFormatter
from logpipe.plugin.codecs import Formatter, Parser
from logpipe.plugin.host import Clock, FilterHost, Host, InputHost, Outlet, OutputHost
from logpipe.plugin.monitor import Monitor, PluginState, RetryState
from logpipe.plugin.stages import AsyncFilter, Filter, FilterBase, Input, Output, Plugin, Way

__all__ = [
    "AsyncFilter",
    "Buffer",
    "Chunk",
    "ChunkKey",
    "Clock",
    "Files",
    "Filter",
    "FilterBase",
    "FilterHost",
    "Formatter",
    "Host",
    "Input",
    "InputHost",
    "LineParser",
    "Monitor",
    "Outlet",
    "Output",
    "OutputHost",
    "Parsed",
    "Parser",
    "Plugin",
    "PluginState",
    "RecordFormatter",
    "RetryState",
    "StoredChunk",
    "Way",
]
