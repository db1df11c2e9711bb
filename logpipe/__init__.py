"""The public API: all that a plugin imports."""

from logpipe.config.buffer_options import BufferOptions
from logpipe.config.conversion import Seconds, Size
from logpipe.config.declare import InvalidSetting, argument, param, plugin_section, raw_section, section
from logpipe.config.diagnostic import Diagnostic, Position, Report
from logpipe.config.element import Element
from logpipe.config.options import FindPlugin, Options, PluginConf
from logpipe.config.values import convert_float, convert_integer
from logpipe.errors import (
    BufferFull,
    ConfigError,
    DeliveryError,
    ExpressionError,
    FormatError,
    LogpipeError,
    ParseError,
    PermanentError,
    RecordTooLarge,
    RetryLater,
)
from logpipe.event import Event, EventBatch, Receipt, Record, Time
from logpipe.expression import Pattern, RecordAccessor, compile_regexp, split_regexp
from logpipe.expression.text import inspect as ruby_inspect
from logpipe.expression.text import to_s as ruby_to_s
from logpipe.metrics import Counter
from logpipe.plugin import (
    AsyncFilter,
    Buffer,
    Chunk,
    ChunkKey,
    Clock,
    Filter,
    Formatter,
    Host,
    Input,
    Outlet,
    Output,
    Parsed,
    Parser,
    Plugin,
    StoredChunk,
)
from logpipe.time_format import TimeType, compile_formatter, compile_typed_formatter, compile_typed_parser, find_zone

__all__ = [
    "AsyncFilter",
    "Buffer",
    "BufferFull",
    "BufferOptions",
    "Chunk",
    "ChunkKey",
    "Clock",
    "ConfigError",
    "Counter",
    "DeliveryError",
    "Diagnostic",
    "Element",
    "Event",
    "EventBatch",
    "ExpressionError",
    "Filter",
    "FindPlugin",
    "FormatError",
    "Formatter",
    "Host",
    "Input",
    "InvalidSetting",
    "LogpipeError",
    "Options",
    "Outlet",
    "Output",
    "ParseError",
    "Parsed",
    "Parser",
    "Pattern",
    "PermanentError",
    "Plugin",
    "PluginConf",
    "Position",
    "Receipt",
    "Record",
    "RecordAccessor",
    "RecordTooLarge",
    "Report",
    "RetryLater",
    "Seconds",
    "Size",
    "StoredChunk",
    "Time",
    "TimeType",
    "argument",
    "compile_formatter",
    "compile_regexp",
    "compile_typed_formatter",
    "compile_typed_parser",
    "convert_float",
    "convert_integer",
    "find_zone",
    "param",
    "plugin_section",
    "raw_section",
    "ruby_inspect",
    "ruby_to_s",
    "section",
    "split_regexp",
]
