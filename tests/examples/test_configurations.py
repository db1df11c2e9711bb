"""The configurations in examples/: logpipe takes every one of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"


def check(config: Path) -> subprocess.CompletedProcess[str]:
    """Run `logpipe check` with the variables that the examples expect."""
    environment = {**os.environ, "KAFKA_BROKERS": "kafka:9092"}
    command = [sys.executable, "-m", "logpipe", "check", str(config)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("config", sorted(EXAMPLES.rglob("*.conf")), ids=lambda path: path.name)
def test_is_accepted(config: Path) -> None:
    """A file has no error in it."""
    checked = check(config)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_config_map_is_accepted_without_a_warning(tmp_path: Path) -> None:
    """The file in the config map is as we would have it: it has not even a warning."""
    manifest = yaml.safe_load((EXAMPLES / "kubernetes/config.yaml").read_text())
    for name, text in manifest["data"].items():
        (tmp_path / name).write_text(text)
        checked = check(tmp_path / name)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "warning" not in (checked.stdout + checked.stderr).replace("0 warnings", "")


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("td-agent.conf", "811bd1b261de9e3f822c90e6b1abbc684a461f350833fbdd7541a2dbf16e9cf9"),
        ("td-agent.yaml", "ebefd4989dcddfc3fc9b0064df554cddb0b71f27c8e843a3ee5e98a346f9a2c4"),
    ],
)
def test_article_is_as_it_was_published(name: str, digest: str) -> None:
    """The article's two files are not to be edited, not by a byte."""
    assert hashlib.sha256((EXAMPLES / "article" / name).read_bytes()).hexdigest() == digest
