"""A door for stages whose settings are Ruby: expressions, paths into records, regular expressions, numbers, text.

`RecordLoop` and what stands beside it are for stages with a `<record>` section.
"""

from logpipe.config.values import convert_float as convert_float
from logpipe.config.values import convert_integer as convert_integer
from logpipe.config.values import split_regexp as split_regexp
from logpipe.errors import ExpressionError as ExpressionError
from logpipe.expression import Dialect as Dialect
from logpipe.expression import Pattern as Pattern
from logpipe.expression import Reading as Reading
from logpipe.expression import RecordAccessor as RecordAccessor
from logpipe.expression import RecordRules as RecordRules
from logpipe.expression import RecordTemplate as RecordTemplate
from logpipe.expression import Replacement as Replacement
from logpipe.expression import SequenceRules as SequenceRules
from logpipe.expression import Template as Template
from logpipe.expression import TemplateError as TemplateError
from logpipe.expression import Transform as Transform
from logpipe.expression import compile_record as compile_record
from logpipe.expression import compile_regexp as compile_regexp
from logpipe.expression import compile_sequence as compile_sequence
from logpipe.expression import compile_template as compile_template
from logpipe.expression import group_names as group_names
from logpipe.expression.runtime.text import inspect as inspect
from logpipe.expression.runtime.text import to_s as to_s
from logpipe.expression.time_limit import TimeLimit as TimeLimit
from logpipe.expression.time_limit import TimeLimitExceeded as TimeLimitExceeded
from logpipe.expression.time_limit import call_within as call_within
from logpipe.expression.time_limit import limited_search as limited_search
from logpipe.record_section import RecordLoop as RecordLoop
from logpipe.record_section import entries_of as entries_of
from logpipe.record_section import explained as explained
from logpipe.record_section import invalid_entries as invalid_entries
from logpipe.record_section import invalid_entry as invalid_entry
from logpipe.record_section import warn_of_defaults as warn_of_defaults
