"""The contracts: what a plugin is, what the engine does with it, and what it may reach.

Every method's docstring says who calls it, when, how often, and what the engine does about each exception. The life
of a plugin is: constructed (no I/O), `start`, work, `stop`. Read `stages.py` first, then `host.py`.
"""

from logpipe.files import Files as Files
from logpipe.plugin.buffers import Buffer as Buffer
from logpipe.plugin.buffers import StoredChunk as StoredChunk
from logpipe.plugin.chunk import Chunk as Chunk
from logpipe.plugin.chunk import ChunkKey as ChunkKey
from logpipe.plugin.codecs import Formatter as Formatter
from logpipe.plugin.codecs import Parser as Parser
from logpipe.plugin.host import Clock as Clock
from logpipe.plugin.host import FilterHost as FilterHost
from logpipe.plugin.host import Host as Host
from logpipe.plugin.host import InputHost as InputHost
from logpipe.plugin.host import Joined as Joined
from logpipe.plugin.host import LineParser as LineParser
from logpipe.plugin.host import Monitor as Monitor
from logpipe.plugin.host import Outlet as Outlet
from logpipe.plugin.host import OutputHost as OutputHost
from logpipe.plugin.host import Parsed as Parsed
from logpipe.plugin.host import ParsedLines as ParsedLines
from logpipe.plugin.host import PluginState as PluginState
from logpipe.plugin.host import RecordFormatter as RecordFormatter
from logpipe.plugin.host import RetryState as RetryState
from logpipe.plugin.host import Splitter as Splitter
from logpipe.plugin.peer import Peer as Peer
from logpipe.plugin.stages import AsyncFilter as AsyncFilter
from logpipe.plugin.stages import Filter as Filter
from logpipe.plugin.stages import FilterBase as FilterBase
from logpipe.plugin.stages import Input as Input
from logpipe.plugin.stages import Output as Output
from logpipe.plugin.stages import Plugin as Plugin
from logpipe.plugin.stages import Way as Way
