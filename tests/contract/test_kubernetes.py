"""The manifests in config/kubernetes: valid by Kubernetes' published schemas, and they fit together and to the image."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from licsync_daemon.settings import load_config
from licsync_daemon.settings.credentials import DIGEST_KEY, STATE_URL

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "kubernetes" / "postgresql"
ALIVE = ["/opt/licsync/bin/licsync-daemon", "status", "--alive"]


@pytest.fixture(scope="module")
def kustomization() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def resources(kustomization: dict[str, Any]) -> dict[str, dict[str, Any]]:
    every = [one for name in kustomization["resources"] for one in yaml.safe_load_all((FOLDER / name).read_text())]
    return {one["kind"]: one for one in every}


@pytest.fixture(scope="module")
def pod(resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = resources["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_every_object_is_valid(resources: dict[str, dict[str, Any]], version: str) -> None:
    """By the schemas of several releases, with no key that they do not know."""
    for one in resources.values():
        kubernetes_validate.validate(one, version, strict=True)


def test_what_kustomize_makes_is_valid() -> None:
    """The generated ConfigMap and Secret included, whose names are those that the pod mounts."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    made = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True, check=True, timeout=60).stdout
    objects = list(yaml.safe_load_all(made))
    for one in objects:
        kubernetes_validate.validate(one, "1.33", strict=True)
    names = {one["kind"]: one["metadata"]["name"] for one in objects}
    volumes = next(one for one in objects if one["kind"] == "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert names["ConfigMap"] == volumes[0]["configMap"]["name"]
    assert names["Secret"] == volumes[1]["secret"]["secretName"]
    assert {one["metadata"].get("namespace", "licsync") for one in objects} == {"licsync"}


def test_two_replicas_on_two_nodes(resources: dict[str, dict[str, Any]], pod: dict[str, Any]) -> None:
    """One is left during a drain and during a new version; both select the same pods."""
    spec = resources["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    (rule,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]) == (2, {"maxUnavailable": 1, "maxSurge": 0})
    assert rule == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    assert spec["selector"]["matchLabels"] == labels
    assert resources["PodDisruptionBudget"]["spec"] == {"minAvailable": 1, "selector": {"matchLabels": labels}}


def test_a_standby_is_ready(pod: dict[str, Any]) -> None:
    """All probes ask the process itself: none fails because another pod leads, or because PostgreSQL is away."""
    (container,) = pod["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == ALIVE


def test_the_pod_is_the_user_of_the_image(pod: dict[str, Any]) -> None:
    """With its group, and no rights."""
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    context, own = pod["securityContext"], pod["containers"][0]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (int(user[1]), int(user[2]), int(user[2]))
    assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"], own["capabilities"]) == (False, True, {"drop": ["ALL"]})


def test_volumes_and_mounts_fit(pod: dict[str, Any], kustomization: dict[str, Any]) -> None:
    """Each volume is mounted once; what they name is generated."""
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert sorted(one["name"] for one in pod["containers"][0]["volumeMounts"]) == sorted(volumes)
    assert volumes["config"]["configMap"]["name"] == kustomization["configMapGenerator"][0]["name"]
    assert volumes["credentials"]["secret"] == {"secretName": kustomization["secretGenerator"][0]["name"], "defaultMode": 0o440}


def test_the_configuration_is_valid_and_its_credentials_are_there(pod: dict[str, Any]) -> None:
    """The state is shared, and each key of the Secret is a credential that the configuration uses."""
    loaded = load_config(FOLDER / "config.toml", {})
    assert loaded.warnings == ()
    assert loaded.config.is_shared
    mounts = {one["name"]: Path(one["mountPath"]) for one in pod["containers"][0]["volumeMounts"]}
    assert mounts["credentials"] == loaded.config.credentials_dir
    assert loaded.config.state_dir.parent == mounts["state"]
    lines = [line for line in (FOLDER / "credentials.env").read_text().splitlines() if not line.startswith("#")]
    assert {line.partition("=")[0] for line in lines} == {*loaded.config.cloud.at.token, *STATE_URL, *DIGEST_KEY}


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_one_replica_on_a_volume_is_valid(version: str) -> None:
    """Every object of the manifest, and the kustomization names it and the image of its pod."""
    folder = FOLDER.parent
    objects = list(yaml.safe_load_all((folder / "licsync.yaml").read_text()))
    for one in objects:
        kubernetes_validate.validate(one, version, strict=True)
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())
    (stateful,) = (one for one in objects if one["kind"] == "StatefulSet")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    assert named["resources"] == ["licsync.yaml"]
    assert container["image"].partition(":")[0].rpartition("/")[2] == named["images"][0]["name"]
    assert container["livenessProbe"]["exec"]["command"][-2:] == ["status", "--alive"]
