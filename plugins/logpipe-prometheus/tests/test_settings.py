"""What is refused before it runs, and what of it is said."""

from __future__ import annotations

import pytest

from logpipe import ConfigError
from logpipe.testing import configure, pipeline
from logpipe_prometheus.filter_prometheus import PrometheusFilter

METRIC = "<metric>\nname a\ntype {}\ndesc d\n{}\n</metric>\n"
OPEN = "initialized true\n<labels>\na ${{a}}\nb x\n</labels>\n{}"


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        (METRIC.format("gauge", ""), "a gauge needs a field: add key"),
        (METRIC.format("summary", ""), "a summary needs a field: add key"),
        (METRIC.format("timer", "key a"), "timer"),
        (METRIC.format("counter", "").replace("name a", "name 1a"), "begins with no digit"),
        (METRIC.format("counter", "").replace("desc d\n", ""), "desc"),
        (METRIC.format("counter", "key $.a..b"), "an empty step"),
        (METRIC.format("histogram", "key a\nbuckets 2,1"), "each larger"),
        (METRIC.format("histogram", "key a\nbuckets 1,inf"), "buckets"),
        (METRIC.format("histogram", "key a\n<labels>\nle x\n</labels>"), "le is a label"),
        ("<labels>\nquantile x\n</labels>\n" + METRIC.format("summary", "key a"), "quantile is a label"),
        (METRIC.format("counter", "max_series 0"), "max_series is too small"),
        (METRIC.format("counter", "retention -1"), "retention is too small"),
        (METRIC.format("counter", "<labels>\n__a x\n</labels>"), "no name of a label"),
        (METRIC.format("counter", "<labels>\na $.b[\n</labels>"), "<labels> a:"),
        (METRIC.format("counter", "<labels>\n</labels>\n<labels>\n</labels>"), "once"),
        (METRIC.format("counter", "") + METRIC.format("gauge", "key a"), "another type, desc or buckets above"),
        (METRIC.format("counter", OPEN.format("")), "needs <initlabels> with a"),
        (METRIC.format("counter", OPEN.format("<initlabels>\n</initlabels>")), "<initlabels> needs a"),
        (METRIC.format("counter", OPEN.format("<initlabels>\nb 1\na 2\n</initlabels>")), "b does not depend on events"),
        (METRIC.format("counter", OPEN.format("<initlabels>\nc 1\n</initlabels>")), "c in <initlabels> is no label"),
        (METRIC.format("counter", OPEN.format("<initlabels>\na $.a\n</initlabels>")), "no placeholder or path"),
    ],
)
def test_what_is_refused(conf: str, said: str) -> None:
    """Each with what to do."""
    with pytest.raises(ConfigError) as problem:
        configure(PrometheusFilter, conf)
    assert said in str(problem.value)


@pytest.mark.parametrize(
    ("other", "is_refused"),
    [
        (METRIC.format("counter", "key x"), False),
        (METRIC.format("gauge", "key x"), True),
        (METRIC.format("counter", "").replace("desc d", "desc e"), True),
        (METRIC.format("histogram", "key x").replace("name a", "name b"), False),
        (METRIC.format("counter", "").replace("name a", "name h_count"), True),
        (METRIC.format("histogram", "key x\nbuckets 1").replace("name a", "name h"), True),
    ],
)
async def test_stages_that_describe_a_metric_otherwise(other: str, *, is_refused: bool) -> None:
    """Are told which stage has it; the names of a histogram's samples are its own."""
    one = METRIC.format("counter", "") + METRIC.format("histogram", "key x").replace("name a", "name h")
    text = "".join(f"<filter **>\n@type prometheus\n{conf}</filter>\n" for conf in (one, other))
    text += "<match **>\n@type null\n</match>\n"
    if not is_refused:
        async with pipeline(text):
            return
    with pytest.raises(ConfigError, match="is already used by"):
        async with pipeline(text):
            pass


def test_buckets_of_what_has_none() -> None:
    """A warning, and `retention_check_interval` has no effect."""
    assert configure(PrometheusFilter, METRIC.format("counter", "buckets 1,2\nretention_check_interval 1"))
