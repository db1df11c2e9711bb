"""Warnings about `<buffer>` and `<secondary>`: what works, but not as it reads. Words: fluentd's plugin/output.rb."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from logpipe.config.buffer_options import BufferOptions
from logpipe.config.declare import Setting, describe
from logpipe.config.diagnostic import Report, error, warning
from logpipe.config.element import Element
from logpipe.config.options import PluginConf
from logpipe.plugin import Output

MANY_KEYS: Final = 4

# compat: what output.rb's PlaceholderValidator takes for a placeholder
_DIRECTIVE: Final = re.compile(r"%[-0^#_:]*\d*[A-Za-z]")
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]+)\}")
_TAG: Final = re.compile(r"tag(?:\[-?\d+\])?")


def lint_repeated(output: PluginConf, report: Report) -> None:
    """Report a second `<buffer>` or `<secondary>`, of which fluentd takes neither."""
    declared = output.plugin_class.options_class.settings()  # what an output declares itself was looked at already
    for name in ("buffer", "secondary"):
        for again in list(output.element.sections(name))[1:] if name not in declared else ():
            message = f"{output.element.title}: <{name}> cannot be written twice"
            report(error("repeated-section", message, again.position, "put everything into one"))


def lint_buffer(options: BufferOptions, element: Element, given: Collection[str], report: Report) -> None:
    """Report what of a `<buffer>` has no effect, or more than is good; `given` are the parameters the user wrote."""
    if len(options.chunk_keys) >= MANY_KEYS:
        message = f"{element.title}: many chunk keys specified, and it may cause too many chunks on your system"
        report(warning("many-chunk-keys", message, element.arg_position, "group by what few events differ in"))
    if options.chunk_limit_size > options.limit:
        message = (
            f"{element.title}: chunk_limit_size is larger than the whole buffer may be, so that no chunk gets full"
        )
        found = element.params.get("chunk_limit_size") or element.params.get("total_limit_size")
        place = element.position if found is None else found.position
        report(
            warning("unfillable-chunk", message, place, f"chunks are queued by age alone up to {options.limit} bytes")
        )
    if "flush_interval" not in given or options.mode == "interval":
        return
    place = element.params["flush_interval"].position
    if "flush_mode" not in given:
        message = f"'flush_interval' is ignored because default 'flush_mode' is not 'interval': '{options.mode}'"
        report(warning("ignored-parameter", f"{element.title}: {message}", place, "add: flush_mode interval"))
    else:
        message = f"'flush_interval' can't be specified when 'flush_mode' is '{options.flush_mode}'"
        report(error("contradiction", f"{element.title}: {message}", place, "remove one of the two"))


def lint_secondary(
    options: BufferOptions, primary: Output[Any], secondary: Output[Any], element: Element, report: Report
) -> None:
    """Report a `<secondary>` that is hardly ever used, or may not be able to read what it gets."""
    if options.retry_forever:
        message = "<secondary> with 'retry_forever', only unrecoverable chunks are moved to secondary"
        report(warning("idle-secondary", message, element.position))
    encodes = primary.encode is not None or secondary.encode is not None
    if encodes and type(primary) is not type(secondary) and not secondary.takes_any_chunk:
        message = "Use different plugin for secondary. Check the plugin works with primary like secondary_file"
        hint = f"primary: {primary.types[0]}, secondary: {secondary.types[0]}"
        report(warning("doubtful-secondary", message, element.position, hint))


def lint_placeholders(conf: PluginConf, chunk_keys: Sequence[str], report: Report) -> None:
    """Report placeholders that no chunk key serves: an error where the output says that it fills them.

    Elsewhere nobody knows what `${tag}` is for; that it is meant to be filled is likely enough to ask.
    """
    settings = conf.plugin_class.options_class.settings()
    by_word = {setting.name or name: setting for name, setting in settings.items() if setting.role == "param"}
    for word, given in conf.element.params.items():
        setting = by_word.get(word)
        if setting is None or not isinstance(given.value, str):
            continue
        for problem in _unserved(given.value, chunk_keys, setting):
            message = f"{describe(conf.element)}: {word} ({given.value}) {problem}"
            if setting.placeholders:
                report(error("invalid-value", message, given.value_position, "add the chunk key, <buffer KEY,…>"))
            else:
                report(warning("unserved-placeholder", message, given.value_position, "it goes out as it is written"))


def _unserved(text: str, chunk_keys: Sequence[str], setting: Setting) -> Iterator[str]:
    found = _PLACEHOLDER.findall(text)
    tags = [name for name in found if _TAG.fullmatch(name)]
    if tags and "tag" not in chunk_keys:
        yield "has tag placeholders, but chunk key 'tag' is not configured"
    if not setting.placeholders:
        return
    if "time" not in chunk_keys and _DIRECTIVE.search(text):
        yield "has timestamp placeholders, but chunk key 'time' is not configured"
    if unknown := [name for name in found if name not in {*tags, *chunk_keys, "chunk_id"}]:
        yield f"has placeholders, but chunk keys doesn't have keys {','.join(unknown)}"
