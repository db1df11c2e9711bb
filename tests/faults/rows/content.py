"""Rows 25 to 28: what stands in the lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.faults import texts
from tests.faults.logs import Entry, plain
from tests.faults.row import row
from tests.faults.trial import Lab, Trial

LINES: Final = 100


def _cri(text: str) -> str:
    return f"2016-10-06T00:17:09.669794202Z stdout F {text}\n"


def _crlf(text: str) -> str:
    return f"{text}\r\n"


@row(25, "lines parted at any byte: several bytes a character, CRLF, CRI")
def parted(lab: Lab) -> None:
    """Wherever a read ends, the lines are the same."""
    kinds: tuple[tuple[str, str, Entry], ...] = (
        ("plain", "@type none", plain),
        ("CRLF", "@type regexp\nexpression /^(?<message>.*?)\\r?$/", _crlf),
        ("CRI", "@type cri", _cri),
    )
    for name, parse, entry in kinds[: lab.repeat(3, few=2)]:
        with lab.trial(f"parted: {name}") as trial:
            one = entry(trial.account.open("s000-é漢😀").next_line()).encode()
            rests = []
            for at in range(1, 2 * len(one)):
                log = trial.log(f"s{at:03d}-é漢😀", path=trial.folder / f"logs/{at}.log", entry=entry)
                data = log.lines(2, padding=0).encode()
                log.write_bytes(data[:at])
                rests.append((log, data[at:]))
            del trial.account.series["s000-é漢😀"]
            logpipe = trial.start(texts.tail(trial.folder, parse=parse) + texts.to_file(trial.folder))
            trial.wait_for_some(len(one) // 2)
            trial.wait_until_read()
            trial.fired("parted")
            for log, rest in rests:
                log.write_bytes(rest)
            trial.most_descriptors = 4 * len(one)
            trial.wait_for_all()
            trial.end(logpipe)


@row(26, "a huge line without an end")
def huge_line(lab: Lab) -> None:
    """Memory stays bounded, and the lines after it come."""
    size = lab.repeat(100, few=24) << 20
    for name, more in (("skipped", "max_line_size 64k"), ("cut", "")):
        with lab.trial(f"huge line {name}") as trial:
            trial.most_megabytes = 200
            log = trial.log()
            log.write(LINES)
            drop = "<filter t>\n@type grep\n<exclude>\nkey message\npattern /^y*$/\n</exclude>\n</filter>\n"
            logpipe = trial.start(texts.tail(trial.folder, more=more) + drop + texts.to_file(trial.folder))
            block = b"y" * (1 << 20)
            for _ in range(0, size, len(block)):
                log.write_bytes(block)
            log.write_bytes(b"\n")
            trial.fired("huge line", when=log.path.stat().st_size > size)
            log.write(LINES)
            trial.wait_for_all()
            trial.end(logpipe)


HOSTILE: Final = (
    b'{"h": "\\ud800 alone"}',
    b'{"h": ' + b"9" * 5000 + b"}",
    b'{"h": 18446744073709551616}',
    b'{"h": -1e400}',
    b'{"h": NaN}',
    b'{"h": 1, "h": 2}',
    b'{"h": "\x00\xff\xfe"}',
    b'{"h": "\\u0000"}',
    b'{"h": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"h": {"": {"": null}}, "": 1}',
    b"\xff\xfe\x00",
    b"null",
    b"[1, 2]",
    b'"text"',
    b"",
)


@row(27, "invalid UTF-8, NULs, surrogates, huge numbers, deep nesting")
def hostile_values(lab: Lab) -> None:
    """Each goes on in some form, to @ERROR, or is complained about; the lines around it come."""
    for buffer in ("file", "memory"):
        with lab.trial(f"hostile values, buffer in {buffer}") as trial:
            log = trial.log(entry=json_entry)
            text = texts.tail(trial.folder, parse="@type json\ntime_key none", more="emit_unmatched_lines true")
            text += texts.to_file(trial.folder, buffer=buffer).replace("@type single_value", "@type json")
            found: list[dict[str, Any]] = []
            trial.read = JsonReader(trial, found).read
            logpipe = trial.start(text + texts.ERRORS_TO_FILE.format(folder=trial.folder))
            for hostile in HOSTILE:
                log.write(LINES)
                log.write_bytes(hostile + b"\n")
            log.write(LINES)
            trial.wait_for_all()
            trial.fired("hostile values")

            def accounted(trial: Trial = trial, found: list[dict[str, Any]] = found) -> bool:
                trial.arrived()
                errors = trial.folder / "errors/errors.log"
                failed = errors.read_bytes().count(b"\n") if errors.exists() else 0
                return len(found) + failed >= len(HOSTILE) - 1  # an empty line is no event

            trial.wait(accounted, "every hostile value to be in the output or in @ERROR")
            trial.end(logpipe)


@row(28, "lines that are not in the format")
def unmatched(lab: Lab) -> None:
    """They are complained about, or become events where that is asked for; the others come."""
    for parse, entry in (("@type json\ntime_key none", json_entry), ("@type cri", _cri)):
        with lab.trial(f"unmatched: {parse.split()[1]}") as trial:
            log = trial.log(entry=entry)
            text = texts.tail(trial.folder, parse=parse)
            if entry is json_entry:
                text += texts.to_file(trial.folder).replace("@type single_value", "@type json")
                trial.read = JsonReader(trial, []).read
            else:
                text += texts.to_file(trial.folder)
            logpipe = trial.start(text)
            for number in range(20):
                log.write(5)
                log.write_bytes(b"{this is neither %d\n" % number)
            log.write(LINES)
            trial.wait_for_all()
            trial.wait_for("this is neither")  # its log is written beside what it delivers
            trial.fired("unmatched")
            trial.end(logpipe)


def json_entry(text: str) -> str:
    """Return a line that is a record of JSON."""
    return json.dumps({"message": text}) + "\n"


class JsonReader:
    """Reads an output of JSON lines: those of the account are entered there, the others are kept."""

    def __init__(self, trial: Trial, others: list[dict[str, Any]]) -> None:
        self._file: Path = trial.folder / "out/out.log"
        self._account = trial.account
        self._others = others
        self._lines = 0

    def read(self) -> bool:
        """Enter the lines that were added; returns whether there were any."""
        if not self._file.exists():
            return False
        *lines, _ = self._file.read_bytes().split(b"\n")
        for line in lines[self._lines :]:
            try:
                record = json.loads(line.decode("utf-8", "surrogateescape"))
            except ValueError as error:
                raise AssertionError(f"no JSON in the output: {line[:100]!r}") from error
            if isinstance(record.get("message"), str) and record["message"].startswith("app"):
                self._account.arrived(record["message"])
            else:
                self._others.append(record)
        more = len(lines) > self._lines
        self._lines = len(lines)
        return more
