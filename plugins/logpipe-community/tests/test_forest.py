"""forest: each tag has an output of its own, and no tag gets out of its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe import BufferFull, ConfigError, Receipt
from logpipe.testing import ManualClock, Pipeline, check_plugin, configure, pipeline
from logpipe_community.forest.output import Forest


def forest(conf: str, subtype: str = "test") -> str:
    """Return a configuration of one forest."""
    return f"<match in.**>\n@type forest\nsubtype {subtype}\n{conf}</match>\n<match fluent.**>\n@type null\n</match>\n"


async def names(conf: str, *tags: str) -> list[str]:
    """Return which collectors got the events of some tags, and under which tags."""
    async with pipeline(forest(conf)) as running:
        for tag in tags:
            await running.feed(tag, {"n": 1})
        return [f"{name} {tag}" for name in collectors(running) for tag, _ in running.collector(name).batches]


def collectors(running: Pipeline) -> list[str]:
    """Return the names of all collectors, in the order in which they were made."""
    plugins = (stage.plugin for stage in running.graph.stages.outputs)
    return [plugin.options.name for plugin in plugins if type(plugin).__name__ == "Collector"]


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("<template>\nname ${tag}\n</template>\n", ["in.a.b in.a.b", "in.c in.c"]),
        ("<template>\nname __TAG__\n</template>\nremove_prefix in\n", ["a.b a.b", "c c"]),
        ("<template>\nname ${tag}\n</template>\nremove_prefix in\nadd_prefix x.y\n",
         ["x.y.a.b x.y.a.b", "x.y.c x.y.c"]),
        ("<template>\nname ${escaped_tag}\n</template>\nescape_tag_separator -\n", ["in-a-b in.a.b", "in-c in.c"]),
        ("<template>\nname x__ESCAPED_TAG__y\n</template>\n", ["xin_a_by in.a.b", "xin_cy in.c"]),
        ("<template>\nname ${tag_parts[1]}.__TAG_PARTS[-1]__\n</template>\n", ["a.b in.a.b", "c.c in.c"]),
        ("<template>\nname ${tag_parts[1..-1]}\n</template>\n", ["a.b in.a.b", "c in.c"]),
        ("<template>\nname ${tag_parts[0...-1]}\n</template>\n", ["in.a in.a.b", "in in.c"]),
        ("<template>\nname n${tag_parts[2]}${tag_parts[-9]}\n</template>\n", ["nb in.a.b", "n in.c"]),
        ("<template>\nname ${tag}.${hostname}\n</template>\nhostname h\n", ["in.a.b.h in.a.b", "in.c.h in.c"]),
        ("<template>\nname ${tag_parts[x]}${other}${tag}\n</template>\n",
         ["${tag_parts[x]}${other}in.a.b in.a.b", "${tag_parts[x]}${other}in.c in.c"]),
        ("<template>\nname t\n</template>\n<case in.*>\nname c.${tag}\n</case>\n<case **>\nname d\n</case>\n",
         ["d in.a.b", "c.in.c in.c"]),
        ("<pattern in.*.*>\nname p\n</pattern>\n<case **>\nname ${tag}\n</case>\n", ["p in.a.b", "in.c in.c"]),
    ],
)  # fmt: skip
async def test_what_is_written_of_the_tag(conf: str, expected: list[str]) -> None:
    """In the settings of each output; the first case that matches counts over the template."""
    assert await names(conf, "in.a.b", "in.c", "in.c")  # of one tag one output
    assert await names(conf, "in.a.b", "in.c") == expected


async def test_sections_of_the_template_and_of_a_case() -> None:
    """Those of a case replace those of the template that have the same argument, and stand beside the others."""
    conf = (
        "<template>\n<route in.a>\n@label @A\n</route>\n<route in.b>\n@label @A\n</route>\n</template>\n"
        "<case in.b>\n<route in.b>\n@label @B\n</route>\n</case>\n"
    )
    labels = "".join(f"<label @{name}>\n<match **>\n@type test\nname {name}\n</match>\n</label>\n" for name in "AB")
    async with pipeline(forest(conf, "route") + labels) as running:
        for tag in ("in.a", "in.b"):
            await running.feed(tag, {"n": tag})
        assert [running.records(name=name) for name in "AB"] == [[{"n": "in.a"}], [{"n": "in.b"}]]


async def test_outputs_with_buffers_are_drained(tmp_path: Path) -> None:
    """As any; 0.12's spelling is read, too."""
    settled: list[bool] = []
    template = f"format json\npath {tmp_path}/${{tag}}\nappend true\nbuffer_type memory\n"
    conf = f"<template>\n{template}</template>\nremove_prefix in\n"
    async with pipeline(forest(conf, "file")) as running:
        for tag in ("in.a", "in.b", "in.a"):
            receipt = Receipt(lambda: settled.append(True))
            await running.feed(tag, {"n": 1}, receipt=receipt)
            receipt.release()
    texts = {path.name.split(".")[0]: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {"a": '{"n":1}\n{"n":1}\n', "b": '{"n":1}\n'}
    assert settled == [True] * 3


async def test_what_an_earlier_run_has_left_is_delivered(tmp_path: Path) -> None:
    """Without another event of its tag, where the buffers are in `root_dir`."""
    root = f"<system>\nroot_dir {tmp_path}/root\n</system>\n"
    template = f"path {tmp_path}/out/${{tag}}\nappend true\n<buffer []>\n@type file\n%s\n</buffer>\n"
    conf = f"@id f\n<template>\n{template}</template>\n"
    async with pipeline(root + forest(conf % "flush_at_shutdown false", "file")) as running:
        await running.feed("in.a", {"n": 1})
    assert not (tmp_path / "out").exists()
    async with pipeline(root + forest(conf % "flush_at_shutdown true", "file")):
        pass
    assert [path.name.split(".")[:2] for path in (tmp_path / "out").iterdir()] == [["in", "a"]]
    async with pipeline(root + forest(conf % "flush_at_shutdown true", "file")) as running:
        assert len(running.graph.stages.outputs) == 2  # nothing is left, and so there is none


@pytest.mark.parametrize(
    "tag",
    [
        "in../etc/x",
        "in.a/../../b",
        "in.;rm",
        "in.$(id)",
        "in.a..b",
        "in.${hostname}",
        "in.a b",
        "in.%2e",
        "in.{",
    ],
)
async def test_tags_that_mean_something_else(tag: str, tmp_path: Path) -> None:
    """They are not written into settings, whatever these are; where none is, they are like any other."""
    conf = f"<template>\npath {tmp_path}/x/${{tag}}\nappend true\n<buffer []>\n</buffer>\n</template>\n"
    async with pipeline(forest(conf, "file")) as running:
        await running.feed(tag, {"n": 1})
        await running.feed("in.a", {"n": 2})
        assert [(each[0], "not written into settings" in str(each[3])) for each in running.errors] == [(tag, True)]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert await names("<template>\nname x\n</template>\n", tag) == [f"x {tag}"]


async def test_outputs_are_bounded() -> None:
    """Events of further tags go to `@ERROR`, and those of the first go on."""
    async with pipeline(forest("max_outputs 3\n<template>\nname ${tag}\n</template>\n")) as running:
        for number in (0, 1, 2, 3, 4, 0):
            await running.feed(f"in.{number}", {"n": number})
        assert collectors(running) == ["in.0", "in.1", "in.2"]
        assert len(running.events(name="in.0")) == 2
        assert ["max_outputs" in str(letter[3]) for letter in running.errors] == [True, True]


async def test_an_output_that_cannot_be_made() -> None:
    """Its events go to `@ERROR`, with the reason, and it is not made again."""
    conf = "<template>\npath /x\ncompress ${tag_parts[1]}\n</template>\n"
    async with pipeline(forest(conf, "file")) as running:
        for _ in range(2):
            await running.feed("in.x", {"n": 1})
        assert ["compress" in str(letter[3]) for letter in running.errors] == [True, True]
        assert len([text for text in running.log.texts("error") if "failed to configure" in text]) == 1


async def test_what_an_output_refuses_is_refused() -> None:
    """So that its source brings it again."""
    async with pipeline(forest("<template>\nname ${tag}\n</template>\n"), clock=ManualClock()) as running:
        await running.feed("in.a", {"n": 1})
        running.collector("in.a").refuse = BufferFull("no room")
        with pytest.raises(BufferFull):
            await running.feed("in.a", {"n": 2})
        await running.feed("in.b", {"n": 3})
        assert [len(running.events(name=name)) for name in ("in.a", "in.b")] == [1, 1]


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("subtype nope\n", 'unknown output plugin "nope"'),
        ("subtype file\n<template>\nappend perhaps\npath /x\n</template>\n", "append"),
        ("subtype file\n", '"path" is required'),
        ("subtype file\n<template>\n</template>\n<case a.*>\n</case>\n", '"path" is required'),
        ("subtype file\n<case /(/>\npath /x\n</case>\n", "<case /(/>"),
        ("subtype null\nmax_outputs 0\n", "max_outputs must be 1 or more"),
        ("", '"subtype" is required'),
    ],
)
async def test_settings_that_cannot_work(conf: str, message: str) -> None:
    """What does not depend on the tag is looked at before anything runs."""
    with pytest.raises(ConfigError) as raised:
        async with pipeline(f"<match **>\n@type forest\n{conf}</match>\n"):
            pass
    assert message in str(raised.value)
    assert "test.conf:" in str(raised.value)


async def test_keeps_what_every_plugin_promises() -> None:
    """Whatever stands in the template."""
    await check_plugin(Forest, "subtype null")
    configure(Forest, "subtype file\n<template>\npath /x\n</template>")
