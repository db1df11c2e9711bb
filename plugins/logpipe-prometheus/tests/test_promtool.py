"""Prometheus' own program reads what is written here, where it is installed (Debian's package prometheus)."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from logpipe.testing import pipeline
from logpipe_prometheus.testing import Ask

PROMTOOL = shutil.which("promtool")

TEXT = """
<source>
@type prometheus
port 0
</source>
<source>
@type prometheus_output_monitor
</source>
<filter a>
@type prometheus
<labels>
v $.v
</labels>
<metric>
name seen_total
type counter
desc Events \\ "of" strangers.
</metric>
<metric>
name n_seconds
type histogram
desc How long.
key n
</metric>
<metric>
name n_bytes
type summary
desc How large.
key n
</metric>
</filter>
<match **>
@type null
</match>
"""


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus")
async def test_promtool_reads_it(ask: Ask) -> None:
    """Whatever strangers write; what it advises about names is not ours to say."""
    values = ['a"b\\c\nd', "\0", "\udc80", "\r\u2028}", "é", "x" * 5000, '"} 1\n# TYPE b counter\nb 2', "", "\x01\x7f"]
    async with pipeline(TEXT) as running:
        await running.feed("a", *({"v": value, "n": 1e-7 * 10**place} for place, value in enumerate(values)))
        page = await ask(running)
    command = [str(PROMTOOL), "check", "metrics"]
    done = subprocess.run(command, input=page.text.encode(), capture_output=True, check=False)
    assert done.returncode in {0, 3}, done.stderr.decode()
    assert b"error while linting" not in done.stderr
