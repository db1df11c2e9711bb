"""What the command line says about reading a configuration, as the rest of the program takes it."""

from __future__ import annotations

import argparse
from pathlib import Path

from logpipe.cli.arguments import plugin_dirs
from logpipe.supervisor import Settings


def reading(path: str | Path, given: argparse.Namespace) -> Settings:
    """Return what was given with -p and with the arguments of `add_reading`."""
    return Settings(
        Path(path),
        plugin_dirs=plugin_dirs(given.plugin),
        load_path=tuple(given.load_path),
        require=tuple(given.require),
        inline=given.inline_config,
        dialect="v0" if given.use_v0_config else "v1",
        compat=given.compat,
        file_type=given.config_file_type,
        encoding=given.conf_encoding,
        allow_http_include=given.allow_http_include,
        strict_values=given.strict_config_value,
    )
