"""Settings of parsers whose fields have their values once and for all: plugin/parser.rb converts nothing for them."""

from __future__ import annotations

import re
from typing import Final

from logpipe import param
from logpipe.codec import ParseOptions

_AS_THEY_ARE: Final = "this parser's fields have their types already, as in fluentd: convert them in a filter"


class FixedFieldsOptions(ParseOptions):
    """What has no effect on the fields of such a parser."""

    time_key: str | None = param(
        "Accepted for compatibility.", default=None, no_effect="this parser takes the time from no field, as in fluentd"
    )
    types: dict[str, str] = param("Accepted for compatibility.", default={}, no_effect=_AS_THEY_ARE)
    null_value_pattern: re.Pattern[str] | None = param(
        "Accepted for compatibility.", default=None, no_effect=_AS_THEY_ARE
    )
    null_empty_string: bool = param("Accepted for compatibility.", default=False, no_effect=_AS_THEY_ARE)
