"""Makes `Settings` from a command's arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from logpipe.cli.arguments import plugin_dirs
from logpipe.supervisor import Settings


def settings_from(path: str | Path, given: argparse.Namespace) -> Settings:
    """Return the settings given with -p and the arguments of `add_config_options`."""
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
