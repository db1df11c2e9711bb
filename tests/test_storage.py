"""What stages keep over a restart."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from logpipe import InvalidSetting, LogpipeError
from logpipe.builtin.in_sample import Sample
from logpipe.storage import Storage, StorageOptions
from logpipe.testing import ManualClock, drive
from logpipe.testing.fake_host import FakeHost


async def opened(host: FakeHost | None = None, **settings: Any) -> Storage:
    """Return a storage that has started."""
    storage = Storage(StorageOptions(**settings), host or FakeHost())
    await storage.start()
    return storage


async def test_values_are_there_after_a_restart(tmp_path: Path) -> None:
    """What was put, changed and removed, saved at the end."""
    host, path = FakeHost(), tmp_path / "new" / "s.json"
    storage = await opened(host, path=str(path))
    await storage.put("a", {"b": [1, None, "ü"]})
    assert await storage.update("n", lambda old: (old or 0) + 1) == 1
    assert await storage.update("n", lambda old: (old or 0) + 1) == 2
    await storage.put("gone", 1)
    assert await storage.delete("gone") == 1
    assert not path.exists()
    await storage.stop()
    await host.cancel_tasks()
    again = await opened(path=str(path), autosave=False)
    assert (again.get("a"), again.get("n"), again.get("gone", "default")) == ({"b": [1, None, "ü"]}, 2, "default")


@pytest.mark.parametrize(
    ("settings", "is_saved"),
    [
        ({"persistent": True}, True),
        ({"autosave": False}, False),
        ({"autosave": False, "save_at_shutdown": False}, False),
    ],
)
async def test_when_it_is_saved(settings: dict[str, Any], tmp_path: Path, *, is_saved: bool) -> None:
    """With persistent before `put` returns, and at the end unless told otherwise."""
    path = tmp_path / "s.json"
    storage = await opened(path=str(path), **settings)
    await storage.put("a", 1)
    assert path.exists() == is_saved
    await storage.stop()
    assert path.exists() == settings.get("save_at_shutdown", True)


async def test_autosave(tmp_path: Path) -> None:
    """Every interval, what has changed; what fails is logged, and saved the next time."""
    clock = ManualClock()
    host = FakeHost(clock=clock)
    path = tmp_path / "folder" / "s.json"
    storage = await opened(host, path=str(path), autosave_interval=3)
    await storage.put("a", 1)
    path.parent.rmdir()
    path.parent.write_text("")
    await clock.advance(3)
    path.parent.unlink()
    path.parent.mkdir()
    await storage.save()
    assert json.loads(path.read_text()) == {"a": 1}
    await host.cancel_tasks()


@pytest.mark.parametrize(
    ("given", "root", "usage", "file"),
    [
        ("s.json", None, "u", "s.json"),
        ("there", None, "u", "there"),
        ("folder", None, "u", "folder/worker0/storage.json"),
        ("folder.json", None, "u", "folder.json/worker0/storage.json"),
        (None, "root", "u", "root/storage.u.json"),
        (None, "root", "", "root/storage.json"),
    ],
)
async def test_its_place(given: str | None, root: str | None, usage: str, file: str, tmp_path: Path) -> None:
    """A file, or a folder with one for each worker, or the stage's own below root_dir."""
    (tmp_path / "there").write_text("{}")
    (tmp_path / "folder.json").mkdir()
    host = FakeHost()
    host.root_dir = tmp_path / root if root else None
    path = str(tmp_path / given) if given else None
    storage = await opened(host, path=path, usage=usage, persistent=True)
    await storage.put("a", 1)
    assert json.loads((tmp_path / file).read_text()) == {"a": 1}


async def test_modes_and_layout(tmp_path: Path) -> None:
    """As asked for."""
    storage = await opened(path=str(tmp_path / "d"), mode=0o600, dir_mode=0o700, persistent=True, pretty_print=True)
    await storage.put("a", 1)
    path = tmp_path / "d" / "worker0" / "storage.json"
    assert path.read_text() == '{\n  "a": 1\n}'
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]


@pytest.mark.parametrize(("content", "message"), [("[1]", "holds no JSON object"), ("{", "is not JSON")])
async def test_a_file_that_is_something_else(content: str, message: str, tmp_path: Path) -> None:
    """It is neither used nor overwritten; an empty one is as none."""
    path = tmp_path / "s.json"
    path.write_text(content)
    storage = Storage(StorageOptions(path=str(path)), FakeHost())
    with pytest.raises(LogpipeError, match=message):
        await storage.start()
    await storage.stop()
    assert path.read_text() == content
    path.write_text("")
    assert (await opened(path=str(path), autosave=False)).get("a") is None


async def test_without_a_place() -> None:
    """In memory; who asks for persistent is told."""
    storage = await opened()
    await storage.put("a", 1)
    assert (storage.get("a"), storage.is_kept) == (1, False)
    with pytest.raises(InvalidSetting, match="persistent needs a path"):
        Storage(StorageOptions(persistent=True), FakeHost())
    with pytest.raises(TypeError):
        await storage.put("b", b"no JSON")
    assert storage.get("b") is None


async def test_a_file_is_not_shared() -> None:
    """Neither by two stages nor by workers."""
    host = FakeHost()
    host.workers = 2
    with pytest.raises(InvalidSetting, match="give a folder"):
        Storage(StorageOptions(path="s.json"), host)
    Storage(StorageOptions(path="s"), host)
    assert host.claims == {("storage", "s")}


@pytest.mark.parametrize("persistent", ["true", "false"])
async def test_the_numbers_of_sample_go_on(persistent: str, tmp_path: Path) -> None:
    """After a restart, and after fluentd, whose file it is."""
    path = tmp_path / "s.json"
    path.write_text('{"increment_value":0,"dummy_index":0,"auto_increment_value":6}')
    numbers: list[int] = []
    for _ in range(2):
        clock = ManualClock()
        conf = f"tag t\nauto_increment_key n\nsize 2\n<storage>\npath {path}\npersistent {persistent}\n</storage>"
        async with drive(Sample, conf, clock=clock) as stage:
            await stage.wait_for(lambda stage=stage: stage.records())  # type: ignore[misc]
            numbers += [record["n"] for record in stage.records()]
    assert numbers == list(range(7, 7 + len(numbers)))
    assert json.loads(path.read_text()) == {"increment_value": 0, "dummy_index": 0, "auto_increment_value": numbers[-1]}
