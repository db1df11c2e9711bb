"""A door for parsers, formatters and outputs: text that may be no UTF-8, events as bytes, times as text, sections.

`ParseOptions`, `FieldParser`, `LineRecordParser`, `PatternParser`, `MultilinePatternParser` are the base of parsers,
`FormatOptions` and `LineOptions` that of formatters, and `InjectOptions` is `<inject>`.
"""

from logpipe.config.time_options import TimeOptions as TimeOptions
from logpipe.event import Const as Const
from logpipe.event import Drop as Drop
from logpipe.event import Edit as Edit
from logpipe.event import Encoded as Encoded
from logpipe.event import LineBatch as LineBatch
from logpipe.event import Payloads as Payloads
from logpipe.event import by_tag as by_tag
from logpipe.event import joined as joined
from logpipe.event import lengths_of as lengths_of
from logpipe.event import pieces_in as pieces_in
from logpipe.event import size_of as size_of
from logpipe.event import spans_of as spans_of
from logpipe.event import unpack_records as unpack_records
from logpipe.extract import ExtractOptions as ExtractOptions
from logpipe.extract import compile_extract_tag as compile_extract_tag
from logpipe.extract import compile_extract_time as compile_extract_time
from logpipe.format import FormatOptions as FormatOptions
from logpipe.format import LineFormatter as LineFormatter
from logpipe.format import LineOptions as LineOptions
from logpipe.format import on_one_line as on_one_line
from logpipe.inject import InjectOptions as InjectOptions
from logpipe.inject import compile_inject as compile_inject
from logpipe.parse.fields import FieldParser as FieldParser
from logpipe.parse.lines import LineRecordParser as LineRecordParser
from logpipe.parse.messages import MessageParser as MessageParser
from logpipe.parse.multiline import MultilinePatternParser as MultilinePatternParser
from logpipe.parse.multiline import joined_by_first as joined_by_first
from logpipe.parse.options import ParseOptions as ParseOptions
from logpipe.parse.patterns import PatternParser as PatternParser
from logpipe.parse.splitting import split_text as split_text
from logpipe.parse.timed import Timed as Timed
from logpipe.plugin import Joined as Joined
from logpipe.plugin import LineParser as LineParser
from logpipe.plugin import ParsedLines as ParsedLines
from logpipe.plugin import RecordFormatter as RecordFormatter
from logpipe.plugin import Splitter as Splitter
from logpipe.raw_text import escape_values as escape_values
from logpipe.raw_text import escaped as escaped
from logpipe.raw_text import holds_bytes as holds_bytes
from logpipe.raw_text import readable as readable
from logpipe.raw_text import text_or_bytes as text_or_bytes
from logpipe.raw_text import texts_or_bytes as texts_or_bytes
from logpipe.raw_text import unescape_values as unescape_values
from logpipe.raw_text import unescaped as unescaped
from logpipe.record_json import dump_record as dump_record
from logpipe.record_json import dump_records as dump_records
from logpipe.record_json import replaced_texts as replaced_texts
from logpipe.time_format import TimeType as TimeType
from logpipe.time_format import compile_formatter as compile_formatter
from logpipe.time_format import compile_typed_formatter as compile_typed_formatter
from logpipe.time_format import compile_typed_parser as compile_typed_parser
from logpipe.time_format import find_zone as find_zone
