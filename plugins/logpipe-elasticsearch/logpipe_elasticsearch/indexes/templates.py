"""Index templates, rollover aliases and policies. Rules: elasticsearch_index_template.rb and its neighbours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from logpipe import DeliveryError, Host
from logpipe_elasticsearch.cluster.cluster import Cluster, ClusterError
from logpipe_elasticsearch.options.indexes import LifecycleOptions, TemplateOptions

DEFAULT_POLICY: Final = {
    "policy": {"phases": {"hot": {"actions": {"rollover": {"max_size": "50gb", "max_age": "30d"}}}}}
}
"""That of the plugin."""
_BAD_REQUEST: Final = 400


class Wanted(NamedTuple):
    """What is set up for the documents of a chunk, names filled in."""

    template: str
    customize: tuple[tuple[str, str], ...] = ()
    index_name: str = ""
    """The index, or what the index's name is made of."""
    alias: str = ""
    application: str = ""
    policy: str = ""


def in_path(name: str) -> str:
    """Return a name as a part of a URL's path."""
    return quote(name, safe="", errors="surrogateescape")


def read_template(path: str, customize: Mapping[str, str]) -> dict[str, Any]:
    """Return a template from its file, with some of its texts replaced.

    Raises:
        DeliveryError: there is no such file, or it is no template.
    """
    try:
        text = Path(path).read_text("utf-8").replace("\n", "")
    except (OSError, UnicodeDecodeError) as problem:
        # compat: the message of elasticsearch_index_template.rb
        message = "If you specify a template_name you must specify a valid template file"
        raise DeliveryError(f"{message} (checked '{path}')! {problem}") from None
    for old, new in customize.items():
        text = text.replace(old, new.lower())
    try:
        template = json.loads(text)
    except ValueError as problem:
        raise DeliveryError(f"{path} is no JSON: {problem}") from None
    if not isinstance(template, dict):
        raise DeliveryError(f"{path} is no template: write an object")
    return template


class Templates:
    """Installs templates, and with them aliases and policies.

    Args:
        options: the settings.
        host: the output's.
    """

    def __init__(self, options: TemplateOptions, host: Host) -> None:
        self._options = options
        self._lifecycle = options if isinstance(options, LifecycleOptions) else None
        self._host = host
        self._log = host.log
        self._kind = "_template" if options.use_legacy_template else "_index_template"

    async def install_listed(self, cluster: Cluster) -> None:
        """Install those of `templates`.

        Raises:
            DeliveryError: it does not go.
        """
        for name, file in (self._options.templates or {}).items():
            await self._install(cluster, name, await self._host.in_thread(read_template, file, {}))

    async def install(self, cluster: Cluster, wanted: Wanted) -> None:
        """Install a template, with its alias and policy where the settings want them.

        Raises:
            DeliveryError: it does not go.
        """
        lifecycle = self._lifecycle
        file = self._options.template_file or ""
        template = await self._host.in_thread(read_template, file, dict(wanted.customize))
        is_managed = lifecycle is not None and lifecycle.enable_ilm
        name = wanted.alias if is_managed else wanted.template
        await self._install(cluster, name, self._managed(template, wanted) if is_managed else template)
        if lifecycle is None or not (is_managed or lifecycle.rollover_index):
            return
        await self._create_alias(cluster, wanted)
        if is_managed:
            policies = lifecycle.ilm_policies or (
                {lifecycle.ilm_policy_id: lifecycle.ilm_policy} if lifecycle.ilm_policy else {}
            )
            own = policies.get(wanted.policy)
            overwrites = bool(own) and lifecycle.ilm_policy_overwrite
            await self.install_policy(cluster, wanted.policy, own or DEFAULT_POLICY, overwrites=overwrites)

    async def _install(self, cluster: Cluster, name: str, template: dict[str, Any]) -> None:
        path = f"/{self._kind}/{in_path(name)}"
        if not self._options.template_overwrite and await self.exists(cluster, path):
            self._log.debug("template %r is installed already", name)
            return
        await cluster.ask("PUT", path, template)
        self._log.info("template %r is installed", name)

    def _managed(self, template: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
        """Return a template with what has its indexes managed."""
        separator = self._options.index_separator
        rank = wanted.index_name.count(separator) + 1
        own = {"index.lifecycle.name": wanted.policy, "index.lifecycle.rollover_alias": wanted.alias}
        template["index_patterns"] = f"{wanted.index_name}{separator}*"
        if self._options.use_legacy_template:
            template.pop("template", None)
            template["settings"] = {**(template.get("settings") or {}), **own}
            template["order"] = (template.get("order") or 50) + rank
        else:
            template["index_patterns"] = [template["index_patterns"]]
            inner = template.setdefault("template", {})
            inner["settings"] = {**(inner.get("settings") or {}), **own}
            template["priority"] = (template.get("priority") or 100) + rank
        return template

    async def _create_alias(self, cluster: Cluster, wanted: Wanted) -> None:
        """Create the first index of a rollover, and its alias."""
        if await self.exists(cluster, f"/_alias/{in_path(wanted.alias)}"):
            return
        separator, pattern = self._options.index_separator, self._options.index_date_pattern
        name = wanted.index_name.lower()
        if wanted.application:
            name += f"{separator}{wanted.application.lower()}"
            name += f"{separator}{{{pattern}}}" if pattern else ""
        name = f"<{name}-000001>"
        body = {"aliases": {wanted.alias: {"is_write_index": True}}}
        try:
            await cluster.ask("PUT", f"/{in_path(name)}", body)
        except ClusterError as error:
            if error.status != _BAD_REQUEST or "already_exists" not in str(error):
                raise
            change = {"index": name, "alias": wanted.alias, "is_write_index": True}
            await cluster.ask("POST", "/_aliases", {"actions": [{"add": change}]})
        self._log.info("the alias %r is created for the index %r", wanted.alias, name)

    async def install_policy(self, cluster: Cluster, name: str, policy: Any, *, overwrites: bool) -> None:
        """Install a policy of Index Lifecycle Management.

        Raises:
            DeliveryError: it does not go.
        """
        path = f"/_ilm/policy/{in_path(name)}"
        if overwrites or not await self.exists(cluster, path):
            await cluster.ask("PUT", path, policy)
            self._log.info("policy %r is installed", name)

    async def exists(self, cluster: Cluster, path: str) -> bool:
        """Return whether there is something at a path.

        Raises:
            DeliveryError: nobody can tell.
        """
        return await cluster.ask("GET", path, missing=True) is not None


async def check_lifecycle(cluster: Cluster) -> None:
    """Return if the server manages the lives of indexes.

    Raises:
        DeliveryError: it does not.
    """
    # compat: the messages of elasticsearch_index_lifecycle_management.rb
    start = "Index Lifecycle management is enabled in Fluentd, but not"
    said = await cluster.ask("GET", "/_xpack", missing=True)
    features = said.get("features") if isinstance(said, dict) else None
    ilm = features.get("ilm") if isinstance(features, dict) else None
    if not isinstance(ilm, dict):
        raise DeliveryError(f"{start} installed on your Elasticsearch")
    for word in ("available", "enabled"):
        if not ilm.get(word):
            raise DeliveryError(f"{start} {word} in your Elasticsearch")
