"""Changes records, value by value. Settings and rules: fluent-plugin-record-modifier 2.2.1, filter_record_modifier.rb.

Its values are Ruby as in record_transformer with enable_ruby, but each sees the changes of the values before it: the
record is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterator

from logpipe import EventBatch, Filter, FilterHost, InvalidSetting, Options, param, raw_section, section
from logpipe.ruby import (
    ExpressionError,
    RecordLoop,
    RecordTemplate,
    Replacement,
    SequenceRules,
    compile_regexp,
    compile_sequence,
    entries_of,
    explained,
    invalid_entries,
    invalid_entry,
    warn_of_defaults,
)
from logpipe.tree import Element, Explained

_OURS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "ascii-8bit", "binary"})
"""Names of UTF-8 and its subsets, which need no conversion."""


class ReplaceOptions(Options):
    """Settings of `<replace>`."""

    key: str = param("The field whose text is changed.")
    expression: str = param("Ruby regular expression of what is replaced, between slashes.")
    replace: str = param(r"The replacement; `\\1` and `\\k<name>` are groups of the match.")

    @property
    def pattern(self) -> str:
        """The expression's source."""
        # compat: filter_record_modifier.rb has no flags: a text that does not end with a slash is all source
        slashed = self.expression.startswith("/") and self.expression.endswith("/")
        return self.expression[1:-1] if slashed else self.expression

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is wrong with the regular expression."""
        try:
            compile_regexp(self.pattern)
        except ExpressionError as problem:
            yield InvalidSetting(f"{problem}: {problem.hint}" if problem.hint else str(problem), param="expression")


class RecordModifierOptions(Options):
    """Settings of `<filter> @type record_modifier`."""

    prepare_value: str | None = param(
        "Ruby statements that run once, at start: `@net = IPAddr.new('10.0.0.0/8')` makes `@net` known in `<record>`.",
        default=None,
    )
    char_encoding: str | None = param(
        "`utf-8` has no effect, since texts are UTF-8 already; any other name reads their bytes as that encoding, and "
        "`from:to` also replaces characters that `to` does not have.",
        default=None,
    )
    remove_keys: list[str] | None = param(
        "Fields to remove after `<record>`: names, `$.a.b` or `$['a']['b.c']`.", default=None
    )
    whitelist_keys: list[str] | None = param(
        "The only fields to keep, with those of `<record>`; not together with `remove_keys`.", default=None
    )
    enable_ruby: bool = param("Without effect: values are always Ruby.", default=True)
    record: list[Element] = raw_section(
        "Fields to set, one after the other; values may contain `${…}` with Ruby, which may use `record`, `tag`, "
        "`tag_parts` and `time`, a number of seconds.",
        name="record",
    )
    replace: list[ReplaceOptions] = section("A regular expression to replace in a field.", many=True)

    @property
    def rules(self) -> SequenceRules:
        """The rules for the generated loop."""
        return SequenceRules(
            prepare=self.prepare_value,
            remove_keys=tuple(self.remove_keys or ()),
            keep_keys=None if self.whitelist_keys is None else tuple(self.whitelist_keys),
            replaces=tuple(Replacement(each.key, each.pattern, each.replace) for each in self.replace),
            encodings=self._encodings,
        )

    @property
    def _encodings(self) -> tuple[str, str] | None:
        if self.char_encoding is None:
            return None
        source, colon, target = self.char_encoding.partition(":")
        if colon:
            return source, target
        return None if source.lower() in _OURS else (source, "utf-8")

    def compile(self, *names: str, origin: str = "expression") -> RecordTemplate:
        """Return the compiled section, or that of some of its entries.

        Raises:
            TemplateError: an entry is not a template, or uses something that expressions may not.
            ExpressionError: the problem is not in an entry.
        """
        entries = entries_of(self.record)
        return compile_sequence([(name, entries[name]) for name in names or entries], self.rules, origin=origin)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield contradicting settings, and every expression that does not compile, each with its place."""
        if self.remove_keys and self.whitelist_keys:
            yield InvalidSetting(
                "remove_keys and whitelist_keys exclude one another: remove one", param="whitelist_keys"
            )
        for word, rules in (
            ("prepare_value", SequenceRules(prepare=self.prepare_value)),
            ("remove_keys", SequenceRules(remove_keys=self.rules.remove_keys)),
            ("char_encoding", SequenceRules(encodings=self.rules.encodings)),
        ):
            try:
                compile_sequence([], rules)
            except ExpressionError as problem:
                yield invalid_entry(problem, [], param=word)
                return
        yield from invalid_entries(self.compile, self.record, param="record")

    def explained(self) -> Iterator[Explained]:
        """Yield the expressions with the code that is generated for them."""
        return explained(self.compile(), self.record)


class RecordModifier(Filter[RecordModifierOptions], type="record_modifier"):
    """Changes records; each value may be a Ruby expression that reads and changes the record as it is so far."""

    def __init__(self, options: RecordModifierOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        for each in options.replace:
            if not each.expression.startswith("/"):
                host.log.warning('write "expression /%s/" instead of "expression %s"', each.pattern, each.expression)
        try:
            template = options.compile(origin=host.plugin_id)
        except ExpressionError as problem:
            raise invalid_entry(problem, options.record, param="record") from None
        warn_of_defaults(options.record, host)
        self._loop = RecordLoop(template, host)

    def process(self, batch: EventBatch) -> EventBatch:
        """Return the batch with its records changed, without those whose expressions failed."""
        return self._loop.run(batch)
