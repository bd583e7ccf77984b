"""Dockerfiles, docker-compose.yml and .env.example, read without an engine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from websim.local.child import CHILD_ENVIRONMENT
from websim_reward_gen.settings import RewardGenSettings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted(ROOT.glob("services/*/Dockerfile"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: each for name, each in COMPOSE["services"].items() if "profiles" not in each}
OTHERS = {name: each for name, each in COMPOSE["services"].items() if "profiles" in each}

DOCUMENTS = ("README.md", "docs/operations.md")

VARIABLE = re.compile(r"\$\{(\w+)")


def requirements(*packages: str) -> set[str]:
    """Return the names of what packages need, as images install them."""
    command = [sys.executable, str(ROOT / "scripts/list_requirements.py"), *packages]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {re.split(r"[^\w.-]", line)[0] for line in listed.splitlines()}


def variables() -> set[str]:
    """Return the variables that a person may set for the stack."""
    text = (ROOT / "docker-compose.yml").read_text()
    passed_on = {
        name
        for service in COMPOSE["services"].values()
        for name, value in service.get("environment", {}).items()
        if value is None
    }
    return set(VARIABLE.findall(text)) | passed_on


def documented() -> list[str]:
    """Return the commands that documents give for the stack."""
    texts = [(ROOT / name).read_text() for name in DOCUMENTS]
    return [command for text in texts for command in re.findall(r"\bdocker [^`#\n]+", text)]


def test_every_service_has_an_image_and_a_place_in_the_stack():
    folders = {path.parent.name for path in ROOT.glob("services/*/pyproject.toml")}
    assert {path.parent.name for path in DOCKERFILES} == folders
    assert set(OURS) == folders | {"keys"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfiles_are_clean(path):
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_processes_in_containers_have_the_environment_of_local_ones(path):
    last = path.read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")
    settings = dict(
        word.split("=", 1)
        for line in re.findall(r"^ENV (.*)$", last, re.MULTILINE)
        for word in line.split()
    )
    assert {name: settings.get(name) for name in CHILD_ENVIRONMENT} == CHILD_ENVIRONMENT


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_images_start_without_root(path):
    users = re.findall(r"^USER (.*)$", path.read_text(), re.MULTILINE)
    assert users[-1] == "10001:10001"


def test_torch_is_for_the_learner_and_mujoco_for_the_worker():
    needs = {
        path.parent.name: requirements("libs", f"services/{path.parent.name}")
        for path in DOCKERFILES
    }
    assert {name for name, packages in needs.items() if "torch" in packages} == {"learner"}
    assert {name for name, packages in needs.items() if "mujoco-core" in packages} == {"sim-worker"}
    assert not any(name.startswith("websim") for packages in needs.values() for name in packages)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_service_has_a_right_that_it_does_not_need(name):
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["init"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    # The one that gives keys to their users ends before the others begin, and talks to nobody.
    assert ("cap_add" in service) == (name == "keys")
    assert ("network_mode" in service) == (name == "keys")
    if name != "keys":
        assert service["mem_limit"]
        assert service["cpus"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_nobody_can_log_in_to_grafana():
    """It comes with the account admin, whose password is admin, and takes that in a header."""
    settings = COMPOSE["services"]["grafana"]["environment"]
    assert settings["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert settings["GF_AUTH_BASIC_ENABLED"] == "false"
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert "GF_AUTH_ANONYMOUS_ORG_ROLE" not in settings  # Viewer, if nobody says otherwise


def test_only_reward_gen_reaches_out():
    out = {
        name for name, each in COMPOSE["services"].items() if "outside" in each.get("networks", [])
    }
    assert out == {"reward-gen"}
    assert COMPOSE["networks"]["simulation"] == {"internal": True}
    assert COMPOSE["networks"]["pages"]["driver_opts"] == {
        "com.docker.network.bridge.enable_ip_masquerade": "false"
    }
    assert set(COMPOSE["networks"]) == {"simulation", "pages", "outside"}


def test_env_example_lists_every_setting_and_nothing_else():
    lines = (ROOT / ".env.example").read_text().splitlines()
    listed = {match[1] for line in lines if (match := re.match(r"#?(\w+)=", line))}
    assert listed == variables() | {"COMPOSE_PROJECT_NAME"}


def test_env_example_sets_nothing():
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert all(not line or line.startswith("#") for line in lines)


def test_defaults_in_env_example_are_those_of_the_stack():
    text = (ROOT / "docker-compose.yml").read_text()
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    example = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    shown = {name: example[name] for name in defaults if name != "WEBSIM_ANTHROPIC_API_KEY_FILE"}
    assert shown == {name: defaults[name] for name in shown}


def test_what_reward_gen_may_spend_can_be_said():
    """A model of unknown price ends it, and only its prices help."""
    of_money = [name for name in RewardGenSettings.model_fields if "usd" in name]
    passed_on = OURS["reward-gen"]["environment"]
    assert {f"WEBSIM_REWARD_GEN_{name.upper()}" for name in of_money} <= set(passed_on)


def test_training_does_not_wait_for_rewards():
    assert OURS["learner"]["depends_on"]["reward-gen"] == {"condition": "service_started"}


def test_no_documented_command_waits_for_a_learner_that_may_be_over():
    """`up --wait` fails where a container has exited, which a learner does when its run is over."""
    started = [command for command in documented() if " up" in command]
    assert started
    assert not [command for command in started if "--wait" in command]


def test_documented_commands_hold_whatever_the_project_is_called():
    """Compose calls it as the folder, and prefixes volumes with that."""
    assert not [command for command in documented() if "websim_" in command]


def test_whoever_starts_the_monitoring_is_told_how_to_stop_it():
    for name in DOCUMENTS:
        assert "docker compose --profile monitoring down" in (ROOT / name).read_text()


def test_every_volume_that_is_written_to_is_backed_up_and_restored():
    kept = {
        (name, volume.split(":")[0])
        for name, each in OURS.items()
        if name != "keys"
        for volume in each.get("volumes", [])
        if not volume.endswith(":ro")
    }
    assert {volume for _, volume in kept} == {"runs", "ledger", "history"}
    text = "\n".join(documented())
    for service, volume in kept:
        assert f"tar {service} -C / -cf - {volume} > {volume}.tar" in text
        assert f"tar {service} -C / -xf - < {volume}.tar" in text


def test_the_stack_speaks_to_settings_that_exist():
    """A misspelt variable would end the service at its start; here it is seen without an engine."""
    prefixes = {
        name: f"WEBSIM_{name.upper().replace('-', '_')}_" for name in OURS if name != "keys"
    }
    for name, prefix in prefixes.items():
        package = f"websim_{name.replace('-', '_')}"
        program = (
            "import sys\n"
            f"from {package} import settings\n"
            "from websim.service.settings import ServiceSettings, _all_settings_classes\n"
            "print(*{f for c in _all_settings_classes(ServiceSettings) for f in c.model_fields})\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        known = {prefix + field.upper() for field in done.stdout.split()}
        used = {key for key in OURS[name]["environment"] if key.startswith(prefix)}
        assert used <= known
