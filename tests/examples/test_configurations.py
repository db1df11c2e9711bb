"""The configurations in examples/: logpipe takes every one of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from logpipe.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the examples expect."""
    monkeypatch.setenv("KAFKA_BROKERS", "kafka:9092")
    monkeypatch.setenv("FORWARD_KEY", "secret")


@pytest.mark.parametrize("config", sorted(EXAMPLES.rglob("*.conf")), ids=lambda path: path.name)
def test_is_accepted(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file has no error in it."""
    assert main(["check", str(config)]) == 0, capsys.readouterr()


def test_config_map_is_accepted_without_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file in the config map is as we would have it: it has not even a warning."""
    manifest = yaml.safe_load((EXAMPLES / "kubernetes/config.yaml").read_text())
    for name, text in manifest["data"].items():
        (tmp_path / name).write_text(text)
        status = main(["check", str(tmp_path / name)])
        said = "".join(capsys.readouterr())
        assert status == 0, said
        assert "warning" not in said.replace("0 warnings", "")


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
