"""Short forms: most templates as a single Python expression in the loop over the records.

A short form has exactly Ruby's result, or it raises one of `NOT_FAST` without side effects; then the entry's full
function is called. So `record["a"]["b"]` becomes `record['a'].get('b')`, and for a record without `a` the full function
raises the error.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any, Final, NamedTuple

from logpipe.expression.compiler.context import BOUND, Context
from logpipe.expression.compiler.fast_operations import ARITHMETIC, RELATIONS, member, not_fast, text_of
from logpipe.expression.compiler.source import Code, Writer
from logpipe.expression.methods.string import is_valid
from logpipe.expression.methods.table import METHODS
from logpipe.expression.runtime.indexing import array_part
from logpipe.expression.runtime.matches import Regexp, may_explode, prefers_empty
from logpipe.expression.runtime.times import NANOS, formatter
from logpipe.expression.runtime.values import Range
from logpipe.expression.syntax import nodes

_NATIVE: Final = {"downcase": "lower", "upcase": "upper", "capitalize": "capitalize", "swapcase": "swapcase"}
_GUARDED: Final = frozenset(
    {
        "strip", "lstrip", "rstrip", "chomp", "chop", "gsub", "sub", "split", "[]", "slice", "length", "size", "empty?",
        "to_i", "to_f", "tr", "delete", "squeeze", "reverse", "ljust", "rjust", "center", "delete_prefix",
        "delete_suffix", "index", "hex",
    }
)  # fmt: skip
"""Methods of String that have no side effects and take no steps of the budget."""

_LONGEST_REPLACEMENT: Final = 64


class NotFast(Exception):  # noqa: N818 - not an error
    """An expression has no short form."""


class ShortForm(NamedTuple):
    """A Python expression, and whether its calls take steps of the budget."""

    text: str
    spends: bool


def short_form(
    writer: Writer, node: nodes.Node, context: Context, bound: Callable[[nodes.Node], str | None]
) -> ShortForm | None:
    """Return the short form of a tree, or None where it has none.

    `bound` returns the name of a value that depends on tag and host only, None for other trees.
    """
    short = _Short(writer, context, bound)
    try:
        return ShortForm(short.code(node).text, short.spends)
    except (NotFast, RecursionError):
        return None


class _Short:
    def __init__(self, writer: Writer, context: Context, bound: Callable[[nodes.Node], str | None]) -> None:
        self._writer = writer
        self._context = context
        self._bound = bound
        self.spends = False

    def code(self, node: nodes.Node) -> Code:
        match node:
            case nodes.Literal(value=None):
                return Code("None", type(None), stable=True)
            case nodes.Literal(value=value) if isinstance(value, (bool, int)):
                return Code(repr(value), type(value), stable=True)
            case nodes.Literal(value=value) if value == value and abs(value or 0.0) < 1e300:  # noqa: PLR0124 - no NaN
                return Code(repr(value), float, stable=True)
            case nodes.Str():
                return self._text(node)
            case nodes.Or(left=left, right=right):
                return self._either(left, right)
            case nodes.And(left=left, right=right):
                first, second = self._held(left)
                return Code(f"({self.code(right).text} if {_true(first, second)} else {second})")
            case nodes.Not(value=inner):
                return Code(f"(not ({self._truth(inner)}))", bool)
            case nodes.If(test=test, then=then, otherwise=otherwise):
                condition = self._truth(test)
                codes = self.code(then), self.code(otherwise)
                kind = codes[0].kind if codes[0].kind is codes[1].kind else None
                return Code(f"({codes[0].text} if {condition} else {codes[1].text})", kind)
            case nodes.Case():
                return self._case(node)
            case nodes.Array(items=items):
                return Code(f"[{', '.join(self.code(item).text for item in items)}]", list)
            case nodes.Hash(pairs=pairs):
                return Code(f"{{{', '.join(self._pair(key, value) for key, value in pairs)}}}", dict)
        if isinstance(node, nodes.Name) and node.name in BOUND and node.name in self._context.names:
            return self._context.names[node.name]
        name = self._bound(node)
        if name is not None:
            return Code(f"({name} if {name} is not {self._name(FAILED, 'failed')} else {self._escape()})")
        match node:
            case nodes.Name(name=word) if word not in self._context.names and self._context.fields and word != "self":
                return Code(f"record[{word!r}]")
            case nodes.Call() if node.receiver is not None and node.block is None:
                return self._call(node, node.receiver)
        raise NotFast

    def _name(self, value: Any, wanted: str) -> str:
        return self._writer.name(value, wanted)

    def _escape(self) -> str:
        return f"{self._name(not_fast, 'not_fast')}()"

    def _held(self, node: nodes.Node) -> tuple[str, str]:
        """Return an expression that assigns a value to a name, and the name; a constant is its own name."""
        code = self.code(node)
        if code.stable:
            return code.text, code.text
        name = self._writer.temporary()
        return f"({name} := {code.text})", name

    def _truth(self, node: nodes.Node) -> str:
        code = self.code(node)
        if code.kind is bool:
            return code.text
        if code.kind is not None:
            return "False" if code.kind is type(None) else f"({code.text}, True)[1]"
        name = self._writer.temporary()
        return _true(f"({name} := {code.text})", name)

    def _either(self, left: nodes.Node, right: nodes.Node) -> Code:
        code = self.code(left)
        other = self.code(right)
        if code.kind is bool and other.kind is bool:
            return Code(f"({code.text} or {other.text})", bool)
        name = self._writer.temporary()
        return Code(f"({name} if {_true(f'({name} := {code.text})', name)} else {other.text})")

    def _case(self, node: nodes.Case) -> Code:
        if node.subject is None:
            raise NotFast
        subject, name = self._held(node.subject)
        text = ""
        for when in node.whens:
            tests = []
            for test in when.tests:
                if not isinstance(test, nodes.Str) or test.constant is None:
                    raise NotFast
                tests.append(f"{subject} == {test.constant!r}")
                subject = name
            text += f"{self.code(when.body).text} if {' or '.join(tests)} else "
        return Code(f"({text}{self.code(node.otherwise).text})")

    def _pair(self, key: nodes.Node | None, value: nodes.Node) -> str:
        if not isinstance(key, nodes.Str) or key.constant is None:
            raise NotFast
        return f"{key.constant!r}: {self.code(value).text}"

    def _text(self, node: nodes.Str) -> Code:
        if not all(isinstance(part, nodes.Node) or is_valid(part) for part in node.parts):
            raise NotFast
        if node.constant is not None:
            return Code(repr(node.constant), str, stable=True)
        parts = [repr(part) if isinstance(part, str) else self._to_s(part) for part in node.parts]
        return Code(f"({' + '.join(parts)})" if len(parts) > 1 else parts[0], str)

    def _to_s(self, node: nodes.Node) -> str:
        code = self.code(node)
        if code.kind is str:
            return code.text
        name = self._writer.temporary()
        return f"({name} if type({name} := {code.text}) is str else {self._name(text_of, 'to_s')}({name}))"

    # calls

    def _call(self, node: nodes.Call, receiver: nodes.Node) -> Code:
        if node.safe:
            raise NotFast
        path = self._path(node)
        if path is not None:
            return path
        if isinstance(receiver, nodes.Name) and receiver.name == "time":
            return self._time(node, None)
        if (
            isinstance(receiver, nodes.Call)
            and isinstance(receiver.receiver, nodes.Name)
            and receiver.receiver.name == "time"
            and receiver.name in ("utc", "getutc", "gmtime", "getgm")
            and not receiver.args
        ):
            return self._time(node, UTC)
        match node.name, node.args:
            case "to_s", []:
                return Code(self._to_s(receiver), str)
            case "nil?", []:
                return Code(f"({self.code(receiver).text} is None)", bool)
            case "==", [nodes.Str() as other] if other.constant is not None:
                return Code(f"({self.code(receiver).text} == {other.constant!r})", bool)
            case "==", [nodes.Literal(value=other)] if other is None or isinstance(other, bool):
                return Code(f"({self.code(receiver).text} is {other})", bool)
            case "==", [nodes.Literal(value=other)] if type(other) is int and other not in (0, 1):
                return Code(f"({self.code(receiver).text} == {other!r})", bool)
            case "include?", [_]:
                return self._include(receiver, node.args[0])
            case (("key?" | "has_key?"), [nodes.Str() as key]) if _is_record(receiver) and key.constant is not None:
                return Code(f"({key.constant!r} in record)", bool)
            case (("start_with?" | "end_with?"), [nodes.Str() as other]) if other.constant is not None:
                method = "startswith" if node.name == "start_with?" else "endswith"
                return Code(f"{self.code(receiver).text}.{method}({other.constant!r})", bool)
            case name, [] if name in _NATIVE:
                return Code(f"{self.code(receiver).text}.{_NATIVE[name]}()", str)
            case name, [other] if name in ARITHMETIC:
                self.spends = True
                function = self._name(ARITHMETIC[name], name)
                return Code(f"{function}({self.code(receiver).text}, {self.code(other).text})")
            case name, [nodes.Literal(value=other)] if name in RELATIONS and type(other) in (int, float):
                held, at = self._held(receiver)
                function = self._name(RELATIONS[name], name)
                return Code(f"({at} {name} {other!r} if type({held}) is int else {function}({at}, {other!r}))", bool)
            case (("gsub" | "match?"), [_, *_]):
                found = self._with_regexp(node, receiver)
                if found is not None:
                    return found
        return self._guarded(node, receiver)

    def _path(self, node: nodes.Node) -> Code | None:
        """Return the short form of `record["a"]["b"]`, `kubernetes["a"]` or `record.dig("a", "b")`."""
        if not isinstance(node, nodes.Call) or node.block is not None or node.safe:
            return None
        if node.name == "dig" and _is_record(node.receiver):
            return self._dig(node)
        keys: list[str | int] = []
        base: nodes.Node = node
        while isinstance(base, nodes.Call) and base.name == "[]" and len(base.args) == 1 and base.receiver is not None:
            key = _key(base.args[0])
            if key is None:
                return None
            keys.insert(0, key)
            base = base.receiver
        if not keys:
            return None
        if _is_record(base):
            text = "record"
        elif isinstance(base, nodes.Name) and base.name not in self._context.names and self._context.fields:
            text = f"record[{base.name!r}]"
        else:
            return None
        text += "".join(f"[{key!r}]" for key in keys[:-1])
        last = keys[-1]
        return Code(
            f"{text}.get({last!r})" if isinstance(last, str) else f"{self._name(member, 'member')}({text}, {last})"
        )

    def _dig(self, node: nodes.Call) -> Code:
        keys = [_key(arg) for arg in node.args]
        if not keys or not all(isinstance(key, str) for key in keys):
            raise NotFast
        text, holder = "", "record"
        for key in keys[:-1]:
            name = self._writer.temporary()
            text += f"None if ({name} := {holder}.get({key!r})) is None else "
            holder = name
        return Code(f"({text}{holder}.get({keys[-1]!r}))")

    def _time(self, node: nodes.Call, zone: Any) -> Code:
        """Return the short forms of `time.to_i` and `time.strftime("…")`; the loop's `time` is in nanoseconds."""
        moment = self._context.names["time"].text
        if not moment.startswith("Time("):
            raise NotFast
        nanos = moment.removeprefix("Time(").removesuffix(")")
        match node.name, node.args:
            case "to_i", []:
                return Code(f"({nanos} // {NANOS})", int)
            case "strftime", [nodes.Str() as pattern] if pattern.constant is not None:
                return Code(f"{self._name(formatter(pattern.constant, zone), 'strftime')}({nanos})", str)
            case (("iso8601" | "xmlschema"), []):
                pattern_text = "%Y-%m-%dT%H:%M:%SZ" if zone is UTC else "%Y-%m-%dT%H:%M:%S%:z"
                return Code(f"{self._name(formatter(pattern_text, zone), 'iso8601')}({nanos})", str)
        raise NotFast

    def _include(self, receiver: nodes.Node, wanted: nodes.Node) -> Code:
        if isinstance(receiver, nodes.Array) and all(_key(item) is not None for item in receiver.items):
            items = [_key(item) for item in receiver.items]
            if all(isinstance(item, str) for item in items):
                return Code(f"({self.code(wanted).text} in {tuple(items)!r})", bool)
        if isinstance(wanted, nodes.Str) and wanted.constant is not None:
            return Code(f"({wanted.constant!r} in {self.code(receiver).text})", bool)
        raise NotFast

    def _with_regexp(self, node: nodes.Call, receiver: nodes.Node) -> Code | None:
        """Return a direct call of `re`, for a constant pattern and replacement."""
        pattern = node.args[0]
        if isinstance(pattern, nodes.Str) and pattern.constant and node.name == "gsub" and len(node.args) == 2:
            replacement = _plain_replacement(node.args[1])
            if replacement is not None:
                return Code(f"{self.code(receiver).text}.replace({pattern.constant!r}, {replacement!r})", str)
        if not isinstance(pattern, nodes.Regexp) or pattern.source.constant is None:
            return None
        compiled = Regexp(pattern.source.constant, pattern.flags).pattern
        if may_explode(compiled.pattern) or prefers_empty(compiled.pattern):
            return None
        if node.name == "gsub" and len(node.args) == 2:
            replacement = _plain_replacement(node.args[1])
            if replacement is None:
                return None
            return Code(f"{self._name(compiled.sub, 'sub')}({replacement!r}, {self.code(receiver).text})", str)
        if node.name == "match?" and len(node.args) == 1:
            return Code(f"({self._name(compiled.search, 'search')}({self.code(receiver).text}) is not None)", bool)
        return None

    def _guarded(self, node: nodes.Call, receiver: nodes.Node) -> Code:
        """Return a call of a String's method, guarded by a type check."""
        code = self.code(receiver)
        if code.kind is list and node.name in ("[]", "first", "last"):
            place = {"first": 0, "last": -1}.get(node.name) if not node.args else _key(node.args[0])
            if isinstance(place, int) and len(node.args) == (node.name == "[]"):
                return Code(f"{self._name(array_part, 'array_part')}({code.text}, {place})")
        method = METHODS.get(node.name, {}).get(str)
        if node.name not in _GUARDED or method is None or method.mutates:
            raise NotFast
        if len(node.args) < method.least or (method.most is not None and len(node.args) > method.most):
            raise NotFast
        self.spends = True
        args = [self._argument(arg) for arg in node.args]
        function = self._name(method.function, f"string_{node.name}")
        if code.kind is str:
            return Code(f"{function}({', '.join([code.text, *args])})", method.returns)
        name = self._writer.temporary()
        call = f"{function}({', '.join([name, *args])})"
        return Code(f"({call} if type({name} := {code.text}) is str else {self._escape()})", method.returns)

    def _argument(self, node: nodes.Node) -> str:
        match node:
            case nodes.Regexp() if node.source.constant is not None:
                return self._name(Regexp(node.source.constant, node.flags), "regexp")
            case nodes.Range(low=nodes.Literal(value=low), high=nodes.Literal(value=high), exclusive=exclusive):
                return self._name(Range(low, high, exclusive), "range")
        code = self.code(node)
        if code.kind is not None:
            return code.text
        name = self._writer.temporary()
        return f"({name} if type({name} := {code.text}) is not bytes else {self._escape()})"


def _true(expression: str, name: str) -> str:
    return f"{expression} is not None and {name} is not False"


def _is_record(node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.Name) and node.name == "record"


def _key(node: nodes.Node) -> str | int | None:
    """Return a constant key."""
    if isinstance(node, nodes.Str):
        return node.constant
    return node.value if isinstance(node, nodes.Literal) and type(node.value) is int else None


def _plain_replacement(node: nodes.Node) -> str | None:
    """Return a constant replacement without back-references, if it is too short to need a check of the size."""
    text = node.constant if isinstance(node, nodes.Str) else None
    return text if text is not None and "\\" not in text and len(text) <= _LONGEST_REPLACEMENT else None


class Failed:
    """Stands for a value whose computation failed; the full function raises its error again."""


FAILED: Final = Failed()
