"""`logpipe explain`: what is made of a configuration."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from logpipe.cli import main

CONFIG = """\
<system>
  compat 0.12
</system>
<source>
  @type sample
  tag a.b
  @label @X
</source>
<match **>
  @type copy
  <store>
    @type stdout
  </store>
  <store>
    @type not_installed
  </store>
</match>
<label @X>
  <filter app.**>
    @type record_transformer
    enable_ruby
    <record>
      topic ${kubernetes["namespace_name"]}
      part ${tag_parts[0].upcase}
    </record>
  </filter>
  <match **>
    @type relabel
    @label @ROOT
  </match>
</label>
<filter b>
  @type record_modifier
  <record>
    n ${record['n'] = 1}
  </record>
</filter>
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Write the configuration and return its path."""
    path = tmp_path / "a.conf"
    path.write_text(CONFIG)
    return str(path)


def test_routes(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Sources, filters and outputs in the order events meet them, each with its place."""
    assert main(["explain", config]) == 0
    lines = [" ".join(line.replace(config, "a.conf").split()) for line in capsys.readouterr().out.splitlines()]

    assert lines == [
        "source tag a.b sample → @X (a.conf:4:1)",
        "match ** copy (a.conf:9:1)",
        "store stdout (a.conf:11:3)",
        "store not_installed (a.conf:14:3)",
        "filter b record_modifier (a.conf:32:1)",
        "@X:",
        "filter app.** record_transformer (a.conf:19:3)",
        "match ** relabel → @ROOT (a.conf:27:3)",
    ]


def test_expressions(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with place, text and function, then the loop that runs them; the whole is Python."""
    assert main(["explain", "--expressions", config]) == 0
    out = capsys.readouterr().out.replace(config, "a.conf")

    ast.parse(out)
    places = [line for line in out.splitlines() if line.startswith("# ") and not line.startswith("#  ")]
    assert places == [
        "# a.conf:23:13  <record> topic",
        "# a.conf:24:12  <record> part",
        "# a.conf:22:5  <record>",
        "# a.conf:35:7  <record> n",
        "# a.conf:34:3  <record>",
    ]
    assert '#   ${kubernetes["namespace_name"]}\ndef compute_topic(record, time, output):\n' in out
    assert "part_bound = attempt_entry(compute_part)\n" in out
    assert out.count("def transform(records, times):\n") == 2


def test_system_compat_counts(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By 0.12's rules every value that fails is null."""
    main(["explain", "--expressions", config])
    first, _, second = capsys.readouterr().out.partition("record_modifier")

    assert "part_value = None" in first + second


def test_mistakes_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not compile is told with its place, and the status is 1."""
    path = tmp_path / "a.conf"
    path.write_text(
        "<filter **>\n  @type record_transformer\n  enable_ruby\n  <record>\n    a ${fooo(1)}\n  </record>\n</filter>\n"
    )

    assert main(["explain", "--expressions", str(path)]) == 1
    assert f"{path}:5:9: error: " in capsys.readouterr().err
