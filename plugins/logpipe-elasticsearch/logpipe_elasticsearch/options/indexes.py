"""Settings that say how indexes are set up: templates, aliases, and policies of their lives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logpipe import InvalidSetting, Options, Seconds, param
from logpipe_elasticsearch.options.connection import text_or_none


class TemplateOptions(Options):
    """Index templates."""

    template_name: str | None = param(
        "Name of the index template to install from `template_file`, with placeholders.",
        default=None,
        convert=text_or_none,
    )
    template_file: str | None = param("File with it, JSON.", default=None, convert=text_or_none)
    template_overwrite: bool = param("Install it though there is one of that name.", default=False)
    customize_template: dict[str, str] | None = param(
        "Texts of the file to replace, and by what, with placeholders.", default=None
    )
    templates: dict[str, str] | None = param("More templates to install, names and files.", default=None)
    use_legacy_template: bool = param(
        "Install legacy templates (`_template`) in place of composable ones (`_index_template`).", default=True
    )
    max_retry_putting_template: int = param(
        "With `fail_on_putting_template_retry_exceed false`, attempts after which chunks are sent without it.",
        default=10,
    )
    fail_on_putting_template_retry_exceed: bool = param(
        "Whether nothing is sent until templates, policies and aliases are there; each attempt of a chunk tries again, "
        "where the plugin's own start fails in the end.",
        default=True,
    )
    index_separator: str = param("What stands between the parts of an index's name.", default="-")
    index_date_pattern: str = param("Date math of a rollover index's name; empty for none.", default="now/d")
    application_name: str = param("A part of a rollover index's name.", default="default")
    truncate_caches_interval: Seconds | None = param(
        "Seconds after which it is looked again whether what was set up is there; unset: never.", default=None
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be used."""
        yield from super().check()
        if self.max_retry_putting_template < 0:
            message = "'max_retry_putting_template' must be greater than or equal to zero."  # compat
            yield InvalidSetting(message, param="max_retry_putting_template")


class LifecycleOptions(TemplateOptions):
    """Templates, rollover aliases, and Index Lifecycle Management."""

    rollover_index: bool = param("Create a rollover index and its alias, with `template_name`.", default=False)
    deflector_alias: str | None = param(
        "The alias; unset: the index that documents are written to.", default=None, convert=text_or_none
    )
    index_prefix: str = param(
        "What a rollover index begins with.",
        default="logstash",
        removed="write `index_name`, or `logstash_prefix` with `logstash_format`",
    )
    enable_ilm: bool = param("Have the life of indexes managed by a policy.", default=False)
    ilm_policy_id: str = param("The policy's name, with placeholders.", default="logstash-policy")
    ilm_policy: dict[str, Any] = param("The policy; unset: roll over at 50 GB or 30 days.", default={})
    ilm_policies: dict[str, Any] = param("Policies by name, in place of `ilm_policy`.", default={})
    ilm_policy_overwrite: bool = param("Install it though there is one of that name.", default=False)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what contradicts another."""
        yield from super().check()
        # compat: the messages of out_elasticsearch.rb
        if self.ilm_policy and self.ilm_policies:
            message = "You can't specify ilm_policy and ilm_policies at the same time"
            yield InvalidSetting(message, param="ilm_policies")
        if self.template_name and self.template_file:
            if self.enable_ilm and self.deflector_alias:
                message = "deflector_alias is prohibited to use with enable_ilm at same time."
                yield InvalidSetting(message, param="deflector_alias", severity="warning")
            if not self.ilm_policy and self.ilm_policy_overwrite:
                message = "ilm_policy_overwrite requires a non empty ilm_policy."
                yield InvalidSetting(message, param="ilm_policy_overwrite", severity="warning")
