"""Times as text, Ruby's way: strftime, strptime, Time.parse, zones, and fluentd's `time_type`.

A time is an integer, nanoseconds since the epoch. A zone is a `tzinfo`, or None for the machine's own. Formats are
compiled once; the results are called per event and cache what repeats within a second.
"""

from logpipe.time_format.moment import Moment
from logpipe.time_format.parsing import TimeParser, compile_free_parser, compile_time_parser
from logpipe.time_format.strftime import compile_formatter
from logpipe.time_format.strptime import compile_moment_parser
from logpipe.time_format.typed import TimeType, compile_typed_formatter, compile_typed_parser
from logpipe.time_format.zones import find_zone, fixed_zone

__all__ = [
    "Moment",
    "TimeParser",
    "TimeType",
    "compile_formatter",
    "compile_free_parser",
    "compile_moment_parser",
    "compile_time_parser",
    "compile_typed_formatter",
    "compile_typed_parser",
    "find_zone",
    "fixed_zone",
]
