"""Methods are all there wherever they are looked for first, and each name means one thing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.table import FUNCTIONS, METHODS, put_together
from tests.expression.evaluation import evaluate

FRESH: Final = """
import asyncio, json, sys
from logpipe.builtin.filter_record_transformer import RecordTransformer
from logpipe.testing import drive

async def main(conf, record):
    async with drive(RecordTransformer, conf) as stage:
        await stage.feed("a", json.loads(record), times=[7])
        print(json.dumps([stage.events(), [str(error) for _, _, _, error in stage.errors]]))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("conf", "value", "time"),
    [
        ("renew_time_key t", 5, 5_000_000_000),
        ("renew_time_key t", None, 0),
        ("compat 0.12\nrenew_time_key t", 5.5, 5_000_000_000),
    ],
)
def test_a_process_that_has_compiled_no_expression(conf: str, value: float | None, time: int) -> None:
    """A value is asked for its number all the same; no other test has brought the methods with it."""
    record = {"t": value}
    out = subprocess.run(
        [sys.executable, "-c", FRESH, conf, json.dumps(record)], capture_output=True, check=True, text=True
    )
    assert json.loads(out.stdout) == [[[time, record]], []]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("{'a' => 1, 'b' => 2}.count(['a', 1])", 1),
        ("{'a' => 1, 'b' => 2}.count { |_, v| v > 1 }", 1),
        ("{'a' => 1}.count", 1),
        ("{'a' => 1, 'b' => 2}.size", 2),
        ("(1..1_000_000_000_000).count", 1_000_000_000_000),
        ("(1..4).count(2)", 1),
        ("(1..4).count { |n| n > 1 }", 3),
        ("('a'..'c').count", 3),
    ],
)
def test_a_method_of_two_families_is_its_types_own(expression: str, value: int) -> None:
    """What hashes and ranges share with arrays, and do in their own way."""
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("JSON.parse('[1]') { |each| each }", [1]),
        ("Integer('3') { |each| each }", 3),
        ("'abc'.upcase { |each| each }", "ABC"),
        ("record['level'].upcase { |each| each }", "WARN"),
        ("'banana'.count('a') { |each| each }", 3),
        ("record['level'].count('a') { |each| each }", 1),
        ("'banana'.index('n') { |each| each }", 2),
        ("record['level'].index('r') { |each| each }", 2),
    ],
)
def test_a_block_that_a_method_does_not_take_is_nothing(expression: str, value: object) -> None:
    """As in Ruby, whether the receiver's type is known when the expression is compiled or not."""
    assert evaluate(expression) == value


def test_a_name_stands_once() -> None:
    """Two modules that name the same method are a mistake, whichever comes first."""
    one, other = Methods(), Methods()
    one.of(str, list, names="size length")(len)
    other.of(dict, names="size")(len)
    other.function("JSON", names="size")(len)
    assert sorted(kind.__name__ for kind in put_together([one, other])[0]["size"])[-2:] == ["list", "str"]
    other.of(list, names="length")(len)
    with pytest.raises(ValueError, match="list#length"):
        put_together([other, one])


def test_the_table_is_closed() -> None:
    """Nothing is added to it, or replaced in it."""
    for table in (METHODS, METHODS["size"], FUNCTIONS, FUNCTIONS["JSON"]):
        with pytest.raises(TypeError):
            table["size"] = None  # type: ignore[index]  # that is what is tried
