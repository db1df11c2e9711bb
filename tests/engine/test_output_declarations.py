"""What an output declares of its buffer and of its parameters, and what of that yields to the user."""

from __future__ import annotations

from typing import ClassVar

import pytest

from logpipe import Chunk, ConfigError, Host, Options, Output, param
from logpipe.testing import ManualClock, pipeline
from tests.engine.test_delivery import QUIET


class UploadOptions(Options):
    """A third party's."""

    target: str = param("Where to.", default="", placeholders=True)
    comment: str = param("Whatever.", default="")


class Upload(Output[UploadOptions], type="upload"):
    """Keeps the names that its chunks get."""

    buffer_defaults: ClassVar = {"flush_interval": "5s", "memory_limit_size": "1m"}

    def __init__(self, options: UploadOptions, host: Host) -> None:
        super().__init__(options, host)
        self.targets: list[str] = []

    async def write(self, chunk: Chunk) -> None:
        self.targets.append(self.host.expand(self.options.target, chunk))


class Impatient(Upload, type="impatient"):
    """Declares a mode."""

    buffer_defaults: ClassVar = {"flush_mode": "immediate"}


def configuration(cls: type[Upload], buffer: str = "", *, keys: str = "", params: str = "") -> str:
    return f"<match **>\n@type {cls.types[0]}\n{params}\n<buffer {keys}>\n{buffer}\n</buffer>\n</match>\n{QUIET}"


@pytest.mark.parametrize("mode", ["flush_mode immediate", "flush_mode lazy", "flush_interval 1s", ""])
@pytest.mark.parametrize("cls", [Upload, Impatient])
async def test_what_the_user_says_of_flushing_is_what_holds(cls: type[Upload], mode: str) -> None:
    """Defaults fill what is left; they never contradict, and never bring a parameter that the buffer does not know."""
    clock = ManualClock()
    async with pipeline(configuration(cls, mode), cls, clock=clock) as running:
        codes = {found.code for found in running.warnings}
        assert codes <= ({"ignored-parameter"} if cls is Impatient and "interval" in mode else set())
        await running.feed("a", {"n": 1})
        if cls is Upload and mode != "flush_mode immediate":
            assert running.metric("buffer_stage_length") == 1
            await clock.advance(6)
        out = running.plugin(cls)
        if mode == "flush_mode lazy":
            assert running.metric("buffer_stage_length") == 1
        else:
            await running.wait_for(lambda: out.targets)


async def test_a_default_interval_where_slices_are_cut() -> None:
    """It is no mistake of the user's that it has no effect then, so nothing is said."""
    text = configuration(Upload, "timekey 1d", keys="time")
    async with pipeline(text, Upload) as running:
        assert running.warnings == []


@pytest.mark.parametrize(
    ("target", "keys", "message"),
    [
        ("x-${tag}", "", "has tag placeholders, but chunk key 'tag' is not configured"),
        ("x-${tag[0]}", "k", "has tag placeholders, but chunk key 'tag' is not configured"),
        ("x-%Y%m%d", "tag", "has timestamp placeholders, but chunk key 'time' is not configured"),
        ("x-${other}", "k", "has placeholders, but chunk keys doesn't have keys other"),
        ("x-${$.a.b}", "tag", "has placeholders, but chunk keys doesn't have keys [$].a.b"),
    ],
)
async def test_placeholders_that_no_chunk_key_serves(target: str, keys: str, message: str) -> None:
    """They would go out as they are written; in any parameter of which an output says that it fills it."""
    with pytest.raises(ConfigError, match=message) as found:
        async with pipeline(configuration(Upload, keys=keys, params=f"target {target}"), Upload):
            pass
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.position.line > 1


@pytest.mark.parametrize(
    ("target", "keys"),
    [
        ("x-${tag}-${tag[1]}-${chunk_id}", "tag"),
        ("x-%Y-${k}", "time,k"),
        ("x-${$.a.b}", "$.a.b"),
        ("x", "k"),
    ],
)
async def test_placeholders_that_are_served(target: str, keys: str) -> None:
    """Not every chunk key has to be in every parameter."""
    async with pipeline(configuration(Upload, "timekey 1d", keys=keys, params=f"target {target}"), Upload) as running:
        assert running.warnings == []


async def test_a_placeholder_where_nobody_says_what_it_is_for() -> None:
    """It is likely enough to be meant for one."""
    params = "comment of ${tag} at %Y\ntarget x"
    async with pipeline(configuration(Upload, params=params), Upload) as running:
        (found,) = running.warnings
    assert found.code == "unserved-placeholder"
    assert "comment (of ${tag} at %Y) has tag placeholders" in found.message


@pytest.mark.parametrize("timekey", ["0", "0.5", "-1"])
async def test_slices_have_a_length(timekey: str) -> None:
    """Nothing can be cut into slices of no time."""
    with pytest.raises(ConfigError, match="timekey must be a second at least"):
        async with pipeline(configuration(Upload, f"timekey {timekey}", keys="time"), Upload):
            pass
