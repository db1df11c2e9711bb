"""The API server's address and credentials, from settings, environment and the service account's folder."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from logpipe_kubernetes.options import KubernetesMetadataOptions

_SECRETS: Final = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True)
class Access:
    """The parameters of a connection; an empty file name means none."""

    url: str
    """As the user wrote it; the master_url of records."""
    api: str
    """The beginning of URLs: `https://HOST:PORT/api/v1`."""
    ca_file: str
    token_file: str
    options: KubernetesMetadataOptions


def find_access(options: KubernetesMetadataOptions, environ: Mapping[str, str] = os.environ) -> Access | None:
    """Return how to reach the API server, None where none is configured. Checks files, so it may block."""
    url = options.kubernetes_url
    if url is None:
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
        url = f"https://{_bracketed(host)}:{port}/api" if host and port else ""
    if not url:
        return None
    secrets = Path(options.secret_dir or environ.get("LOGPIPE_KUBERNETES_SECRET_DIR") or _SECRETS)
    return Access(
        url=url,
        api=f"{_api_root(url)}/{options.api_version}",
        ca_file=options.ca_file or _if_file(secrets / "ca.crt"),
        token_file=options.bearer_token_file or _if_file(secrets / "token"),
        options=options,
    )


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


def _api_root(url: str) -> str:
    # compat: kubeclient's handle_uri appends /api to a path that does not end with it
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith('/api') else path + '/api'}"


def _if_file(path: Path) -> str:
    return str(path) if path.is_file() else ""
