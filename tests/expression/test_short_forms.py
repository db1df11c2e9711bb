"""The short form of an expression, where it has one, gives just what its full form gives."""

from __future__ import annotations

import copy
import gc
import linecache
import traceback
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logpipe.errors import ExpressionError
from logpipe.expression import Reading, RecordRules, RecordTemplate, compile_record, compile_template

SHORT = """
record["a"]
record["a"]["b"]
record["a"]["b"]["c"]
record["a"][0]
record["a"][-1]["b"]
record.dig("a", "b")
record.dig("a", "b", "c")
record["a"] || record["b"] || "none"
record["a"]["b"] || "none"
record["a"] && record["b"]
!record["a"]
record["a"].nil?
record["a"] ? "yes" : "no"
record["a"] == "x" ? "yes" : record["b"]
record["a"] == nil
record["a"] == true
record["a"] == 5
record["a"] != "x"
record["a"] > 3
record["a"] <= 2.5
record["a"].to_s
"p-#{record["a"]}-#{record["b"]}-s"
record["a"].upcase
record["a"].downcase
record["a"].capitalize
record["a"].swapcase
record["a"].strip
record["a"].chomp
record["a"].gsub("x", "yy")
record["a"].gsub(/[xy]+/, "_")
record["a"].gsub(/(x)/, '\\\\1\\\\1')
record["a"].sub("x", "y")
record["a"].split(",")
record["a"].split(",")[0]
record["a"].split(",").last
record["a"].split(",").first.upcase
record["a"].split(/,/)[1]
record["a"].length
record["a"].size
record["a"].empty?
record["a"].to_i
record["a"].to_f
record["a"].reverse
record["a"].rjust(5, "0")
record["a"].tr("x", "y")
record["a"].squeeze
record["a"].start_with?("x")
record["a"].end_with?("x")
record["a"].include?("x")
["x", "y"].include?(record["a"])
%w[x y].include?(record["a"]["b"])
record.key?("a")
record.has_key?("b")
record["a"].match?(/x/)
record["a"][0]
record["a"][1..3]
record["a"][0, 2]
record["a"] + record["b"]
record["a"] + "x"
record["a"] * 2
record["a"] / 2
record["a"] % 3
case record["a"] when "x" then 1 when "y", "z" then 2 else record["b"] end
[record["a"], tag]
{"k" => record["a"], "l" => [1, record["b"]]}
a
a["b"]
a["b"] || "none"
"#{a}"
time.to_i
time.strftime("%F %T.%L")
time.utc.strftime("%F %T.%L")
time.utc.iso8601
tag
tag_parts[1]
tag_parts[9]
tag_parts[9].upcase
tag.split(".").last
"#{tag_suffix[1]}-#{record["a"]}"
hostname
""".strip().splitlines()

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, 5, -3, 2.5, "x", "", "x,y,,", " X\n", "héllo", "12ab"])
    | st.integers(-10, 10)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)
RECORDS = st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2)
TIME = 1_466_000_000_123_456_789


BY_NAME = RecordRules(Reading(names_are_fields=True))


@cache
def both_forms(expression: str) -> tuple[Callable[[dict[str, Any]], Any], Callable[[dict[str, Any]], Any]]:
    """Return what evaluates an expression in the loop, where its short form is tried first, and in full."""
    told: list[str] = []
    loop = compile_record([("value", f"${{{expression}}}")], BY_NAME)
    transform = loop.bind("t.u.v", hostname="h", env={}, missing=lambda _, error: told.append(str(error)))
    full = compile_template(f"${{{expression}}}", BY_NAME.reading).bind("t.u.v", hostname="h", env={})

    def in_loop(record: dict[str, Any]) -> Any:
        told.clear()
        records = [copy.deepcopy(record)]
        failures = transform(records, [TIME])
        return "failed" if failures or told else records[0]["value"]

    def in_full(record: dict[str, Any]) -> Any:
        try:
            return full(copy.deepcopy(record), TIME)
        except ExpressionError:
            return "failed"

    return in_loop, in_full


@pytest.mark.parametrize("expression", SHORT)
def test_has_a_short_form(expression: str) -> None:
    """Each of these is written in the short way."""
    source = compile_record([("value", f"${{{expression}}}")], BY_NAME).source
    loop = source[source.index("def transform") :]

    assert "except NOT_FAST" in loop or "except Exception:" in loop or "tag" in expression or "hostname" in expression


@pytest.mark.parametrize("expression", SHORT)
@settings(deadline=None, max_examples=25)
@given(record=RECORDS)
def test_both_forms_agree(expression: str, record: dict[str, Any]) -> None:
    """Whatever the record, both forms give the same value, of the same types, or both fail."""
    in_loop, in_full = both_forms(expression)

    assert repr(in_loop(record)) == repr(in_full(record))


def test_the_usual_template_is_what_one_would_write_by_hand() -> None:
    """`record["a"]["b"]` is two look-ups and nothing else."""
    template = compile_record([("topic", '${record["kubernetes"]["namespace_name"]}')], RecordRules())

    assert "topic_value = record['kubernetes'].get('namespace_name')" in template.source
    assert "record['topic'] = topic_value" in template.source


def test_generated_source_shows_in_tracebacks() -> None:
    """What went wrong inside generated code can be read."""
    template = compile_record([("x", "${record['a'].upcase}")], RecordRules(), origin="filter_record_transformer")
    problem = None

    def missing(*_: object) -> None:
        raise AssertionError("nothing is missing here")

    transform = template.bind("t", hostname="h", env={}, missing=missing)
    try:
        transform(None, [])  # type: ignore[arg-type]  # on purpose
    except TypeError as error:
        problem = error
    frame = traceback.extract_tb(problem.__traceback__ if problem else None)[-1]

    assert frame.filename.startswith("<filter_record_transformer #")
    assert linecache.getline(frame.filename, frame.lineno or 0).strip() == "for place, record in enumerate(records):"


def test_source_that_nobody_runs_any_more_is_forgotten() -> None:
    """A reload compiles everything anew: what it replaces takes no memory for long."""

    def compiled(n: int) -> RecordTemplate:
        return compile_record([("x", f"${{record['a'] + {n}}}")], RecordRules(), origin="forgotten")

    bound = compiled(0).bind("t", hostname="h", env={}, missing=lambda *_: None)
    for n in range(1, 201):
        compiled(n)
        if n % 50 == 0:
            gc.collect()

    shown = [name for name in linecache.cache if name.startswith("<forgotten #")]
    assert bound.__code__.co_filename in shown  # type: ignore[attr-defined]  # it is a Python function
    assert len(shown) < 130


def test_binding_compiles_nothing() -> None:
    """A new tag gives a new function of the same code."""
    template = compile_record([("x", "${tag_parts[0]}-${record['a']}")], RecordRules())
    one, two = (template.bind(tag, hostname="h", env={}, missing=lambda *_: None) for tag in ("a.b", "c.d"))

    assert one is not two
    assert one.__code__ is two.__code__  # type: ignore[attr-defined]  # they are Python functions
