"""The demo as `make demo` runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo import agent, run

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "examples.demo"]
ROW = re.compile(r"^  (\S+) +([\d,]+) +([\d,]+)$", re.MULTILINE)


def judge(output: str) -> None:
    """Check what the demo says at the end: a topic for each namespace and one for the rest, everything delivered."""
    rows = {topic: (written, delivered) for topic, written, delivered in ROW.findall(output)}
    assert rows.keys() == {"billing", "default", "kube-system", "search", "shop"}
    for written, delivered in rows.values():
        assert written == delivered != "0"
    assert re.search(r"read ([\d,]+) of \1 lines, delivered \1, waiting 0\n", output)
    assert output.endswith("every line arrived once, in the topic of its namespace\n")


@pytest.mark.slow("it is the whole demo, with its broker")
def test_ends_by_itself() -> None:
    """Every line arrives in its namespace's topic; counts, one event of each topic and the account are shown."""
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    judge(done.stdout)
    assert len(re.findall(r"^ *\d+\.\d s  [\d,]+ of [\d,]+ lines in kafka", done.stdout, re.MULTILINE)) > 5
    assert re.search(
        r'the last event of topic billing\n\{\n  "log": "Rechnung .* Zoë .*\\n",$', done.stdout, re.MULTILINE
    )
    assert '"pod_id"' in done.stdout  # which only the API knows
    assert "required_acks 0 can lose events" in done.stdout


@pytest.mark.slow("it is the whole demo, with its broker")
def test_keeps_on_until_interrupted() -> None:
    """With --keep it goes on until Ctrl-C, which a terminal sends to all in the foreground, and ends as without."""
    keep = [*COMMAND, "--keep"]
    with subprocess.Popen(keep, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if (seen := re.search(r"([\d,]+) of [\d,]+ lines in kafka.*  shop", line)) and seen[1] > "0":
                break
        os.killpg(demo.pid, signal.SIGINT)
        judge(demo.stdout.read())
        assert demo.wait(60) == 0


async def test_says_why_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If logpipe does not do its work, its log and what is wrong are shown, and the status is not 0."""
    broken = tmp_path / "td-agent.conf"
    broken.write_text("<match **>\n  @type nothing\n</match>\n")
    monkeypatch.setattr(agent, "ARTICLE", broken)

    assert await run.run(keep=False) == 1
    output = capsys.readouterr().out
    assert 'unknown output plugin "nothing"' in output
    assert "failed: logpipe ended with status 1" in output
    assert "failed: not every line arrived once in its topic" in output
