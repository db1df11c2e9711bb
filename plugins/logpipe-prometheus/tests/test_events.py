"""The filter and the output: from events to series."""

from __future__ import annotations

from typing import Any

from logpipe.testing import ManualClock, check_plugin, pipeline
from logpipe_prometheus.filter_prometheus import PrometheusFilter
from logpipe_prometheus.metrics import LONGEST_VALUE
from logpipe_prometheus.out_prometheus import PrometheusOutput
from logpipe_prometheus.testing import Ask

ENDPOINT = "<source>\n@type prometheus\nport 0\n</source>\n"
COUNTER = "<metric>\nname n_total\ntype counter\ndesc Events.\n{}\n</metric>\n"


def filtering(conf: str) -> str:
    """Return a configuration that measures what is fed, and no message of its own."""
    return f"{ENDPOINT}<filter {{a,in.**}}>\n@type prometheus\n{conf}</filter>\n<match **>\n@type test\n</match>\n"


async def test_filter_keeps_the_contract() -> None:
    """As any filter."""
    await check_plugin(PrometheusFilter, COUNTER.format("<labels>\na ${a}\n</labels>"))


async def test_output_keeps_the_contract() -> None:
    """As any output."""
    await check_plugin(PrometheusOutput, COUNTER.format("key n"))


METRICS = """
<metric>
name foo_total
type counter
desc A \\ back.
key foo
</metric>
<metric>
name last
type gauge
desc The last one.
key $.in.foo
</metric>
<metric>
name foo_seconds
type summary
desc Sum and count.
key foo
</metric>
<metric>
name foo_bytes
type histogram
desc How large.
key foo
buckets 1, 2.5,10
</metric>
"""

PAGE = r"""# HELP foo_total A \\ back.
# TYPE foo_total counter
foo_total 5.5
# HELP last The last one.
# TYPE last gauge
last 7.0
# HELP foo_seconds Sum and count.
# TYPE foo_seconds summary
foo_seconds_sum 5.5
foo_seconds_count 3.0
# HELP foo_bytes How large.
# TYPE foo_bytes histogram
foo_bytes_bucket{le="1"} 1.0
foo_bytes_bucket{le="2.5"} 3.0
foo_bytes_bucket{le="10"} 3.0
foo_bytes_bucket{le="+Inf"} 3.0
foo_bytes_sum 5.5
foo_bytes_count 3.0
"""


async def test_each_type(ask: Ask) -> None:
    """To the byte; without labels they are there from the start on, and events without the field count for nothing."""
    async with pipeline(filtering(METRICS)) as running:
        assert (await ask(running)).values["foo_seconds_count", ()] == 0
        await running.feed("a", {"foo": 1, "in": {"foo": 8}}, {"foo": 2.5}, {}, {"foo": None}, {"foo": 2})
        await running.feed("a", {"in": {"foo": 7}}, {"in": {"foo": False}})
        page = await ask(running)
        assert page.text == PAGE
        assert page.kinds == {"foo": "counter", "last": "gauge", "foo_seconds": "summary", "foo_bytes": "histogram"}
        assert len(running.records()) == 7


async def test_buckets_by_default(ask: Ask) -> None:
    """Those of the gem."""
    text = filtering("<metric>\nname t\ntype histogram\ndesc d\nkey t\n</metric>\n")
    async with pipeline(text) as running:
        await running.feed("a", {"t": 0.3}, {"t": 11})
        buckets = (await ask(running)).of("t_bucket", "le")
        assert list(buckets) == ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
        assert [*buckets.values()] == [0] * 6 + [1] * 5 + [2]


TEMPLATES = [
    ("plain", "plain"),
    ("${tag}", "in.web.1"),
    ("<${tag_parts[0]}|${tag_parts[-1]}>", "<in|1>"),
    ("${tag_prefix[1]} ${tag_suffix[1]}", "in.web web.1"),
    ("${tag_parts[3]}${tag_prefix[-1]}${tag[0]}", "${tag_parts[3]}${tag_prefix[-1]}${tag[0]}"),
    ("$.a.b[0]", "x"),
    ("$['a']['b'][9]", ""),
    ("$.a", '{"b"=>["x", 2], "c.d"=>true}'),
    ("${s}", "text"),
    ("${n}-${s}", "1.5-text"),
    ("${nil}", ""),
    ("${nope}", "${nope}"),
    ("${a}${l}", "${a}${l}"),
    ('${a["c.d"]} ${a["x"]}', 'true ${a["x"]}'),
    ("${l[0]}${l[-1]}${l[2]}", "pq${l[2]}"),
    ("${worker_id}", "0"),
    ("${tag_parts}", "${tag_parts}"),
]


async def test_labels(ask: Ask) -> None:
    """As the plugin fills them; a record cannot stand for the tag."""
    record: dict[str, Any] = {"a": {"b": ["x", 2], "c.d": True}, "s": "text", "n": 1.5, "nil": None, "l": ["p", "q"]}
    record |= {"tag": "mine", "tag_parts": ["mine"] * 4, "worker_id": 9}
    labels = "\n".join(f"l{number} {template}" for number, (template, _) in enumerate(TEMPLATES))
    conf = "<labels>\nall ${tag_parts[1]}\nl0 shadowed\n</labels>\n" + COUNTER.format(f"<labels>\n{labels}\n</labels>")
    async with pipeline(filtering(conf)) as running:
        await running.feed("in.web.1", record, record)
        ((_, found),) = (await ask(running)).values
        assert dict(found) == {"all": "web", **{f"l{number}": value for number, (_, value) in enumerate(TEMPLATES)}}
        unknown = [text for text in running.log.texts("warning") if "unknown placeholder" in text]
        assert len(unknown) == len(set(unknown)) == 9


async def test_the_host_is_a_label(ask: Ask) -> None:
    """By its name."""
    async with pipeline(filtering(COUNTER.format("<labels>\nhost ${hostname}\n</labels>"))) as running:
        await running.feed("a", {})
        assert (await ask(running)).of("n_total", "host") == {running.graph.world.hostname: 1}


HOSTILE = ['a"b\\c\nd', "\0", "\udc80\udfff", "\r\u2028}", "é", "x" * 5000, '"} 1\n# TYPE b counter\nb 2', ""]


async def test_what_strangers_write_stays_in_its_label(ask: Ask) -> None:
    """Quoted; what Prometheus cannot read is replaced, and what is long is cut."""
    async with pipeline(filtering(COUNTER.format("<labels>\nv $.v\n</labels>"))) as running:
        await running.feed("a", *({"v": value} for value in HOSTILE))
        await running.feed("a", {"v": "\ud900\udfff"}, {"v": "x" * 4000})
        page = await ask(running)
        expected = dict.fromkeys(HOSTILE, 1.0)
        del expected["\0"], expected["x" * 5000], expected["\udc80\udfff"]
        expected |= {"\ufffd": 1.0, "\ufffd\ufffd": 2.0, "x" * (LONGEST_VALUE - 1) + "…": 2.0}
        assert page.of("n_total", "v") == expected
        assert page.kinds == {"n": "counter"}
        assert "\0" not in page.text


async def test_so_many_series_and_no_more(ask: Ask) -> None:
    """What is beyond is counted, and said once; series that are there go on."""
    conf = COUNTER.format("max_series 3\n<labels>\nv $.v\n</labels>")
    conf += "<metric>\nname g\ntype gauge\ndesc d\nkey v\nmax_series 1\n<labels>\nv ${v}\n</labels>\n</metric>\n"
    async with pipeline(filtering(conf)) as running:
        for _ in range(2):
            await running.feed("a", *({"v": number} for number in range(10)))
        page = await ask(running)
        assert page.of("n_total", "v") == {"0": 2, "1": 2, "2": 2}
        assert page.of("logpipe_prometheus_left_out_total", "metric") == {"n_total": 14, "g": 18}
        assert running.metric("left_out_values") == 32
        assert sum("max_series" in text for text in running.log.texts("warning")) == 2
        assert len(running.records()) == 20


BAD = ["1", True, -1, float("nan"), float("inf"), 10**400, [1], {"a": 1}]


async def test_a_value_that_is_no_number(ask: Ask) -> None:
    """A copy of its event goes to `@ERROR`, and the event on; other metrics take it, and no series is made."""
    labelled = COUNTER.format("key n\n<labels>\na ${tag}\n</labels>").replace("n_total", "m_total")
    conf = labelled + COUNTER.format("")
    errors = "<label @ERROR>\n<match **>\n@type test\nname errors\n</match>\n</label>\n"
    async with pipeline(filtering(conf) + errors) as running:
        await running.feed("a", *({"n": value} for value in BAD))
        page = await ask(running)
        assert page.values == {("n_total", ()): len(BAD)}
        assert len(running.records()) == len(BAD)
        assert len(running.records(name="errors")) == len(BAD)
        assert "metric m_total, n: its value is no number, but of type str" in str(running.errors[0][3])
        await running.feed("a", {"n": 2})
        assert (await ask(running)).of("m_total", "a") == {"a": 2}


async def test_the_output(ask: Ask) -> None:
    """Takes events as the filter, and what is no number goes to `@ERROR` once."""
    labelled = COUNTER.format("key n\n<labels>\nt ${tag}\n</labels>").replace("n_total", "o_total")
    conf = f"<labels>\nz 1\n</labels>\n{COUNTER.format('key n')}{labelled}"
    async with pipeline(f"{ENDPOINT}<match a>\n@type prometheus\n{conf}</match>\n") as running:
        await running.feed("a", {"n": 1}, {"n": "x"}, {"n": 2})
        assert (await ask(running)).values == {("n_total", (("z", "1"),)): 3, ("o_total", (("t", "a"), ("z", "1"))): 3}
        (letter,) = running.errors
        assert str(letter[3]).count("no number") == 2


INITIALIZED = """
<labels>
host ${hostname}
</labels>
<metric>
name n_total
type counter
desc d
initialized true
<labels>
a ${a}
b $.b
c x
</labels>
<initlabels>
a 1
b 2
</initlabels>
<initlabels>
a 3
b 4
</initlabels>
</metric>
<metric>
name h
type histogram
desc d
key h
initialized true
</metric>
"""


async def test_series_from_the_start(ask: Ask) -> None:
    """One for each `<initlabels>`."""
    async with pipeline(filtering(INITIALIZED)) as running:
        host = ("host", running.graph.world.hostname)
        page = await ask(running)
        counters = {key[1]: value for key, value in page.values.items() if key[0] == "n_total"}
        assert counters == {(("a", a), ("b", b), ("c", "x"), host): 0 for a, b in (("1", "2"), ("3", "4"))}
        assert page.values["h_bucket", (host, ("le", "+Inf"))] == 0
        await running.feed("a", {"a": 1, "b": 2})
        assert (await ask(running)).of("n_total", "a") == {"1": 1, "3": 0}


async def test_series_that_nothing_changes_go(ask: Ask) -> None:
    """After `retention`; they make room for others, too."""
    clock = ManualClock()
    conf = COUNTER.format("retention 60\nmax_series 2\n<labels>\na ${a}\n</labels>")
    async with pipeline(filtering(conf), clock=clock) as running:
        await running.feed("a", {"a": 1}, {"a": 2})
        await clock.advance(40)
        await running.feed("a", {"a": 1}, {"a": 3})
        await clock.advance(40)
        await running.feed("a", {"a": 3})
        assert (await ask(running)).of("n_total", "a") == {"1": 1 + 1, "3": 1}
        await clock.advance(61)
        assert (await ask(running)).values == {("logpipe_prometheus_left_out_total", (("metric", "n_total"),)): 1}


async def test_stages_share_a_metric(ask: Ask) -> None:
    """Where they describe it in the same way; their labels may differ."""
    one, two = (COUNTER.format(f"<labels>\n{labels}\n</labels>") for labels in ("a x\nb y", "b y\na x"))
    text = filtering(one).replace("<match", f"<filter a>\n@type prometheus\n{two}</filter>\n<match")
    text = text.replace("<match", f"<filter a>\n@type prometheus\n{COUNTER.format('')}</filter>\n<match")
    async with pipeline(text) as running:
        await running.feed("a", {})
        assert (await ask(running)).values == {("n_total", ()): 1, ("n_total", (("a", "x"), ("b", "y"))): 2}


async def test_numbers_go_on_over_a_reload(ask: Ask) -> None:
    """Those of metrics that the next configuration has in the same way."""
    other = COUNTER.format("").replace("n_total", "o_total")
    async with pipeline(filtering(COUNTER.format("") + other)) as before:
        await before.feed("a", {}, {})
    async with pipeline(filtering(COUNTER.format("")), after=before) as running:
        await running.feed("a", {})
        assert (await ask(running)).values == {("n_total", ()): 3}
