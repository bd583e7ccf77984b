"""The manifests of both overlays, as kubectl builds them."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from websim.local.keys import SERVICES, make_keys_by_service

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
CONTROL_LOOPS = ("Deployment", "Job")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of deploy/k8s, with keys where the local overlay wants them."""
    copy = tmp_path_factory.mktemp("k8s") / "k8s"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=K8S, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((K8S / name).read_bytes())
    make_keys_by_service(copy / "overlays" / "local" / "keys")
    return copy


def build(directory: Path) -> str:
    done = subprocess.run(
        ["kubectl", "kustomize", str(directory)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module", params=["local", "production"])
def built(request, tree) -> str:
    return build(tree / "overlays" / request.param)


@pytest.fixture(scope="module")
def objects(built) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(built))


def of_kind(objects, *kinds: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] in kinds}


def pods(objects) -> dict[str, dict[str, Any]]:
    found = of_kind(objects, *CONTROL_LOOPS)
    return {name: each["spec"]["template"]["spec"] for name, each in found.items()}


def validate(text: str, path: Path) -> None:
    path.write_text(text)
    validator = Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run(
        [validator, "--strict", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_manifests_fit_the_schemas(built, tmp_path):
    validate(built, tmp_path / "all.yaml")


def test_every_service_is_there(objects):
    assert set(pods(objects)) == set(SERVICES)
    assert set(SERVICES) <= set(of_kind(objects, "Service"))
    assert "sim-worker" in of_kind(objects, "PodDisruptionBudget")


@pytest.mark.parametrize("name", SERVICES)
def test_no_pod_has_a_right_that_it_does_not_need(objects, name):
    pod = pods(objects)[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_probes_and_services_point_at_ports_of_the_pod(objects, name):
    (container,) = pods(objects)[name]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    service = of_kind(objects, "Service")[name]["spec"]
    assert {each["targetPort"]: each["port"] for each in service["ports"]} == ports
    assert service["selector"]["app.kubernetes.io/name"] == name


def test_the_environment_is_that_of_the_compose_stack(objects):
    """One way to configure a service, whatever runs it."""
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, pod in pods(objects).items():
        composed = {
            key: value
            for key, value in stack[name]["environment"].items()
            if value is not None and "$" not in value
        }
        here = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
        assert here == composed


def test_everything_is_forbidden_that_no_policy_names(objects):
    policies = of_kind(objects, "NetworkPolicy")
    assert policies["nothing-but-names"]["spec"]["podSelector"] == {}
    assert set(policies["nothing-but-names"]["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert set(policies) == {"nothing-but-names", *SERVICES}


def test_both_ends_of_a_connection_are_named(objects):
    """What one pod may send to another, the other may receive, and the other way round."""

    def other(rule: dict[str, Any], side: str) -> str | None:
        selector = rule[side][0].get("podSelector")
        return selector and selector["matchLabels"]["app.kubernetes.io/name"]

    sent, received = set(), set()
    for name, policy in of_kind(objects, "NetworkPolicy").items():
        if name == "nothing-but-names":
            continue
        for rule in policy["spec"]["egress"]:
            if peer := other(rule, "to"):
                sent |= {(name, peer, each["port"]) for each in rule["ports"]}
        for rule in policy["spec"]["ingress"]:
            if peer := other(rule, "from"):
                received |= {(peer, name, each["port"]) for each in rule["ports"]}
    assert sent == received
    world = [
        name
        for name, policy in of_kind(objects, "NetworkPolicy").items()
        if any("ipBlock" in to for rule in policy["spec"].get("egress", []) for to in rule["to"])
    ]
    assert world == ["reward-gen"]


def test_secrets_that_are_wanted_are_made_locally(tree):
    objects = list(yaml.safe_load_all(build(tree / "overlays" / "local")))
    made = of_kind(objects, "Secret")
    for name, pod in pods(objects).items():
        (volume,) = [each for each in pod["volumes"] if each["name"] == "keys"]
        secret = made[volume["secret"]["secretName"]]
        items = volume["secret"].get("items")
        files = {each["path"] for each in items} if items else set(secret["data"])
        keys = tree / "overlays" / "local" / "keys" / name
        assert files == {str(p.relative_to(keys)) for p in keys.rglob("*") if p.is_file()}


def test_components_are_not_undone_by_the_production_overlay(tree, tmp_path):
    """As its file says to add them."""
    overlay = tree / "overlays" / "with-components"
    shutil.copytree(tree / "overlays" / "production", overlay)
    path = overlay / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization["components"] += ["../../components/gpu", "../../components/autoscale"]
    path.write_text(yaml.safe_dump(kustomization))
    text = build(overlay)
    validate(text, tmp_path / "all.yaml")
    objects = list(yaml.safe_load_all(text))
    (learner,) = pods(objects)["learner"]["containers"]
    assert learner["resources"]["limits"] == {"memory": "16Gi", "nvidia.com/gpu": 1}
    assert "sim-worker" in of_kind(objects, "HorizontalPodAutoscaler")
    assert "replicas" not in of_kind(objects, "Deployment")["sim-worker"]["spec"]


def test_autoscaling_is_off_by_default(objects):
    assert not of_kind(objects, "HorizontalPodAutoscaler")
