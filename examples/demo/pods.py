"""The pods of the demo's node: their log lines, and their metadata."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

NODE = "node-1"

Line = Callable[[random.Random], str]


@dataclass(frozen=True)
class Pod:
    """One pod with one container."""

    namespace: str
    name: str
    container: str
    line: Line
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """The pod's identity in the cluster."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{self.namespace}.pod"))

    @property
    def container_id(self) -> str:
        """The container's id in docker, 64 hexadecimal digits."""
        return hashlib.sha256(f"{self.namespace}/{self.name}/{self.container}".encode()).hexdigest()

    @property
    def log_name(self) -> str:
        """The name that the kubelet gives the container's log in /var/log/containers."""
        return f"{self.name}_{self.namespace}_{self.container}-{self.container_id}.log"


def web_line(rnd: random.Random) -> str:
    """Return a line of a web server's access log."""
    path = rnd.choice(["/", "/cart", f"/orders/{rnd.randrange(10_000)}", "/healthz", "/static/app.js"])
    return (
        f'10.0.{rnd.randrange(256)}.{rnd.randrange(256)} "GET {path} HTTP/1.1" {rnd.choice([200, 200, 304, 404, 500])}'
    )


def cart_line(rnd: random.Random) -> str:
    """Return a line of a service that logs words."""
    return f'level=info msg="item added" cart={rnd.randrange(10_000)} items={rnd.randrange(1, 9)}'


def invoice_line(rnd: random.Random) -> str:
    """Return a line of a service that logs other alphabets too."""
    amount = f"{rnd.randrange(1, 900)},{rnd.randrange(100):02d} €"
    return f"Rechnung {rnd.randrange(100_000):06d} über {amount} an Zoë verschickt"


def search_line(rnd: random.Random) -> str:
    """Return a line of a service that logs JSON, which stays text within docker's JSON."""
    return f'{{"query": "kafka {rnd.choice(["topic", "broker", "lag"])}", "hits": {rnd.randrange(900)}}}'


def dns_line(rnd: random.Random) -> str:
    """Return a line of the cluster's name server."""
    return f"[INFO] 10.0.0.{rnd.randrange(256)}:{rnd.randrange(1024, 65536)} - A IN shop.example.com. NOERROR"


PODS = (
    Pod("shop", "web-5d7f8c9b4d-x2x8z", "nginx", web_line, {"app": "web", "tier": "frontend"}),
    Pod("shop", "cart-7b9c6d5f4-qk2lp", "cart", cart_line, {"app": "cart", "tier": "backend"}),
    Pod("billing", "invoice-6c8d9f7b5-h4t7n", "invoice", invoice_line, {"app": "invoice"}),
    Pod("search", "indexer-0", "indexer", search_line, {"app": "indexer", "statefulset": "indexer"}),
    Pod("kube-system", "coredns-78fcd69978-jk3vw", "coredns", dns_line, {"k8s-app": "kube-dns"}),
)
