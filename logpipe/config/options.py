"""Settings, declared once: an `Options` class gives conversion, validation, lints, reference and masking.

A setting is a class attribute with an annotation (its type) and `param`, `argument`, `section`, `raw_section` or
`plugin_section` (its description and its default). `Options.read` fills an instance from an element and reports all
mistakes, not only the first.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final, Self, TypeAlias, dataclass_transform

from logpipe.config.compat import section_of
from logpipe.config.conversion import ambiguity, converter
from logpipe.config.declare import (
    ENGINE_PARAMS,
    REQUIRED,
    InvalidSetting,
    Setting,
    argument,
    as_diagnostic,
    describe,
    param,
    plugin_section,
    raw_section,
    section,
    verify,
)
from logpipe.config.diagnostic import Diagnostic, Position, Report, did_you_mean, error, warning
from logpipe.config.element import Element, Param, Unset
from logpipe.config.secrets import declared
from logpipe.config.values import InvalidRegexpError

PluginClass: TypeAlias = type[Any]
"""A plugin's class; the type is defined in a higher layer and cannot be imported here."""


@dataclass(frozen=True, slots=True)
class PluginConf:
    """A nested plugin section, read: from it a host builds a parser, a formatter or an output."""

    kind: str
    type: str
    plugin_class: PluginClass
    options: Options
    element: Element
    owned: Options | None = None
    """What the owner reads of this section itself, where its `plugin_section` says so."""


FindPlugin: TypeAlias = Callable[[str, str, Element, Report], PluginConf | None]
"""(kind, type, element, report) to a nested plugin's settings; reports an unknown type itself and returns None."""


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(param, argument, section, raw_section, plugin_section),
)
class Options:
    """The settings of one section. Instances are frozen."""

    _settings: ClassVar[dict[str, Setting]] = {}
    _own_settings: ClassVar[dict[str, Setting]] = {}
    """Those that the class declares itself; `_settings` has its bases' as well."""
    _extra: ClassVar[re.Pattern[str] | None] = None
    """Matches undeclared parameter names that the class handles itself (`format1` … `format20`)."""
    _refuses_unknown: ClassVar[bool] = False
    """Whether what is not declared is an error: where a misspelt word would let in others."""
    extra: ClassVar[Mapping[str, str]] = {}
    """The texts of the parameters that `_extra` matches, in file order."""
    _names: ClassVar[tuple[str, str] | None] = None
    """A setting that names another plugin, whose settings stand in the same section, and the kind of that plugin."""
    named: ClassVar[PluginConf | None] = None
    """That plugin."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Setting)}
        cls._own_settings = own
        cls._settings = {}
        for base in reversed(cls.__mro__):
            cls._settings |= vars(base).get("_own_settings", {})
        for name, each in own.items():
            if each.secret:
                declared.update(filter(None, (name, each.name, each.alias)))
        for name in own:
            delattr(cls, name)
        with suppress(NameError):  # a type that is defined below this class; the registry verifies again on load
            cls.verify(own)

    @classmethod
    def verify(cls, settings: Mapping[str, Setting] | None = None) -> None:
        """Check the declarations of the class: its settings, or some of them.

        Raises:
            TypeError: a setting has a type without a conversion, or a default of another type.
            NameError: a type is not defined, or not yet.
        """
        verify(cls.__name__, cls._settings if settings is None else settings, hints(cls), _is_section)

    def __init__(self, **given: Any) -> None:
        types = hints(type(self))
        for name, setting in self._settings.items():
            value = given.pop(name) if name in given else default_value(setting, types[name])
            if value is REQUIRED:
                raise TypeError(f"{type(self).__name__} needs {name}")
            object.__setattr__(self, name, value)
        if given:
            raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen")

    @classmethod
    def settings(cls) -> Mapping[str, Setting]:
        """Return every declared setting by attribute name."""
        return cls._settings

    @classmethod
    def read(cls, element: Element, report: Report, *, find: FindPlugin | None = None, strict: bool = False) -> Self:
        """Return the settings of `element`; every mistake goes to `report`, none is raised.

        A setting that could not be read has its default, or None: check the reports before using the result. `find`
        resolves nested plugin sections. With `strict` text that is not a number is refused where fluentd would read
        a part of it.
        """
        reader = _Reader(cls, element, report, find, strict=strict)
        options = object.__new__(cls)
        for name, value in reader.values():
            object.__setattr__(options, name, value)
        object.__setattr__(options, "extra", reader.extra())
        if cls._names is None:
            reader.report_unknown()
        elif not reader.failed:
            object.__setattr__(options, "named", reader.named(getattr(options, cls._names[0]), *cls._names))
        if not reader.failed:
            for found in options.check():
                invalid = found if isinstance(found, InvalidSetting) else InvalidSetting(found)
                reader.report(as_diagnostic(element, invalid))
        return options

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is wrong, or doubtful, in settings taken together; called when each by itself is valid."""
        return iter(())


_HINTS: Final[dict[type[Any], dict[str, Any]]] = {}


def hints(cls: type[Options]) -> dict[str, Any]:
    """Return the type of each setting of `cls`."""
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def default_value(setting: Setting, hint: Any) -> Any:
    """Return a setting's default as a value of its type; text is converted as if a user had written it."""
    if setting.role in {"section", "plugin", "raw"}:
        return [] if setting.many else None
    if isinstance(setting.default, str):
        return (setting.convert or converter(hint))(setting.default)
    if isinstance(setting.default, (list, dict)):
        return setting.default.copy()
    return setting.default


class _Reader:
    """Reads one element into the values of one Options class."""

    def __init__(
        self, cls: type[Options], element: Element, report: Report, find: FindPlugin | None, *, strict: bool
    ) -> None:
        self._cls = cls
        self._element = element
        self._report = report
        self._find = find
        self._strict = strict
        self.failed = False

    def values(self) -> Iterator[tuple[str, Any]]:
        types = hints(self._cls)
        for name, setting in self._cls.settings().items():
            word = setting.name or name
            match setting.role:
                case "param":
                    yield name, self._param(word, setting, types[name])
                case "argument":
                    yield name, self._argument(setting, types[name])
                case "section":
                    yield name, self._sections(word, setting, types[name])
                case "raw":
                    yield name, list(self._element.sections(word))
                case "plugin":
                    yield name, self._plugins(word, setting)

    def report(self, diagnostic: Diagnostic) -> None:
        """Pass a diagnostic on, with the `@include` lines that led to its place."""
        self.failed = self.failed or diagnostic.severity == "error"
        if self._element.included_from and not diagnostic.included_from:
            diagnostic = replace(diagnostic, included_from=self._element.included_from)
        self._report(diagnostic)

    def _error(self, code: str, message: str, position: Position, hint: str = "") -> None:
        self.report(error(code, f"{describe(self._element)}: {message}", position, hint))

    def _param(self, word: str, setting: Setting, hint: Any) -> Any:
        given = self._element.params.get(word)
        if given is None and setting.alias:
            given = self._element.params.get(setting.alias)
        if given is not None:
            self._lint(given, setting)
        if given is None or given.value is Unset.DEFAULT:
            return self._default(word, setting, hint, given)
        return self._convert(given, setting, hint)

    def _default(self, word: str, setting: Setting, hint: Any, given: Param | None) -> Any:
        if (text := self._element.defaults.get(word)) is not None:
            return self._converted(text, setting, hint)
        value = default_value(setting, hint) if word not in self._element.defaults else None
        if value is not REQUIRED:
            return value
        if given is not None:
            self._error("no-default", f'"{word}" has no default: write its value', given.value_position)
        elif not setting.removed:
            self._error(
                "missing-parameter", f'"{word}" is required: {setting.doc}', self._element.position, f"add: {word} …"
            )
        return None

    def _lint(self, given: Param, setting: Setting) -> None:
        if setting.removed:
            self._error("removed-parameter", f'"{given.name}" was removed', given.position, setting.removed)
        elif setting.deprecated:
            message = f'{describe(self._element)}: "{given.name}" is deprecated'
            self.report(warning("deprecated-parameter", message, given.position, setting.deprecated))

    def _convert(self, given: Param, setting: Setting, hint: Any) -> Any:
        if given.value is None:
            if setting.default is not None:
                self._error("nil-parameter", f'"{given.name}" is required but nil is specified', given.value_position)
            return None
        assert isinstance(given.value, str)  # noqa: S101 - Unset was handled by the caller
        try:
            value = self._converted(given.value, setting, hint)
        except ValueError as problem:
            place = given.place(problem.offset) if isinstance(problem, InvalidRegexpError) else given.value_position
            self._error("invalid-value", f'"{given.name}": {problem}', place)
            return None
        if setting.no_effect and value != default_value(setting, hint) and value is not False:
            message = f'{describe(self._element)}: "{given.name}" has no effect yet'
            self.report(warning("no-effect-yet", message, given.value_position, setting.no_effect))
        if not (setting.convert or setting.secret or (not given.value and setting.default is None)):
            self._lint_reading(given, value, hint)
        return value

    def _lint_reading(self, given: Param, value: Any, hint: Any) -> None:
        if found := ambiguity(str(given.value), value, hint):
            message = f'{describe(self._element)}: "{given.name}": "{given.value}" is {found[0]}'
            self.report(warning("misread-value", message, given.value_position, found[1]))

    def _converted(self, text: str, setting: Setting, hint: Any) -> Any:
        value = (setting.convert or converter(hint, strict=self._strict))(text)
        if value is None and setting.default is not None:
            # compat: fluentd's bool turns on, 1 and TRUE into nil, which only a nil default accepts
            raise ValueError(f"{text!r} is neither true nor false: write true or false")
        return value

    def _argument(self, setting: Setting, hint: Any) -> Any:
        if not self._element.arg:
            value = default_value(setting, hint)
            if value is REQUIRED:
                self._error("missing-argument", f"an argument is required: {setting.doc}", self._element.position)
                return None
            return value
        try:
            return converter(hint)(self._element.arg)
        except ValueError as problem:
            self._error("invalid-argument", str(problem), self._element.arg_position)
            return None

    def _sections(self, word: str, setting: Setting, hint: Any) -> Any:
        found = self._found(word, setting)
        cls = options_class(hint)
        for element in found:
            element.defaults = setting.defaults_for(element)
        read = [cls.read(element, self.report, find=self._find, strict=self._strict) for element in found]
        if setting.many:
            return read
        if read:
            return read[0]
        return None if _optional(hint) else cls.read(Element(word, position=self._element.position), self.report)

    def _found(self, word: str, setting: Setting) -> list[Element]:
        found = list(self._element.sections(word))
        if not found and setting.required:
            self._error("missing-section", f"<{word}> section is required: {setting.doc}", self._element.position)
        if len(found) > 1 and not setting.many:
            self._error("repeated-section", f"<{word}> cannot be written twice", found[1].position)
        return found

    def _plugins(self, word: str, setting: Setting) -> Any:
        found = self._found(word, setting)
        if not found and setting.default_type:
            found = [Element(word, position=self._element.position)]
        confs = [conf for element in found if (conf := self._plugin(element, word, setting)) is not None]
        return confs if setting.many else confs[0] if confs else None

    def _plugin(self, element: Element, word: str, setting: Setting) -> PluginConf | None:
        given = element.params.get(setting.type_param)
        if given is not None:
            element = replace(element, params={**element.params, "@type": replace(given, name="@type")})
        if setting.plugin_kind == "parser":
            element.spell_out_regexp()
        kind_of_plugin = element.type or setting.default_type
        element.defaults = setting.defaults_for(element)
        if not kind_of_plugin:
            self._error("missing-type", f'<{word}> needs an "@type"', element.position)
            return None
        if self._find is None:
            raise LookupError(f"<{word}> holds a plugin: give read() a find function")
        find = self._find if setting.owned is None else partial(self._find_owned, setting.owned)
        conf = find(setting.plugin_kind, kind_of_plugin, element, self.report)
        self.failed = self.failed or conf is None
        return conf

    def _find_owned(self, owned: type[Options], kind: str, name: str, element: Element, _: Report) -> PluginConf | None:
        """Read a section of which some parameters are the owner's; it is left as it was written."""
        assert self._find is not None  # noqa: S101 - the caller has looked
        mine = element.split({setting.name or attribute for attribute, setting in owned.settings().items()})
        conf = self._find(kind, name, element, self.report)
        element.params |= mine.params
        read = owned.read(mine, self.report, strict=self._strict)
        return None if conf is None else replace(conf, owned=read)

    def named(self, type_name: str, attribute: str, kind: str) -> PluginConf | None:
        """Read the section once more, as that of the plugin that a setting names; what is unknown is unknown there."""
        if self._find is None:
            raise LookupError(f"{attribute} names a plugin: give read() a find function")
        own = {setting.name or name for name, setting in self._cls.settings().items()}
        written = self._element.params.items()
        params = {name: replace(given, is_copy=given.is_copy or name in own) for name, given in written}
        if (given := params.pop(attribute, None)) is not None:
            params["@type"] = replace(given, name="@type")
        conf = self._find(kind, type_name, replace(self._element, params=params), self.report)
        self.failed = self.failed or conf is None
        return conf

    def extra(self) -> dict[str, str]:
        pattern = self._cls._extra  # noqa: SLF001 - a class attribute of the class being read
        texts = ((name, given.value) for name, given in self._element.params.items())
        return {name: text for name, text in texts if pattern and isinstance(text, str) and pattern.fullmatch(name)}

    def report_unknown(self) -> None:
        settings = self._cls.settings().items()
        params = {setting.name or name for name, setting in settings if setting.role == "param"}
        params |= {setting.alias for _, setting in settings if setting.alias}
        extra = self._cls._extra  # noqa: SLF001 - a class attribute of the class being read
        for name, given in self._element.params.items():
            is_known = name in params or name in ENGINE_PARAMS or (extra and extra.fullmatch(name))
            if not is_known and not given.is_copy:
                self._unknown("parameter", f'parameter "{name}"', name, params, given.position)
        sections = {setting.name or name for name, setting in settings if setting.role in {"section", "raw", "plugin"}}
        for element in self._element.elements:
            if element.name not in sections and element.name not in ENGINE_SECTIONS:
                self._unknown("section", f"section <{element.name}>", element.name, sections, element.position)

    def _unknown(self, what: str, subject: str, name: str, known: set[str], position: Position) -> None:
        message = f"{describe(self._element)}: {subject} is not used"
        hint = did_you_mean(name, known) or self._section_hint(name)
        report = error if self._cls._refuses_unknown else warning  # noqa: SLF001 - a class attribute of the class being read
        self.report(report(f"unknown-{what}", message, position, hint))

    def _section_hint(self, name: str) -> str:
        """Return a hint to move a flat parameter of 0.12 into its section, where the user has written that section."""
        section = section_of(name)
        return f"move it into <{section}>" if any(self._element.sections(section)) else ""


ENGINE_SECTIONS: Final = frozenset({"buffer", "secondary", "@include"})
"""Sections that the engine reads and reports where they are misplaced."""


def options_class(hint: Any) -> type[Options]:
    """Return the Options class in `Class`, `Class | None` or `list[Class]`."""
    return next(item for item in (hint, *typing.get_args(hint)) if isinstance(item, type) and issubclass(item, Options))


def _is_section(hint: Any) -> bool:
    return any(isinstance(item, type) and issubclass(item, Options) for item in (hint, *typing.get_args(hint)))


def _optional(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)
