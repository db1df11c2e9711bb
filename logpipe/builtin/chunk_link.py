"""The symbolic link to the file of a buffer's newest chunk. Settings: fluentd's plugin/out_file.rb."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path

from logpipe import Chunk, OutputHost, PermanentError


class ChunkLink:
    """Points to the newest chunk: of those of the latest time slice so far, the one that was begun last.

    Something other than a link at its path is not replaced. This and any other problem with the link is logged, and
    does not affect the events.

    Args:
        template: the link's path, with placeholders.
        is_relative: whether its target is relative to its own folder.
        host: of the output.
    """

    def __init__(self, template: str, *, is_relative: bool, host: OutputHost) -> None:
        self._template = template
        self._is_relative = is_relative
        self._host = host
        self._newest = 0
        self._in_turn = asyncio.Lock()
        self._is_wrong = False

    async def lead_to(self, chunk: Chunk, file: Path | None) -> None:
        """Point the link to the file of a chunk that was just begun; None where it has none."""
        # compat: out_file.rb makes no link without the chunk key time
        if chunk.key.timekey is not None:
            if chunk.key.timekey < self._newest:
                return
            self._newest = chunk.key.timekey
        if file is None:
            self._warn("a buffer in memory has no files")
            return
        async with self._in_turn:
            try:
                path = Path(self._host.expand(self._template, chunk))
                await self._host.in_thread(self._link, path, file, chunk.id)
            except (OSError, PermanentError) as error:
                self._warn(error)
            else:
                self._is_wrong = False

    def _warn(self, problem: object) -> None:
        if not self._is_wrong:
            self._host.log.warning("symlink_path %s is not made: %s", self._template, problem)
        self._is_wrong = True

    def _link(self, path: Path, file: Path, name: str) -> None:
        self._host.files.make_folder(path.parent)
        target = file.absolute()
        if self._is_relative:  # folders may be links themselves
            target = Path(os.path.relpath(target.parent.resolve() / target.name, path.parent.resolve()))
        with contextlib.suppress(FileExistsError):
            path.symlink_to(target)
            return
        if not path.is_symlink():
            raise FileExistsError(errno.EEXIST, "there is something that is no link: move it away", str(path))
        new = path.with_name(f".{name}.link")
        new.symlink_to(target)
        try:
            new.replace(path)
        except OSError:
            new.unlink()
            raise
