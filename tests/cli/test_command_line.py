"""The program as a user starts it: flags, commands, messages, exit statuses, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.waiting import slowness, wait_until

PATIENCE = 60
ROOT = Path(__file__).parents[2]
QUIET = "<label @FLUENT_LOG>\n  <match **>\n    @type null\n  </match>\n</label>\n"
SAMPLE = f"""
<source>
  @type sample
  tag demo
  rate 100
  sample {{"message":"hi"}}
</source>
<match **>
  @type stdout
</match>
{QUIET}"""


def logpipe(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    command = (sys.executable, "-m", "logpipe", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment())


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}


@contextmanager
def running(arguments: Sequence[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run beside the test, with standard output and error in a file."""
    with output.open("wb") as file:
        command = (sys.executable, "-m", "logpipe", *arguments)
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment())
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for_text(path: Path, text: str, *, times: int = 1) -> str:
    """Return the file's content once it holds `text`, so many times."""
    content = ""

    def is_there() -> bool:
        nonlocal content
        content = path.read_text(errors="replace")
        return content.count(text) >= times

    wait_until(is_there, seconds=PATIENCE, what=lambda: f"{text!r} in:\n{content}")
    return content


def write(folder: Path, text: str) -> str:
    path = folder / "logpipe.conf"
    path.write_text(text)
    return str(path)


def test_version_and_help() -> None:
    """Both answer on standard output with status 0."""
    version = logpipe("--version")
    assert (version.returncode, version.stdout) == (0, "logpipe 0.1.0\n")
    usage = logpipe("--help")
    assert usage.returncode == 0
    assert "--dry-run" in usage.stdout
    assert "check" in usage.stdout


def test_an_unknown_flag_is_named() -> None:
    """With what was perhaps meant."""
    result = logpipe("--confg", "x")
    assert result.returncode == 2
    assert (
        result.stderr
        == "logpipe: unknown argument --confg (did you mean --config?); `logpipe --help` lists what there is\n"
    )


def test_it_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """Events come out, TERM ends it with status 0, and fluentd's words are in the log."""
    output = tmp_path / "out"
    with running(["-c", write(tmp_path, SAMPLE)], output) as process:
        wait_for_text(output, 'demo: {"message":"hi"}')
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE * slowness()) == 0
    content = output.read_text()
    assert "[info]: received graceful stop (SIGTERM)" in content
    assert "shutting down input plugin type=sample" in content
    assert "Traceback" not in content


def test_interrupt_ends_it_too(tmp_path: Path) -> None:
    """INT is what Ctrl-C sends."""
    output = tmp_path / "out"
    with running(["-c", write(tmp_path, SAMPLE)], output) as process:
        wait_for_text(output, "demo: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE * slowness()) == 0


def test_the_log_goes_to_a_file(tmp_path: Path) -> None:
    """-o takes all that would be on standard output, and inline text is part of the configuration."""
    log = tmp_path / "log"
    log.touch()
    arguments = ["-c", write(tmp_path, SAMPLE), "-o", str(log), "-i", "<system>\\n  log_level info\\n</system>"]
    with running(arguments, tmp_path / "out"):
        wait_for_text(log, 'demo: {"message":"hi"}')
    assert (tmp_path / "out").read_text() == ""


def test_a_plugin_of_a_folder(tmp_path: Path) -> None:
    """-p DIR makes its plugins known."""
    conf = SAMPLE.replace("<match", "<filter **>\n  @type hello\n  name tester\n</filter>\n<match", 1)
    output = tmp_path / "out"
    with running(["-c", write(tmp_path, conf), "-p", str(ROOT / "examples/plugin_dir")], output):
        wait_for_text(output, '"greeting":"hello tester"')


def test_a_missing_configuration_is_one_message(tmp_path: Path) -> None:
    """Status 1, no traceback."""
    result = logpipe("-c", str(tmp_path / "no.conf"))
    assert result.returncode == 1
    assert "no.conf" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_every_mistake_is_found_in_one_run(tmp_path: Path) -> None:
    """Each with file, line and column, and a way out."""
    conf = write(
        tmp_path,
        "<source>\n  @type tial\n</source>\n"
        "<source>\n  @type tail\n  tag a\n</source>\n"
        "<match **>\n  @type stdout\n  use_loger true\n</match>\n"
        "<match>\n  @type null\n  never_flush maybe\n</match>\n",
    )
    result = logpipe("-c", conf)
    assert result.returncode == 1
    unknown = 'error: <source>: unknown input plugin "tial" (did you mean "tail"?) [unknown-plugin]'
    assert f"{conf}:2:9: {unknown}" in result.stderr
    assert f'{conf}:4:1: error: <source> @type tail: "path" is required' in result.stderr
    assert 'did you mean "use_logger"?' in result.stderr + result.stdout
    assert f"{conf}:14:15: error:" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


@pytest.mark.parametrize("command", [("check",), ("--dry-run", "-c")])
def test_checking_runs_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The graph is built; no file appears; the status says whether it could run."""
    target = tmp_path / "never"
    conf = write(tmp_path, f"<match **>\n  @type file\n  path {target}/out\n</match>\n")
    assert logpipe(*command, conf).returncode == 0
    assert not target.exists()
    bad = write(tmp_path, "<match **>\n  @type fiel\n</match>\n")
    assert logpipe(*command, bad).returncode == 1


def test_strict_makes_warnings_count(tmp_path: Path) -> None:
    """Status 2 for warnings alone."""
    conf = write(tmp_path, "<match **>\n  @type stdout\n  nonsense 1\n</match>\n")
    assert logpipe("check", conf).returncode == 0
    assert logpipe("check", "--strict", conf).returncode == 2


def test_plugins_lists_what_is_installed() -> None:
    """Kind, type, origin and class."""
    result = logpipe("plugins")
    assert result.returncode == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["input", "tail", "logpipe", "0.1.0", "logpipe.builtin.in_tail:Tail"] in rows


def test_several_workers_are_started_again_when_they_die(tmp_path: Path) -> None:
    """The supervisor keeps its workers; a worker's number is in its log lines; TERM ends all."""
    conf = write(tmp_path, "<system>\n  workers 2\n</system>\n" + SAMPLE)
    output = tmp_path / "out"
    with running(["-c", conf], output) as process:
        wait_for_text(output, "#1 starting logpipe pid=")
        content = wait_for_text(output, "#0 starting logpipe pid=")
        victim = int(content.split("#0 starting logpipe pid=")[1].split()[0])
        os.kill(victim, signal.SIGKILL)
        wait_for_text(output, "worker #0 ended unexpectedly")
        wait_for_text(output, "#0 starting logpipe pid=", times=2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE * slowness()) == 0


def test_config_prints_what_is_read(tmp_path: Path) -> None:
    """Includes are in place, secrets are masked, and defaults come on request."""
    (tmp_path / "more.conf").write_text("<match **>\n  @type null\n  some_token abc\n</match>\n")
    conf = write(tmp_path, "@include more.conf\n")
    result = logpipe("config", conf)
    assert (result.returncode, result.stdout) == (0, "<match **>\n  @type null\n  some_token xxxxxx\n</match>\n")
    assert "never_flush false" in logpipe("config", "--defaults", conf).stdout


def test_check_says_what_it_reads_as_what(tmp_path: Path) -> None:
    """--verbose shows 0.12's parameters beside today's; json is for editors."""
    conf = write(
        tmp_path, f"<match **>\n  type file\n  buffer_chunk_limit 1m\n  path {tmp_path}/o\n  nonsense 1\n</match>\n"
    )
    shown = logpipe("check", "--verbose", conf).stdout
    assert f"{conf}:3:3: buffer_chunk_limit is read as <buffer> chunk_limit_size" in shown
    rows = [json.loads(line) for line in logpipe("check", "--format", "json", conf).stdout.splitlines()]
    assert ("unknown-parameter", 5, 3) in {(row["code"], row["line"], row["column"]) for row in rows}
