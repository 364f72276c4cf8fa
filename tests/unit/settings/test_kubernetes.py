"""The manifest in config/kubernetes/, as far as it can be judged without a cluster, and the variables that a cluster sets."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from licsync_daemon.settings import load_config

from .conftest import VALID, Load, Refuse

ROOT = Path(__file__).parents[3]
MANIFEST = ROOT / "config/kubernetes/licsync.yaml"


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.fixture(scope="module")
def pod(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = objects["StatefulSet"]["spec"]["template"]["spec"]
    return spec


def test_there_is_one_daemon_for_one_state(objects: dict[str, dict[str, Any]]) -> None:
    """One replica, a claim that one pod may mount, and labels that fit."""
    spec = objects["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert objects["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert {one["metadata"].get("namespace", "licsync") for one in objects.values()} == {"licsync"}


def test_every_volume_is_there_and_mounted(objects: dict[str, dict[str, Any]], pod: dict[str, Any]) -> None:
    """Names of volumes, claims, Secrets and ConfigMaps fit."""
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert {one["name"] for one in pod["containers"][0]["volumeMounts"]} == volumes.keys()
    assert volumes["config"]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert volumes["credentials"]["secret"]["secretName"] == objects["Secret"]["metadata"]["name"]
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == objects["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["credentials"]["secret"]["defaultMode"] == 0o440


def test_the_probes_ask_the_heartbeat(pod: dict[str, Any]) -> None:
    """With the command of the image's own health check."""
    (container,) = pod["containers"]
    health = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert health is not None
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == yaml.safe_load(health[1])
        assert container[probe]["timeoutSeconds"] == 10


def test_the_pod_is_the_user_of_the_image_and_has_no_privileges(pod: dict[str, Any]) -> None:
    """The same user and group as in the Dockerfile; its group owns the volumes."""
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    context, own = pod["securityContext"], pod["containers"][0]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (int(user[1]), int(user[2]), int(user[2]))
    assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"], own["capabilities"]) == (False, True, {"drop": ["ALL"]})


def test_its_configuration_is_valid_and_keeps_the_state_inside_the_volume(
    objects: dict[str, dict[str, Any]], pod: dict[str, Any], tmp_path: Path
) -> None:
    """The state is in a folder inside the mounted volume; each key of the Secret is a credential."""
    (tmp_path / "config.toml").write_text(objects["ConfigMap"]["data"]["config.toml"])
    loaded = load_config(tmp_path / "config.toml", {})
    mounts = {one["name"]: Path(one["mountPath"]) for one in pod["containers"][0]["volumeMounts"]}
    assert loaded.warnings == ()
    assert loaded.config.state_dir.parent == mounts["state"]
    assert loaded.config.credentials_dir == mounts["credentials"]
    assert set(objects["Secret"]["stringData"]) == set(loaded.config.cloud.at.token)


def links(service: str, ip: str, *ports: tuple[str, int, str]) -> dict[str, str]:
    """Return what the kubelet sets for a service with (name, port, protocol)."""
    name, host = service.upper().replace("-", "_"), f"[{ip}]" if ":" in ip else ip
    _, first, protocol = ports[0]
    found = {f"{name}_SERVICE_HOST": ip, f"{name}_SERVICE_PORT": str(first), f"{name}_PORT": f"{protocol}://{host}:{first}"}
    for port_name, port, proto in ports:
        here = f"{name}_PORT_{port}_{proto.upper()}"
        found |= {here: f"{proto}://{host}:{port}", f"{here}_PROTO": proto, f"{here}_PORT": str(port), f"{here}_ADDR": ip}
        if port_name:
            found[f"{name}_SERVICE_PORT_{port_name.upper().replace('-', '_')}"] = str(port)
    return found


@pytest.mark.parametrize("service", ["licsync", "licsync-daemon", "licsync-metrics", "licsync-cloud", "licsync-2"])
@pytest.mark.parametrize("ip", ["10.0.48.109", "fd00::7"])
def test_service_links_are_no_settings(load: Load, service: str, ip: str) -> None:
    """What the kubelet sets for services of any name does not keep the daemon from starting."""
    found = links(service, ip, ("metrics", 9106, "tcp"), ("", 8080, "tcp"), ("a-b", 53, "udp"), ("s", 7, "sctp"))
    assert load(VALID, **found).config == load(VALID).config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LICSYNC_PORT", "9106"),
        ("LICSYNC_PORT", "tcp://"),
        ("LICSYNC_SERVICE_HOST", "ghes.example.com"),
        ("LICSYNC_SERVICE_PORT", "http"),
        ("LICSYNC_PORT_9106_TCP_PROTO", "http"),
        ("LICSYNC_CLOUD_ENTERPRISE", "octo"),
        ("LICSYNC_NOTIFY__MAIL__PORTS", "25"),
        ("LICSYNC_STATEDIR", "/srv/state"),
    ],
)
def test_a_misspelled_setting_is_still_a_mistake(refuse: Refuse, name: str, value: str) -> None:
    """A variable that only resembles a service link is named."""
    (problem,) = refuse(VALID, **{**links("licsync", "10.0.48.109", ("", 9106, "tcp")), name: value})
    assert (problem.where, problem.what) == (name, "no such setting")
