"""What commands print without secrets, and what `check` says of folders that do not last."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from logpipe.cli import main
from logpipe.supervisor import Settings, check

EXAMPLES = Path(__file__).parents[2] / "examples"

SECRETS = """
<filter a>
  @type record_transformer
  enable_ruby true
  <record>
    fixed "#{ENV['PLAIN_NAME']}"
    made "#{ENV['PLAIN_NAME']}-${record['x']}"
    url "https://user:#{ENV['PLAIN_NAME']}@host/"
  </record>
</filter>
<match a>
  @type file
  path /var/lib/x
  url http://user:hunter2@host/
  endpoint https://hunter2@host/
  dbPassword hunter2
  headers {"Authorization":"Bearer hunter2"}
  x-api-key hunter2 # hunter2
  dsn mysql://user:hunter2@host/db
  timekey_wait https://user:hunter2@host/
  <buffer time>
    timekey 1d
    flush_mode "hunter2 http://u:hunter2@h"
  </buffer>
</match>
"""


@pytest.mark.parametrize(
    "command", [("config",), ("config", "--defaults"), ("check",), ("check", "--format", "json"), ("explain",)]
)
def test_no_command_prints_a_secret(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in what it prints, not in the line that it quotes, not in what it says is wrong."""
    monkeypatch.setenv("PLAIN_NAME", "public")
    path = tmp_path / "logpipe.conf"
    path.write_text(SECRETS.replace("hunter2 http://", "http://"))
    main([*command, str(path)])
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err
    assert shown.out


def test_explained_expressions_hold_no_values_of_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the variable is called: the expression is shown with a mask in its place."""
    monkeypatch.setenv("PLAIN_NAME", "hunter2")
    path = tmp_path / "logpipe.conf"
    path.write_text(SECRETS.partition("<match")[0])
    assert main(["explain", "--expressions", str(path)]) == 0
    out = capsys.readouterr().out
    assert "xxxxxx-${record['x']}" in out
    assert "hunter2" not in out


def test_a_variable_that_is_called_like_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`logpipe config` masks its value wherever it stands."""
    monkeypatch.setenv("SOME_PASSWORD", "hunter2")
    path = tmp_path / "logpipe.conf"
    path.write_text("<match a>\n  @type stdout\n  note \"by #{ENV['SOME_PASSWORD']}\"\n</match>\n")
    assert main(["config", str(path)]) == 0
    assert capsys.readouterr().out == "<match a>\n  @type stdout\n  note by xxxxxx\n</match>\n"


def folders_of(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "logpipe.conf"
    path.write_text(text)
    found = check(Settings(path)).diagnostics
    return [each.message for each in found if each.code == "volatile-folder"]


BUFFERED = "<match a>\n@type file\npath /var/lib/x/out\n<buffer>\n@type {type}\n{path}\n</buffer>\n</match>\n"


def test_buffers_that_do_not_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under /tmp by whatever way, or in memory."""
    monkeypatch.setenv("FLUENT_BACKUP_DIR", "/var/lib/x/backup")
    link = tmp_path / "link"
    link.symlink_to("/tmp")  # noqa: S108 - it is what is warned of
    for path, why in (
        ("/tmp/buffer", "under /tmp"),  # noqa: S108 - as above
        ("/var/../tmp/buffer", "under /tmp"),
        (f"{link}/buffer", "under /tmp"),
        ("/dev/shm/buffer", "in memory (tmpfs)"),  # noqa: S108
    ):
        (message,) = folders_of(BUFFERED.format(type="file", path=f"path {path}"), tmp_path)
        assert f"the buffer {path} is {why}: a restart loses it" in message
    for kind, path in (("file", "path /var/lib/x/buffer"), ("file", "path /var/tmp/x"), ("memory", "")):
        assert folders_of(BUFFERED.format(type=kind, path=path), tmp_path) == []


def test_dead_letters_that_do_not_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fluentd's default is under /tmp; `root_dir` and the variable lead elsewhere; who keeps nothing has none."""
    monkeypatch.delenv("FLUENT_BACKUP_DIR", raising=False)
    text = BUFFERED.format(type="memory", path="")
    assert folders_of(text, tmp_path) == ["dead letters go to /tmp/fluent, which is under /tmp: a restart loses them"]
    assert folders_of(f"<system>\nroot_dir /var/lib/x\n</system>\n{text}", tmp_path) == []
    assert folders_of("<match a>\n@type null\n</match>\n", tmp_path) == []
    monkeypatch.setenv("FLUENT_BACKUP_DIR", "/var/lib/x")
    assert folders_of(text, tmp_path) == []


def test_the_example_for_kubernetes_keeps_dead_letters_on_the_node(tmp_path: Path) -> None:
    """In the folder that the pod mounts from its host."""
    texts = yaml.safe_load_all((EXAMPLES / "kubernetes/config.yaml").read_text())
    text = next(each for each in texts if each["kind"] == "ConfigMap")["data"]["td-agent.conf"]
    assert folders_of(text, tmp_path) == []
    pod = yaml.safe_load((EXAMPLES / "kubernetes/daemon-set.yaml").read_text())["spec"]["template"]["spec"]
    mounts = {each["mountPath"]: each["name"] for each in pod["containers"][0]["volumeMounts"]}
    volume = next(each for each in pod["volumes"] if each["name"] == mounts["/var/lib/logpipe"])
    assert "root_dir /var/lib/logpipe\n" in text
    assert volume["hostPath"]["path"] == "/var/lib/logpipe"
