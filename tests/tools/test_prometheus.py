"""Alert rules, metrics and dashboards, judged by Prometheus itself: a real run, really scraped."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from websim.local.options import RunOptions
from websim.local.ports import HeldPort
from websim.local.run import Run

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
BOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))

DEADLINE_S = 240.0
"""For the first evaluation, a minute of rates, and a busy machine."""


def promtool(*arguments: str | Path, given: str | None = None) -> str:
    done = subprocess.run(
        ["promtool", *arguments], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_do_what_they_should():
    promtool("check", "rules", PROMETHEUS / "rules.yml")
    promtool("test", "rules", PROMETHEUS / "rules.test.yml")


def test_the_configuration_is_sound():
    promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def services(tmp_path_factory, monkeypatch_module) -> Iterator[dict[str, list[str]]]:
    """A run that adapts, on a task that knows success: each job's addresses as HOST:PORT."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    # A trend is made of six evaluations.
    monkeypatch_module.setenv("WEBSIM_LEARNER_EVAL_EVERY_STEPS", "50000")
    options = RunOptions(
        task="InvertedDoublePendulum-v5",
        num_envs=128,
        workers=2,
        total_steps=100_000_000,
        goal="balance the pole",
        run_dir=directory,
    )
    with Run(options, dashboard=True) as run:
        run.wait_ready()
        assert run.fleet is not None
        assert run.reward_gen_url is not None
        assert run.page_url is not None
        workers = json.loads(get(f"{run.fleet.http_url}/v1/workers"))
        urls = {
            "orchestrator": [run.fleet.http_url],
            "sim-worker": [each["http_url"] for each in workers],
            "learner": [run.http_url],
            "reward-gen": [run.reward_gen_url],
            "dashboard": [run.page_url],
        }
        yield {job: [url.removeprefix("http://") for url in each] for job, each in urls.items()}


@pytest.fixture(scope="module")
def prometheus(services, tmp_path_factory) -> Iterator[str]:
    """Prometheus with our rules and our jobs, whose addresses are told instead of looked up."""
    directory = tmp_path_factory.mktemp("prometheus")
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(PROMETHEUS / "rules.yml")]
    for job in configuration["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": services.get(job["job_name"], [])}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    held = HeldPort("prometheus", 0)
    address = f"127.0.0.1:{held.port}"
    held.close()
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    url = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    answer = json.loads(get(url))
    assert answer["status"] == "success"
    return answer["data"]["result"]


def expressions() -> dict[str, str]:
    """Return every panel's expressions by a name that says where they are."""
    return {
        f"{board.stem}: {panel['title']}: {target['legendFormat']}": target["expr"]
        for board in BOARDS
        for panel in json.loads(board.read_text())["panels"]
        if panel["type"] != "row"
        for target in panel["targets"]
    }


@pytest.mark.timeout(600)
def test_every_panel_has_data_from_a_real_run(prometheus):
    wanted = expressions()
    give_up_s = time.monotonic() + DEADLINE_S
    while wanted and time.monotonic() < give_up_s:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):  # while it starts
            wanted = {name: each for name, each in wanted.items() if not query(prometheus, each)}
        time.sleep(1.0)
    assert wanted == {}


@pytest.mark.timeout(600)
def test_a_run_that_is_well_wakes_nobody(prometheus):
    firing = query(prometheus, 'ALERTS{alertstate="firing", severity!="info"}')
    assert [each["metric"]["alertname"] for each in firing] == []


def test_metrics_are_as_prometheus_wants_them(services):
    for addresses in services.values():
        for address in addresses:
            complaints = promtool("check", "metrics", given=get(f"http://{address}/metrics"))
            assert complaints == ""
