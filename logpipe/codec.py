"""A door for parsers, formatters and outputs: text that may be no UTF-8, events as bytes, times as text, `<inject>`."""

from logpipe.config.time_options import TimeOptions as TimeOptions
from logpipe.event import Const as Const
from logpipe.event import Drop as Drop
from logpipe.event import Edit as Edit
from logpipe.event import Payloads as Payloads
from logpipe.event import joined as joined
from logpipe.event import lengths_of as lengths_of
from logpipe.event import pieces_in as pieces_in
from logpipe.event import size_of as size_of
from logpipe.event import spans_of as spans_of
from logpipe.inject import InjectOptions as InjectOptions
from logpipe.inject import compile_inject as compile_inject
from logpipe.plugin import LineParser as LineParser
from logpipe.plugin import RecordFormatter as RecordFormatter
from logpipe.raw_text import escaped as escaped
from logpipe.raw_text import holds_bytes as holds_bytes
from logpipe.raw_text import readable as readable
from logpipe.raw_text import text_or_bytes as text_or_bytes
from logpipe.raw_text import texts_or_bytes as texts_or_bytes
from logpipe.raw_text import unescape_values as unescape_values
from logpipe.raw_text import unescaped as unescaped
from logpipe.time_format import TimeType as TimeType
from logpipe.time_format import compile_formatter as compile_formatter
from logpipe.time_format import compile_typed_formatter as compile_typed_formatter
from logpipe.time_format import compile_typed_parser as compile_typed_parser
from logpipe.time_format import find_zone as find_zone
