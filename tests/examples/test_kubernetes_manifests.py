"""The manifests in examples/: as Kubernetes wants them, and with no more rights than logpipe needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
KUBERNETES = EXAMPLES / "kubernetes"

# The oldest release with these kinds in these versions that still has schemas, and the newest known.
VERSIONS = ["1.27", kubernetes_validate.latest_version()]


def documents(*files: Path) -> list[dict[str, Any]]:
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


ALL = documents(*sorted(KUBERNETES.glob("*.yaml")))
POD = next(document for document in ALL if document["kind"] == "DaemonSet")["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]


def only(kind: str) -> dict[str, Any]:
    (document,) = [document for document in ALL if document["kind"] == kind]
    return document


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", ALL, ids=lambda document: document["kind"])
def test_fits_the_schema(document: dict[str, Any], version: str) -> None:
    """Every manifest fits the published schema, with no field that it does not have."""
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_articles_pod_fits_the_schema(version: str) -> None:
    """The pod of 2016 is still one."""
    (pod,) = documents(EXAMPLES / "article/td-agent.yaml")
    kubernetes_validate.validate(pod, version, strict=True)


def test_schema_check_finds_a_misspelt_field() -> None:
    """The check above would notice a field that is not in the schema."""
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "imagePullPolice": "Always"}]}}
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePullPolice"):
        kubernetes_validate.validate(pod, VERSIONS[-1], strict=True)


def test_has_no_more_rights_than_to_read_logs() -> None:
    """The container is not privileged, can't become so, writes nothing of its image and keeps one capability."""
    security = CONTAINER["securityContext"]
    assert security["privileged"] is False
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD.keys()


def test_host_is_written_in_one_place() -> None:
    """Of the node's folders only the one for positions can be written."""
    host = {volume["name"]: volume["hostPath"]["path"] for volume in POD["volumes"] if "hostPath" in volume}
    mounts = [mount for mount in CONTAINER["volumeMounts"] if mount["name"] in host]
    writable = {host[mount["name"]] for mount in mounts if not mount.get("readOnly")}
    assert writable == {"/var/lib/logpipe"}


def test_asks_the_api_for_reading_only() -> None:
    """The role is to follow pods and to look up their namespaces, and it is bound to the pods' account."""
    assert only("ClusterRole")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    ]
    account = only("ServiceAccount")["metadata"]
    binding = only("ClusterRoleBinding")
    assert binding["roleRef"]["name"] == only("ClusterRole")["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert POD["serviceAccountName"] == account["name"]


def test_knows_its_node_and_its_limits() -> None:
    """The node's name comes from the cluster, so that only its pods are watched; memory and processor are bounded."""
    names = {variable["name"]: variable for variable in CONTAINER["env"]}
    assert names["K8S_NODE_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"
    assert CONTAINER["resources"]["limits"].keys() == {"cpu", "memory"}


def test_parts_fit_together() -> None:
    """Every mount has its volume, everything is in one namespace, and the command names a file of the config map."""
    volumes = {volume["name"] for volume in POD["volumes"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == volumes
    namespaced = [document for document in ALL if not document["kind"].startswith(("Cluster", "Namespace"))]
    assert {document["metadata"]["namespace"] for document in namespaced} == {only("Namespace")["metadata"]["name"]}
    (config,) = [volume["configMap"] for volume in POD["volumes"] if "configMap" in volume]
    (mount,) = [mount["mountPath"] for mount in CONTAINER["volumeMounts"] if mount["name"] == "config"]
    assert config["name"] == only("ConfigMap")["metadata"]["name"]
    assert CONTAINER["command"][-1] in {f"{mount}/{file}" for file in only("ConfigMap")["data"]}
