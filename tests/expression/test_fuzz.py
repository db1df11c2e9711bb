"""Whatever the text: an expression error or a value, never anything else, and never without end."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logpipe.errors import ExpressionError
from logpipe.expression import (
    Dialect,
    Reading,
    RecordRules,
    RecordTemplate,
    Replacement,
    SequenceRules,
    compile_record,
    compile_regexp,
    compile_sequence,
)
from logpipe.expression.embedded import evaluate_embedded, find_end
from tests.expression.evaluation import RECORD, TIME, evaluate

RECORDED = Path(__file__).with_name("recorded.jsonl").read_text("utf-8").strip().split("\n")[1:]
EXPRESSIONS = [json.loads(line)["expr"] for line in RECORDED]
WORDS = """
record [ ] "a" ( ) { } |x| x = + - * / % . &. ? : , ; if then else end do case when begin rescue ensure while 1 2.5 nil
true not and or || && ! == =~ << .. ... -> map each upcase gsub to_s split dig merge delete push tag time Time now JSON
parse #{ " ' \\ $1 @x :sym a: => &:to_s /b/ lambda loop break next return ** \u201c é format raise Integer Hash new []
kubernetes _1 __send__ ENV ?a <<~A
"""
PIECES = [*WORDS.split(), " ", "\n", "%w[a b]"]

QUIET = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)


def attempt(expression: str) -> None:
    """Evaluate, alone and within a text, by both dialects; only expression errors may come."""
    for dialect in Dialect:
        with suppress(ExpressionError):
            evaluate(expression, dialect=dialect)
    with suppress(ExpressionError):
        run(compile_record([("x", f"a ${{{expression}}} b"), (f"${{{expression}}}", "k")], RecordRules()))
    with suppress(ExpressionError):
        entries = [("x", f"${{{expression}}}"), ("y", f"a ${{{expression}}} b")]
        run(compile_sequence(entries, SequenceRules(remove_keys=("$.x.a",), replaces=(Replacement("x", "a", "b"),))))


def run(template: RecordTemplate) -> None:
    """Run a loop over records that share what is nested in them, which none of them may change."""
    shared = copy.deepcopy(RECORD)
    transform = template.bind("a.b", hostname="h", env={}, missing=lambda *_: None)
    for _, problem in transform([dict(shared), dict(shared)], [TIME, TIME]):
        assert isinstance(problem, ExpressionError)
    assert shared == RECORD


@QUIET
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.sampled_from(["", " "]))
def test_pieces_of_ruby(pieces: list[str], separator: str) -> None:
    """Words of the language in any order."""
    attempt(separator.join(pieces))


@QUIET
@given(st.sampled_from(EXPRESSIONS), st.data())
def test_mutated_expressions(expression: str, data: st.DataObject) -> None:
    """Real expressions with a piece taken out, put in or doubled."""
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(expression)))
        length = data.draw(st.integers(0, 4))
        piece = data.draw(st.sampled_from(["", *PIECES]))
        expression = expression[:place] + piece + expression[place + length :]
    attempt(expression)


@QUIET
@given(
    st.sampled_from(EXPRESSIONS), st.sampled_from(EXPRESSIONS), st.sampled_from(["; ", " || ", " + ", " ? 1 : ", "."])
)
def test_combined_expressions(first: str, second: str, joint: str) -> None:
    """Two real expressions joined."""
    attempt(f"({first}){joint}({second})")


@QUIET
@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    """Any text at all, as a template and as embedded code."""
    attempt(text)
    for enable_ruby in (True, False):
        with suppress(ExpressionError):
            compile_record([(text, text)], RecordRules(Reading(enable_ruby)))
    with suppress(ExpressionError):
        evaluate_embedded(text, env={}, hostname="h")
    with suppress(ExpressionError):
        assert text[find_end(text, 0)] == "}"


SIGNS = [*"ab()[]{}^$.|*+?\\-&<>=!:,019 \n", "(?<n>", "(?i)", "\\h", "\\k<n>", "[[:alpha:]]", "&&", "{2,}"]


@QUIET
@given(st.lists(st.sampled_from(SIGNS), max_size=12).map("".join), st.sampled_from(["", "i", "m", "x", "imx"]))
def test_any_regular_expression(source: str, flags: str) -> None:
    """Any source compiles, or is refused with an expression error."""
    with suppress(ExpressionError):
        compile_regexp(source, flags).search("abba 019\n")
