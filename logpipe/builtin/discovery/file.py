"""`<service_discovery> @type file`: services in a file of YAML or JSON. Settings: fluentd's plugin/sd_file.rb."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import orjson

from logpipe import Host, InvalidSetting, LogpipeError, Options, param
from logpipe.builtin.discovery.service_options import HIGHEST_PORT, MOST_WEIGHT
from logpipe.discovery import Service, ServiceDiscovery

SECONDS: Final = 1.0
"""Between two looks at the file."""
LARGEST: Final = 4 * 1024 * 1024
WEIGHT: Final = 60
DEFAULT_PATH: Final = os.environ.get("DEFAULT_SD_FILE_PATH") or "/etc/fluent/sd.yaml"


class FileOptions(Options):
    """Settings of `@type file`."""

    path: str = param(
        "A list of services in YAML, or in JSON where the name ends in `.json`: `host` and `port` of each, and where "
        "they are needed `name`, `weight`, `standby`, `username`, `password`, `shared_key`. It is read again when it "
        "has changed; while it is wrong, the last services are used.",
        default=DEFAULT_PATH,
    )
    conf_encoding: str = param("Encoding of the file.", default="utf-8")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield an encoding that there is not."""
        try:
            codecs.lookup(self.conf_encoding)
        except LookupError:
            message = f"conf_encoding {self.conf_encoding!r} is no encoding: write utf-8"
            yield InvalidSetting(message, param="conf_encoding")


class ServiceFileError(LogpipeError):
    """The file is no list of services."""


class FileDiscovery(ServiceDiscovery[FileOptions], type="file"):
    """Finds the services that are in a file."""

    def __init__(self, options: FileOptions, host: Host) -> None:
        super().__init__(options, host)
        self._path = Path(options.path)
        self._seen: Any = None

    async def start(self) -> None:
        """Look whether the file can be read.

        Raises:
            ServiceFileError: it cannot; fluentd does not start either.
        """
        await self.host.in_thread(self._read)

    async def find(self) -> Sequence[Service]:
        """Read the file."""
        self._seen = await self.host.in_thread(self._look)
        return await self.host.in_thread(self._read)

    async def changed(self) -> None:
        """Wait for another file, or another content."""
        while await self.host.in_thread(self._look) == self._seen:
            await self.host.clock.sleep(SECONDS)

    def _look(self) -> Any:
        """Return what tells the file from a later one; None while there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def _read(self) -> list[Service]:
        try:
            with self._path.open("rb") as file:
                data = file.read(LARGEST + 1)
        except OSError as problem:
            raise ServiceFileError(f"{self._path}: {(problem.strerror or str(problem)).lower()}") from None
        if len(data) > LARGEST:
            raise ServiceFileError(f"{self._path} has more than {LARGEST} bytes: give a shorter list")
        try:
            value = self._parsed(data.decode(self.options.conf_encoding))
        except (ValueError, RecursionError) as problem:
            raise ServiceFileError(f"{self._path}: {problem}") from None
        if not isinstance(value, list):
            raise ServiceFileError(f"{self._path} is no list: write `- host: HOST` and `  port: PORT` for each service")
        return [self._service(number, each) for number, each in enumerate(value, 1)]

    def _parsed(self, text: str) -> Any:
        if self._path.name.partition(".")[2] == "json":
            return orjson.loads(text)
        try:
            yaml: Any = import_module("yaml")
        except ImportError:
            raise ServiceFileError(f"{self._path} is YAML: pip install PyYAML, or give a .json file") from None
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as problem:
            raise ValueError(str(problem).replace("\n", " ")) from None

    def _service(self, number: int, value: Any) -> Service:
        try:
            return _service(value)
        except (KeyError, TypeError, ValueError) as problem:
            text = f"{problem.args[0]} is missing" if isinstance(problem, KeyError) else str(problem)
            raise ServiceFileError(f"{self._path}: service {number}: {text}") from None


def _service(value: Any) -> Service:
    if not isinstance(value, dict):
        raise TypeError("it is no map: write `host: HOST` and `port: PORT`")
    return Service(
        _text(value, "host", value["host"]),
        _number(value, "port", value["port"], HIGHEST_PORT),
        _text(value, "name", ""),
        _number(value, "weight", WEIGHT, MOST_WEIGHT),
        _flag(value, "standby"),
        _text(value, "username", ""),
        _text(value, "password", ""),
        _text(value, "shared_key", "") or None,
    )


def _text(value: dict[str, Any], name: str, default: str) -> str:
    found = value.get(name)
    if found is None:
        return default
    if not isinstance(found, (str, int)) or isinstance(found, bool):
        raise TypeError(f"{name} is no text")
    return str(found)


def _number(value: dict[str, Any], name: str, default: int, most: int) -> int:
    found = value.get(name, default)
    if isinstance(found, str) and found.isdecimal():
        found = int(found)
    if type(found) is not int or not 0 <= found <= most:
        raise TypeError(f"{name} is no number from 0 to {most}")
    return found


def _flag(value: dict[str, Any], name: str) -> bool:
    found = value.get(name)
    if not isinstance(found, bool | None):
        raise TypeError(f"{name} is neither true nor false")
    return bool(found)
