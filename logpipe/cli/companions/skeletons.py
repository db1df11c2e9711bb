"""What `logpipe generate` writes. Words between @ are filled in."""

from __future__ import annotations

from typing import Final, NamedTuple


class Module(NamedTuple):
    """What is different for each kind of plugin."""

    code: str
    conf: str
    """A configuration that uses it, for the README."""
    test: str
    imports: str = ""
    """Of its test."""


_INPUT: Final = Module(
    '''\
"""The input `@NAME@`."""

import time

from logpipe import EventBatch, Input, InputHost, Options, Seconds, param


class @CLASS@Options(Options):
    """Settings of `<source> @type @NAME@`."""

    tag: str = param("Tag of the events.")
    interval: Seconds = param("How often there is one.", default="1s")


class @CLASS@(Input[@CLASS@Options], type="@NAME@"):
    """Makes an event every `interval`."""

    def __init__(self, options: @CLASS@Options, host: InputHost) -> None:
        super().__init__(options, host)
        self._host = host

    async def run(self) -> None:
        """Emit until cancelled."""
        while True:
            await self._host.emit(EventBatch(self.options.tag, [time.time_ns()], [{"message": "hello"}]))
            await self._host.clock.sleep(self.options.interval)
''',
    "<source>\n  @type @NAME@\n  tag test\n</source>\n<match **>\n  @type stdout\n</match>\n",
    '''\
async def test_it_makes_events() -> None:
    """Driven by a configuration, as a user writes it."""
    text = "<source>\\n@type @NAME@\\ntag app\\n</source>\\n<match app>\\n@type test\\n</match>\\n"
    async with pipeline(text, @CLASS@) as running:
        await running.wait_for(lambda: len(running.records()) > 0)
        assert running.records()[0] == {"message": "hello"}


async def test_what_every_plugin_promises() -> None:
    """See docs of logpipe.testing."""
    await check_plugin(@CLASS@, "tag test")
''',
)

_FILTER: Final = Module(
    '''\
"""The filter `@NAME@`."""

from logpipe import Filter, Options, Record, Time, param


class @CLASS@Options(Options):
    """Settings of `<filter> @type @NAME@`."""

    field: str = param("Field to set.", default="greeting")


class @CLASS@(Filter[@CLASS@Options], type="@NAME@"):
    """Sets a field of every event."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        """Return the record; None drops it."""
        del tag, time
        record[self.options.field] = "hello"
        return record
''',
    "<filter **>\n  @type @NAME@\n</filter>\n",
    '''\
async def test_it_sets_a_field() -> None:
    """Driven by a configuration, as a user writes it."""
    text = "<filter app>\\n@type @NAME@\\n</filter>\\n<match app>\\n@type test\\n</match>\\n"
    async with pipeline(text, @CLASS@) as running:
        await running.feed("app", {"n": 1})
        assert running.records() == [{"n": 1, "greeting": "hello"}]


async def test_what_every_plugin_promises() -> None:
    """See docs of logpipe.testing."""
    await check_plugin(@CLASS@)
''',
)

_OUTPUT: Final = Module(
    '''\
"""The output `@NAME@`."""

from pathlib import Path

from logpipe import Chunk, Host, Options, Output, param
from logpipe.codec import dump_record


class @CLASS@Options(Options):
    """Settings of `<match> @type @NAME@`."""

    path: str = param("File to append to.")


class @CLASS@(Output[@CLASS@Options], type="@NAME@"):
    """Appends JSON lines to a file; replace `write` by what reaches your system."""

    def __init__(self, options: @CLASS@Options, host: Host) -> None:
        super().__init__(options, host)
        self._host = host

    async def write(self, chunk: Chunk) -> None:
        """Deliver a chunk; it is delivered when this returns, and tried again when it raises."""
        lines = b"".join(dump_record(record) + b"\\n" for batch in chunk.batches() for record in batch.records)
        await self._host.in_thread(_append, Path(self.options.path), lines)


def _append(path: Path, lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(lines)
''',
    "<match **>\n  @type @NAME@\n  path /tmp/@NAME@.log\n  <buffer>\n    flush_interval 1s\n  </buffer>\n</match>\n",
    '''\
async def test_it_delivers(tmp_path: Path) -> None:
    """Driven by a configuration, as a user writes it."""
    text = f"<match app>\\n@type @NAME@\\npath {tmp_path}/out\\n</match>\\n"
    async with pipeline(text, @CLASS@) as running:
        await running.feed("app", {"n": 1})
        await running.flush()
        assert (tmp_path / "out").read_text() == '{"n":1}\\n'


async def test_what_every_plugin_promises() -> None:
    """See docs of logpipe.testing."""
    await check_plugin(@CLASS@, "path /dev/null")
''',
    "from pathlib import Path\n\n",
)

_PARSER: Final = Module(
    '''\
"""The parser `@NAME@`."""

from logpipe import Record, param
from logpipe.codec import LineRecordParser, ParseOptions


class @CLASS@Options(ParseOptions):
    """Settings of `<parse> @type @NAME@`."""

    separator: str = param("What is between a name and its value.", default="=")


class @CLASS@(LineRecordParser[@CLASS@Options], type="@NAME@"):
    """Reads `name=value` after `name=value`."""

    def record(self, line: str) -> Record | None:
        """Return a line's fields; None is a line in another format."""
        pairs = [word.partition(self.options.separator) for word in line.split()]
        return {name: value for name, found, value in pairs if found} or None
''',
    "<parse>\n  @type @NAME@\n</parse>\n",
    '''\
async def test_it_parses() -> None:
    """Driven by a configuration, as a user writes it."""
    parse = "<parse>\\n@type @NAME@\\n</parse>"
    text = f"<filter app>\\n@type parser\\nkey_name text\\n{parse}\\n</filter>\\n<match app>\\n@type test\\n</match>\\n"
    async with pipeline(text, @CLASS@) as running:
        await running.feed("app", {"text": "a=1 b=2"})
        assert running.records() == [{"a": "1", "b": "2"}]


async def test_what_every_plugin_promises() -> None:
    """See docs of logpipe.testing."""
    await check_plugin(@CLASS@)
''',
)

_FORMATTER: Final = Module(
    '''\
"""The formatter `@NAME@`."""

from logpipe import Formatter, Host, Record, Time
from logpipe.codec import LineOptions
from logpipe.ruby import to_s


class @CLASS@Options(LineOptions):
    """Settings of `<format> @type @NAME@`."""


class @CLASS@(Formatter[@CLASS@Options], type="@NAME@"):
    """Writes the values of a record between bars."""

    def __init__(self, options: @CLASS@Options, host: Host) -> None:
        super().__init__(options, host)
        self._end = options.line_end.encode()

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return an event as bytes."""
        del tag, time
        return "|".join(map(to_s, record.values())).encode("utf-8", "surrogateescape") + self._end
''',
    "<format>\n  @type @NAME@\n</format>\n",
    '''\
async def test_it_formats(tmp_path: Path) -> None:
    """Driven by a configuration, as a user writes it."""
    formatted = "<format>\\n@type @NAME@\\n</format>\\n<buffer []>\\n</buffer>"
    text = f"<match app>\\n@type file\\npath {tmp_path}/out\\nappend true\\n{formatted}\\n</match>\\n"
    async with pipeline(text, @CLASS@) as running:
        await running.feed("app", {"a": 1, "b": "x"})
        await running.flush()
        assert (tmp_path / "out.log").read_text() == "1|x\\n"


async def test_what_every_plugin_promises() -> None:
    """See docs of logpipe.testing."""
    await check_plugin(@CLASS@)
''',
    "from pathlib import Path\n\n",
)

MODULES: Final = {"input": _INPUT, "output": _OUTPUT, "filter": _FILTER, "parser": _PARSER, "formatter": _FORMATTER}

FILES: Final = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "logpipe-@DASHED@"
version = "0.1.0"
description = "The @KIND@ @NAME@ for logpipe"
readme = "README.md"
@LICENSE@requires-python = ">=3.11"
dependencies = ["logpipe>=0.1,<0.2"]

[dependency-groups]
dev = ["pytest>=8.4", "pytest-asyncio>=1.4"]

[project.entry-points."logpipe.@KIND@"]
@NAME@ = "logpipe_@NAME@:@CLASS@"

[tool.setuptools.packages.find]
include = ["logpipe_@NAME@"]

[tool.setuptools.package-data]
logpipe_@NAME@ = ["py.typed"]

[tool.pytest.ini_options]
asyncio_mode = "auto"
""",
    "README.md": """\
# logpipe-@DASHED@

The @KIND@ `@NAME@` for logpipe.

```
@CONF@```

Every setting: `logpipe settings @KIND@ @NAME@`.
""",
    "logpipe_@NAME@/__init__.py": "@MODULE@",
    "logpipe_@NAME@/py.typed": "",
    "tests/test_@NAME@.py": '''\
"""What `@NAME@` does."""

@IMPORTS@from logpipe.testing import check_plugin, pipeline
from logpipe_@NAME@ import @CLASS@


@TEST@''',
}
