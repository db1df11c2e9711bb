"""The public API: all that a plugin imports.

A name's module is loaded when the name is first asked for: `logpipe --version` needs none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logpipe.config.buffer_options import BufferOptions
    from logpipe.config.conversion import FileMode, Seconds, Size
    from logpipe.config.declare import InvalidSetting, argument, param, plugin_section, raw_section, section
    from logpipe.config.diagnostic import Diagnostic, Position, Report
    from logpipe.config.element import Element
    from logpipe.config.explained import Explained
    from logpipe.config.options import Options, PluginConf
    from logpipe.config.time_options import TimeOptions
    from logpipe.config.values import convert_float, convert_integer, split_regexp
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
        RefusedRecords,
        RetryLater,
    )
    from logpipe.event import Event, EventBatch, Receipt, Record, Time
    from logpipe.expression import (
        Dialect,
        Pattern,
        Reading,
        RecordAccessor,
        RecordRules,
        RecordTemplate,
        Replacement,
        SequenceRules,
        Template,
        TemplateError,
        Transform,
        compile_record,
        compile_regexp,
        compile_sequence,
        compile_template,
        group_names,
    )
    from logpipe.expression.text import inspect as ruby_inspect
    from logpipe.expression.text import to_s as ruby_to_s
    from logpipe.expression.time_limit import TimeLimit, TimeLimitExceeded, call_within, limited_search
    from logpipe.faults import fault
    from logpipe.inject import InjectOptions, compile_inject
    from logpipe.metrics import Counter, Measurement, SourceAccount
    from logpipe.plugin import (
        AsyncFilter,
        Buffer,
        Chunk,
        ChunkKey,
        Clock,
        Files,
        Filter,
        Formatter,
        Host,
        Input,
        Monitor,
        Outlet,
        Output,
        Parsed,
        Parser,
        Plugin,
        PluginState,
        RetryState,
        StoredChunk,
    )
    from logpipe.plugin.failures import failure_of
    from logpipe.raw_text import (
        escaped,
        holds_bytes,
        readable,
        text_or_bytes,
        texts_or_bytes,
        unescape_values,
        unescaped,
    )
    from logpipe.time_format import (
        TimeType,
        compile_formatter,
        compile_typed_formatter,
        compile_typed_parser,
        find_zone,
    )

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
    "Dialect",
    "Element",
    "Event",
    "EventBatch",
    "Explained",
    "ExpressionError",
    "FileMode",
    "Files",
    "Filter",
    "FormatError",
    "Formatter",
    "Host",
    "InjectOptions",
    "Input",
    "InvalidSetting",
    "LogpipeError",
    "Measurement",
    "Monitor",
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
    "PluginState",
    "Position",
    "Reading",
    "Receipt",
    "Record",
    "RecordAccessor",
    "RecordRules",
    "RecordTemplate",
    "RecordTooLarge",
    "RefusedRecords",
    "Replacement",
    "Report",
    "RetryLater",
    "RetryState",
    "Seconds",
    "SequenceRules",
    "Size",
    "SourceAccount",
    "StoredChunk",
    "Template",
    "TemplateError",
    "Time",
    "TimeLimit",
    "TimeLimitExceeded",
    "TimeOptions",
    "TimeType",
    "Transform",
    "argument",
    "call_within",
    "compile_formatter",
    "compile_inject",
    "compile_record",
    "compile_regexp",
    "compile_sequence",
    "compile_template",
    "compile_typed_formatter",
    "compile_typed_parser",
    "convert_float",
    "convert_integer",
    "escaped",
    "failure_of",
    "fault",
    "find_zone",
    "group_names",
    "holds_bytes",
    "limited_search",
    "param",
    "plugin_section",
    "raw_section",
    "readable",
    "ruby_inspect",
    "ruby_to_s",
    "section",
    "split_regexp",
    "text_or_bytes",
    "texts_or_bytes",
    "unescape_values",
    "unescaped",
]

_HOMES = {
    "logpipe.config.buffer_options": ("BufferOptions",),
    "logpipe.config.conversion": (
        "FileMode",
        "Seconds",
        "Size",
    ),
    "logpipe.config.declare": (
        "InvalidSetting",
        "argument",
        "param",
        "plugin_section",
        "raw_section",
        "section",
    ),
    "logpipe.config.diagnostic": (
        "Diagnostic",
        "Position",
        "Report",
    ),
    "logpipe.config.element": ("Element",),
    "logpipe.config.explained": ("Explained",),
    "logpipe.config.options": (
        "Options",
        "PluginConf",
    ),
    "logpipe.config.time_options": ("TimeOptions",),
    "logpipe.config.values": (
        "convert_float",
        "convert_integer",
        "split_regexp",
    ),
    "logpipe.errors": (
        "BufferFull",
        "ConfigError",
        "DeliveryError",
        "ExpressionError",
        "FormatError",
        "LogpipeError",
        "ParseError",
        "PermanentError",
        "RecordTooLarge",
        "RefusedRecords",
        "RetryLater",
    ),
    "logpipe.event": (
        "Event",
        "EventBatch",
        "Receipt",
        "Record",
        "Time",
    ),
    "logpipe.expression": (
        "Dialect",
        "Pattern",
        "Reading",
        "RecordAccessor",
        "RecordRules",
        "RecordTemplate",
        "Replacement",
        "SequenceRules",
        "Template",
        "TemplateError",
        "Transform",
        "compile_record",
        "compile_regexp",
        "compile_sequence",
        "compile_template",
        "group_names",
    ),
    "logpipe.expression.time_limit": (
        "TimeLimit",
        "TimeLimitExceeded",
        "call_within",
        "limited_search",
    ),
    "logpipe.faults": ("fault",),
    "logpipe.inject": (
        "InjectOptions",
        "compile_inject",
    ),
    "logpipe.metrics": (
        "Counter",
        "Measurement",
        "SourceAccount",
    ),
    "logpipe.plugin.failures": ("failure_of",),
    "logpipe.plugin": (
        "AsyncFilter",
        "Buffer",
        "Chunk",
        "ChunkKey",
        "Clock",
        "Files",
        "Filter",
        "Formatter",
        "Host",
        "Input",
        "Monitor",
        "Outlet",
        "Output",
        "Parsed",
        "Parser",
        "Plugin",
        "PluginState",
        "RetryState",
        "StoredChunk",
    ),
    "logpipe.raw_text": (
        "escaped",
        "holds_bytes",
        "readable",
        "text_or_bytes",
        "texts_or_bytes",
        "unescape_values",
        "unescaped",
    ),
    "logpipe.time_format": (
        "TimeType",
        "compile_formatter",
        "compile_typed_formatter",
        "compile_typed_parser",
        "find_zone",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_RENAMED = {"ruby_inspect": ("logpipe.expression.text", "inspect"), "ruby_to_s": ("logpipe.expression.text", "to_s")}


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives, once."""
    home, own_name = _RENAMED.get(name) or (_HOME.get(name), name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), own_name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
