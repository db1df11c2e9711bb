"""Batches of lines through the engine: what needs no record decodes none, and what needs records gets the same."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from logpipe import (
    AsyncFilter,
    Chunk,
    EventBatch,
    Filter,
    Host,
    Options,
    Output,
    PermanentError,
    Receipt,
    Record,
    param,
)
from logpipe.builtin.chunk_payloads import pieces_of
from logpipe.codec import LineBatch
from logpipe.testing import Pipeline, pipeline
from tests.event.lines import JUNK, line_batch

SECOND = 1_000_000_000
RECORDS: list[Record] = [{"n": n, "text": "x" * n} for n in range(8)]
TIMES = [n * 20 * SECOND for n in range(8)]
OWN_LOG = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it an error to read the records of a batch of lines, or one of them."""

    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("somebody reads records")

    monkeypatch.setattr(LineBatch, "records", property(refuse, refuse))
    monkeypatch.setattr(LineBatch, "record", refuse)


class Kept(Output[Options], type="kept"):
    """Keeps the batches of its chunks, or those that come without a buffer."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.batches: list[EventBatch] = []
        self.chunks: list[tuple[Any, int]] = []

    async def process(self, batch: EventBatch) -> None:
        self.batches.append(batch)

    async def write(self, chunk: Chunk) -> None:
        found = list(chunk.batches())
        self.chunks.append((chunk.key.timekey, sum(map(len, found))))
        self.batches += found

    @property
    def lines(self) -> list[bytes]:
        """The lines that came, none of them decoded."""
        assert all(isinstance(batch, LineBatch) and batch.is_unread for batch in self.batches)
        return [line for batch in self.batches if isinstance(batch, LineBatch) for line in batch.lines()]


class HowOptions(Options):
    """Settings of the output below."""

    how: str = param("What `encode` returns.", default="encoded")


class Passer(Output[HowOptions], type="passer"):
    """Passes lines on as they are."""

    def __init__(self, options: HowOptions, host: Host) -> None:
        super().__init__(options, host)
        self.pieces: list[bytes] = []
        self.payloads: list[bytes] = []
        self.returned: Any = None

    def encode(self, batch: EventBatch) -> Any:
        if not isinstance(batch, LineBatch):
            return [b"%d\n" % record["n"] for record in batch.records]
        encoded = batch.encoded(b"\n")
        self.returned = {"encoded": encoded, "list": list(encoded), "tuple": tuple(encoded)}[self.options.how]
        return self.returned

    async def write(self, chunk: Chunk) -> None:
        self.payloads += chunk.payloads()
        self.pieces += pieces_of(chunk, self.encode)
        assert len(chunk) == len(list(chunk.payloads()))


class Even(Filter[Options], type="even"):
    """Keeps every second event, and looks at none."""

    def process(self, batch: EventBatch) -> EventBatch:
        return batch.keep([number % 2 == 0 for number in range(len(batch))])


class EvenLater(AsyncFilter[Options], type="even_later"):
    """The same as a filter that may wait."""

    async def process(self, batch: EventBatch) -> EventBatch:
        return batch.keep([number % 2 == 0 for number in range(len(batch))])


def lines_of(*numbers: int) -> list[bytes]:
    """Return the lines of these records."""
    return [b'{"n":%d,"text":"%b"}' % (n, b"x" * n) for n in numbers]


def settled() -> tuple[Receipt, list[bool]]:
    """Return a receipt, and a list that gets an entry when it settles."""
    done: list[bool] = []
    return Receipt(lambda: done.append(True)), done


async def emit(running: Pipeline, records: list[Record] = RECORDS, *, tag: str = "t") -> list[bool]:
    """Emit records as lines, as an input would."""
    receipt, done = settled()
    await running.emit(line_batch(*records, tag=tag, times=[*TIMES], receipt=receipt))
    receipt.release()
    return done


STORES = "<store>\n@type null\n</store>\n<store>\n@type null\n<buffer tag>\n</buffer>\n</store>\n"

ROUTES = {
    "null": "<match **>\n@type null\n</match>",
    "null behind a buffer": "<match **>\n@type null\n<buffer>\n</buffer>\n</match>",
    "null by tag": "<match **>\n@type null\n<buffer tag>\n@type memory\n</buffer>\n</match>",
    "null by time": "<match **>\n@type null\n<buffer tag, time>\n@type memory\ntimekey 60\n</buffer>\n</match>",
    "small chunks": "<match **>\n@type null\n<buffer>\n@type memory\nchunk_limit_size 60\n</buffer>\n</match>",
    "few a chunk": "<match **>\n@type null\n<buffer>\n@type memory\nchunk_limit_records 3\n</buffer>\n</match>",
    "copy": f"<match **>\n@type copy\n{STORES}</match>",
    "shallow copy": f"<match **>\n@type copy\ncopy_mode shallow\n{STORES}</match>",
    "deep copy": f"<match **>\n@type copy\ncopy_mode deep\n{STORES}</match>",
    "relabel": "<match **>\n@type relabel\n@label @X\n</match>\n<label @X>\n<match **>\n@type null\n</match>\n</label>",
    "nowhere": "<match other>\n@type null\n</match>",
    "filters for others": "<filter other.**>\n@type grep\n</filter>\n<match **>\n@type null\n</match>",
    "filters": "<filter **>\n@type even\n</filter>\n<filter **>\n@type even_later\n</filter>\n"
    "<match **>\n@type null\n</match>",
}


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("route", ROUTES)
async def test_what_needs_no_record_decodes_none(route: str) -> None:
    """Routing, copying, chunking and dropping look at tags, times and numbers, and the ledger adds up."""
    async with pipeline(ROUTES[route] + "\n" + OWN_LOG, Even, EvenLater) as running:
        done = await emit(running)
        await running.flush()
        assert done == [True]
        assert not running.errors


@pytest.mark.usefixtures("unreadable")
async def test_lines_arrive_as_they_were() -> None:
    """Of two stores each gets every line, one of them by time slice and without the block that they came in."""
    store = "@type kept\n<buffer time>\n@type memory\ntimekey 60\n</buffer>\n"
    text = f"<match **>\n@type copy\n<store>\n@type kept\n</store>\n<store>\n{store}</store>\n</match>\n{OWN_LOG}"
    async with pipeline(text, Kept) as running:
        await emit(running)
        await running.flush()
        direct, buffered = (stage.plugin for stage in running.graph.stages.outputs if isinstance(stage.plugin, Kept))
        assert direct.lines == buffered.lines == lines_of(*range(8))
        assert direct.chunks == []
        assert buffered.chunks == [(0, 3), (60, 3), (120, 2)]
        assert [batch.times for batch in buffered.batches] == [TIMES[:3], TIMES[3:6], TIMES[6:]]
        assert all(isinstance(batch, LineBatch) and JUNK not in batch.block for batch in buffered.batches)


@pytest.mark.usefixtures("unreadable")
async def test_slices_of_time_that_alternate() -> None:
    """Each event is in its slice, in order, whichever came between."""
    text = f"<match **>\n@type kept\n<buffer time>\n@type memory\ntimekey 60\n</buffer>\n</match>\n{OWN_LOG}"
    async with pipeline(text, Kept) as running:
        times = [n % 2 * 60 * SECOND for n in range(8)]
        await running.emit(line_batch(*RECORDS, times=times))
        await running.flush()
        assert running.plugin(Kept).lines == lines_of(0, 2, 4, 6, 1, 3, 5, 7)


BUFFERS = [
    "@type memory",
    "@type memory\ncompress gzip",
    "@type file\npath {0}/b",
    "@type file\npath {0}/b\ncompress zstd",
]


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("how", ["encoded", "list", "tuple"])
@pytest.mark.parametrize("limits", ["", "chunk_limit_size 60\n", "chunk_limit_records 3\n"])
@pytest.mark.parametrize("buffer", BUFFERS)
async def test_payloads_come_back(buffer: str, limits: str, how: str, tmp_path: Path) -> None:
    """One by one and in pieces, from every buffer, however full a chunk may get and whatever `encode` returned."""
    kind = buffer.format(tmp_path)
    text = f"<match **>\n@type passer\nhow {how}\n<buffer>\n{kind}\n{limits}</buffer>\n</match>\n{OWN_LOG}"
    async with pipeline(text, Passer) as running:
        done = await emit(running), await emit(running, RECORDS[::-1])
        await running.flush()
        assert done == ([True], [True])
        passer = running.plugin(Passer)
        wanted = [line + b"\n" for line in lines_of(*range(8), *range(7, -1, -1))]
        assert passer.payloads == wanted
        assert b"".join(passer.pieces) == b"".join(wanted)
        assert len(passer.pieces) <= max(1, 16 if limits else 1)


@pytest.mark.usefixtures("unreadable")
async def test_a_list_stays_its_output_s() -> None:
    """What was returned first does not grow by what comes after it."""
    text = f"<match **>\n@type passer\nhow list\n<buffer>\n@type memory\n</buffer>\n</match>\n{OWN_LOG}"
    async with pipeline(text, Passer) as running:
        await emit(running)
        first = running.plugin(Passer).returned
        await emit(running)
        assert len(first) == 8


@pytest.mark.usefixtures("unreadable")
async def test_payloads_of_both_kinds_in_one_chunk(tmp_path: Path) -> None:
    """An output may return a list for one batch and one piece for the next."""
    for kind in ("memory", f"file\npath {tmp_path}/b"):
        text = f"<match **>\n@type passer\n<buffer>\n@type {kind}\n</buffer>\n</match>\n{OWN_LOG}"
        async with pipeline(text, Passer) as running:
            await running.feed("t", {"n": 1}, {"n": 2})
            await running.emit(line_batch({"n": 3}, {"n": 4}))
            await running.feed("t", {"n": 5})
            await running.feed("t", {"n": 6})
            await running.flush()
            wanted = [b"1\n", b"2\n", b'{"n":3}\n', b'{"n":4}\n', b"5\n", b"6\n"]
            assert running.plugin(Passer).payloads == wanted


@pytest.mark.usefixtures("unreadable")
async def test_payloads_of_a_run_before(tmp_path: Path) -> None:
    """What one run stored in one piece, the next delivers."""
    text = (
        "<match **>\n@type passer\n<buffer>\n@type file\npath {}\nflush_at_shutdown {}\n</buffer>\n</match>\n" + OWN_LOG
    )
    async with pipeline(text.format(tmp_path / "b", "false"), Passer) as running:
        await emit(running)
    async with pipeline(text.format(tmp_path / "b", "true"), Passer) as running:
        await running.flush()
        passer = running.plugin(Passer)
        assert passer.payloads == [line + b"\n" for line in lines_of(*range(8))]
        assert b"".join(passer.pieces) == b"".join(passer.payloads)


@pytest.mark.parametrize("compress", ["gzip", "text"])
async def test_a_file_of_one_piece(compress: str, tmp_path: Path) -> None:
    """The file output writes what another stage's chunk holds in one piece, as its `<secondary>`."""
    secondary = f"<secondary>\n@type file\npath {tmp_path}/out\nappend true\ncompress {compress}\n</secondary>\n"
    text = f"<match **>\n@type refuser\n<buffer>\n@type memory\n</buffer>\n{secondary}</match>\n{OWN_LOG}"
    async with pipeline(text, Refuser) as running:
        await emit(running)
        await running.flush()
    (file,) = (path for path in tmp_path.iterdir() if path.is_file())
    data = file.read_bytes()
    text_of = zlib.decompress(data, 47) if compress == "gzip" else data
    assert text_of == b"".join(line + b"\n" for line in lines_of(*range(8)))


class Refuser(Passer, type="refuser"):
    """Encodes, and delivers nothing."""

    async def write(self, chunk: Chunk) -> None:
        raise PermanentError(f"never: {chunk.id}")


FILTERS = {
    "grep": "@type grep\n<regexp>\nkey text\npattern /xx/\n</regexp>\n",
    "record_transformer": '@type record_transformer\nenable_ruby\n<record>\nm ${record["n"] + 1}\n</record>\n',
    "record_modifier": "@type record_modifier\nremove_keys text\n<record>\nm ${tag}\n</record>\n",
    "kubernetes_metadata": "@type kubernetes_metadata\n",
}

OUTPUTS = {
    "collector": "@type test\n",
    "by field": "@type copy\n<store>\n@type test\n</store>\n<store>\n@type kept\n<buffer n>\n@type memory\n</buffer>\n"
    "</store>\n",
    "buffer in files": "@type kept\n<buffer>\n@type file\npath {}/b\n</buffer>\n",
    "compressed": "@type kept\n<buffer>\n@type memory\ncompress gzip\n</buffer>\n",
    "rewrite": "@type rewrite_tag_filter\n<rule>\nkey n\npattern /^[0-3]$/\ntag low\n</rule>\n<rule>\nkey n\n"
    "pattern /./\ntag high\n</rule>\n",
}


def everything(running: Pipeline) -> Iterator[Any]:
    """Yield what collectors and the like hold."""
    for stage in running.graph.stages.outputs:
        if isinstance(stage.plugin, Kept):
            yield [(batch.tag, list(batch.events())) for batch in stage.plugin.batches]
            yield stage.plugin.chunks
        elif hasattr(stage.plugin, "events"):
            yield [(tag, list(events)) for tag, events in stage.plugin.batches]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", FILTERS)
async def test_what_needs_records_gets_the_same(name: str, output: str, tmp_path: Path) -> None:
    """Whether a batch came as records or as lines, the same events arrive, and an event that fails fails alike."""
    tag = "kubernetes.var.log.containers.web-x_shop_web-" + "0" * 64 + ".log"
    rewritten = "<match low>\n@type test\nname low\n</match>\n<match high>\n@type test\nname high\n</match>\n"
    text = f"<filter kubernetes.**>\n{FILTERS[name]}</filter>\n<match kubernetes.**>\n{OUTPUTS[output]}</match>\n"
    found = []
    for number, is_lines in enumerate((False, True)):
        folder = tmp_path / str(number)
        async with pipeline(text.replace("{}", str(folder)) + rewritten + OWN_LOG, Kept) as running:
            if is_lines:
                await emit(running, tag=tag)
            else:
                await running.feed(tag, *[dict(record) for record in RECORDS], times=[*TIMES])
            await running.flush()
            found.append((list(everything(running)), [error[:3] for error in running.errors]))
    assert found[0] == found[1]
    assert any(found[0][0])
