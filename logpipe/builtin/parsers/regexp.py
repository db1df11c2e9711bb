"""Lines parsed by a regular expression. Settings and rules: plugin/parser_regexp.rb."""

from __future__ import annotations

from collections.abc import Iterator

from logpipe import Host, InvalidSetting, param
from logpipe.codec import ParseOptions, PatternParser
from logpipe.ruby import ExpressionError, Pattern, compile_regexp, group_names, split_regexp


class RegexpOptions(ParseOptions):
    """Settings of `<parse> @type regexp`."""

    expression: str = param(
        "Ruby regular expression, `/…/`, `/…/i` or `/…/m`, whose named groups become the record's fields."
    )
    ignorecase: bool = param("Ignore case.", default=False, deprecated="write /…/i")
    multiline: bool = param("Let a dot match newlines.", default=False, deprecated="write /…/m")
    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")

    @property
    def pattern(self) -> Pattern:
        """The expression, compiled.

        Raises:
            ExpressionError: Ruby would refuse it, or it is not supported.
            ValueError: its closing slash is missing.
        """
        source, flags = split_regexp(self.expression)
        if self.ignorecase or self.multiline:
            # compat: parser_regexp.rb lets these replace the flags after the slash
            flags = ("i" if self.ignorecase else "") + ("m" if self.multiline else "")
        return compile_regexp(source, flags)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is wrong with the expression."""
        yield from super().check()
        try:
            pattern = self.pattern
        except ExpressionError as problem:
            sentence = f"{problem}{f': {problem.hint}' if problem.hint else ''}"
            offset = (problem.offset or 0) + self.expression.startswith("/")
            yield InvalidSetting(sentence, param="expression", offset=offset)
            return
        except ValueError as problem:
            yield InvalidSetting(str(problem), param="expression")
            return
        if not group_names(pattern):
            message = "the expression has no named captures, so no record can come of it: name groups, (?<name>…)"
            yield InvalidSetting(message, param="expression")


class RegexpParser(PatternParser[RegexpOptions], type="regexp"):
    """Makes a record of an expression's named groups; a group that did not match is left out."""

    def __init__(self, options: RegexpOptions, host: Host) -> None:
        super().__init__(options, host, options.pattern)
