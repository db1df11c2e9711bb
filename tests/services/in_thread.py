"""Asynchronous servers for tests that are not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def in_thread(open_context: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Keep an asynchronous context open in an event loop in a thread of its own; gives what the context does."""
    started: Future[tuple[T, Callable[[], object]]] = Future()

    async def serve() -> None:
        closing = asyncio.Event()
        close = partial(asyncio.get_running_loop().call_soon_threadsafe, closing.set)
        try:
            async with open_context() as value:
                started.set_result((value, close))
                await closing.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        value, close = started.result()
    except BaseException:
        thread.join()
        raise
    try:
        yield value
    finally:
        close()
        thread.join()
