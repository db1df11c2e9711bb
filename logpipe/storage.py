"""A door for stages that remember a few values over a restart: `<storage>`, fluentd's plugin/storage_local.rb.

A stage declares `storage: StorageOptions | None = section("…")`, makes a `Storage` in its constructor, awaits its
`start` and `stop` from its own, and has a table of JSON values in between. What must survive a kill -9 exactly is no
matter for this: without `persistent` the last seconds are not in the file.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

from logpipe.config.conversion import FileMode, Seconds
from logpipe.config.declare import InvalidSetting, argument, param
from logpipe.config.options import Options
from logpipe.durable import Disk
from logpipe.errors import LogpipeError
from logpipe.plugin import Host

_USAGE: Final = re.compile(r"[a-zA-Z][-_.a-zA-Z0-9]*")


class StorageOptions(Options):
    """Settings of `<storage USAGE>`."""

    usage: str = argument("What it is used for, which becomes a part of the file's name below `root_dir`.", default="")
    type: Literal["local"] = param("`local`, which is a file of this machine.", name="@type", default="local")
    path: str | None = param(
        "The file, if it is there or ends with `.json`; else a folder, where the file is `workerN/storage.json`. "
        "Without it the file is in the stage's folder below `root_dir`, where it has an `@id`; else nothing is saved.",
        default=None,
    )
    persistent: bool = param("Save at each change, before anything else happens.", default=False)
    autosave: bool = param("Save every `autosave_interval` what has changed.", default=True)
    autosave_interval: Seconds = param("How often `autosave` saves.", default="10s")
    save_at_shutdown: bool = param("Save at the end, too.", default=True)
    mode: FileMode | None = param("Mode of the file, as chmod has it; unset: that of all files.", default=None)
    dir_mode: FileMode | None = param("Mode of folders that are made; unset: that of all folders.", default=None)
    pretty_print: bool = param("Write the file on several lines, for people.", default=False)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield an argument that is no name, and an interval that is none."""
        if self.usage and not _USAGE.fullmatch(self.usage):
            yield f"argument in <storage {self.usage}> uses invalid characters: begin with a letter, then a-z 0-9 - _ ."
        if self.autosave_interval <= 0:
            yield InvalidSetting("autosave_interval must be more than 0", param="autosave_interval")


class Storage:
    """A table of JSON values by name, kept in a file.

    The file is replaced as a whole and synced, so that the old one or the new one survives a crash. It is read at the
    start only, and belongs to one stage of one worker. Whoever has no place for it has the table in memory.

    Args:
        options: its section's; None where the user wrote none.
        host: of the stage.
        usage: its name where the section has none, or is not there.

    Raises:
        InvalidSetting: `persistent` without a place, or a file that several workers would share.
    """

    def __init__(self, options: StorageOptions | None, host: Host, *, usage: str = "") -> None:
        self._options = options or StorageOptions()
        self._host = host
        self._values: dict[str, Any] = {}
        self._path = self._place(self._options.usage if options is not None else usage)
        self._disk = Disk(host.files.given(self._options.mode, self._options.dir_mode), "storage")
        self._saving = asyncio.Lock()
        self._writing = threading.Lock()
        self._newest = 0
        self._is_loaded = self._has_changed = False

    def _place(self, usage: str) -> Path | None:
        given, host = self._options.path, self._host
        if given:
            if host.workers > 1 and given.endswith(".json"):
                raise InvalidSetting(
                    f"<storage> path {given} is a file, which {host.workers} workers cannot share: give a folder"
                )
            host.claim("storage", given)
            return Path(given)
        if host.root_dir is not None:
            return host.root_dir / (f"storage.{usage}.json" if usage else "storage.json")
        if self._options.persistent:
            raise InvalidSetting("<storage> with persistent needs a path, or the stage an @id and <system> a root_dir")
        return None

    @property
    def is_kept(self) -> bool:
        """Whether the values survive a restart."""
        return self._path is not None

    async def start(self) -> None:
        """Read the file, and save from now on as the settings say.

        Raises:
            LogpipeError: its content is no JSON object.
            OSError: it cannot be read, or its folder cannot be made.
        """
        if self._path is None:
            return
        self._path, self._values = await self._host.in_thread(self._load, self._path)
        self._is_loaded = True
        if self._options.autosave and not self._options.persistent:
            self._host.start_task(self._save_now_and_then(), name="storage")

    async def stop(self) -> None:
        """Save what has changed, unless `save_at_shutdown` is false; a failure is logged."""
        if self._options.save_at_shutdown and self._is_loaded:
            await self._try_to_save()

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or `default` where there is none."""
        return self._values.get(key, default)

    async def put(self, key: str, value: Any) -> None:
        """Set a value, which is JSON; with `persistent` it is in the file on return.

        Raises:
            OSError: it could not be saved, and is saved with the next change.
            TypeError: it cannot be written as JSON.
        """
        json.dumps(value)
        self._values[key] = value
        await self._changed()

    async def delete(self, key: str) -> Any:
        """Remove a key and return its value, None where it is not there. Raises what `put` raises."""
        value = self._values.pop(key, None)
        await self._changed()
        return value

    async def update(self, key: str, change: Callable[[Any], Any]) -> Any:
        """Set a value to what `change` makes of the old one, None where there is none, and return it. See `put`."""
        value = change(self._values.get(key))
        await self.put(key, value)
        return value

    async def save(self) -> None:
        """Write the file, where there is one and something has changed.

        Raises:
            OSError: it could not be written; the old one is there.
        """
        if not self._is_loaded or self._path is None:
            return
        async with self._saving:
            if not self._has_changed:
                return
            text = json.dumps(self._values, indent=2 if self._options.pretty_print else None)
            self._has_changed = False
            self._newest += 1
            try:
                await self._host.in_thread(self._write, self._newest, self._path, text.encode())
            except BaseException:
                self._has_changed = True
                raise

    def _write(self, number: int, path: Path, content: bytes) -> None:
        with self._writing:
            if number == self._newest:  # what nobody waits for any more may come to a thread after what is newer
                self._disk.replace(path, [content])

    async def _changed(self) -> None:
        self._has_changed = True
        if self._options.persistent:
            await self.save()

    async def _save_now_and_then(self) -> None:
        while True:
            await self._host.clock.sleep(self._options.autosave_interval)
            await self._try_to_save()

    async def _try_to_save(self) -> None:
        try:
            await self.save()
        except OSError as error:
            self._host.log.error("failed to save data for plugin storage to file: %s", error)  # noqa: TRY400

    def _load(self, path: Path) -> tuple[Path, dict[str, Any]]:
        # compat: storage_local.rb takes for a folder what is one, or is not there and has no .json
        if not path.is_file() and (path.is_dir() or path.suffix != ".json"):
            path = path / f"worker{self._host.worker_id}" / "storage.json"
        self._disk.make_folder(path.parent)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return path, {}
        if not content:
            self._host.log.warning("detect empty plugin storage file during startup. Ignored: %s", path)
            return path, {}
        try:
            values = json.loads(content)
        except (ValueError, RecursionError) as problem:
            raise LogpipeError(f"plugin storage file {path} is not JSON: {problem}; move it away") from None
        if not isinstance(values, dict):
            raise LogpipeError(f"plugin storage file {path} holds no JSON object: move it away")
        return path, values
