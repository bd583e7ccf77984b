"""Alert rules and dashboards, read without Prometheus: `make test-tools` has the rest."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from websim.service.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
TESTS = yaml.safe_load((ROOT / "deploy/prometheus/rules.test.yml").read_text())["tests"]
ALL_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in ALL_RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in ALL_RULES if "record" in rule}
BOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))

KNOWN = {metric.name for metric in METRICS} | RECORDED
NAME = re.compile(r"\bwebsim[_:][\w:]*")


def panels(board: Path) -> list[dict[str, Any]]:
    return json.loads(board.read_text())["panels"]


def expressions(board: Path) -> list[str]:
    return [
        target["expr"]
        for panel in panels(board)
        if panel["type"] != "row"
        for target in panel["targets"]
    ]


def test_dashboards_are_fresh():
    command = [sys.executable, str(ROOT / "deploy/grafana/generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_rules_ask_for_metrics_that_exist():
    for rule in ALL_RULES:
        assert set(NAME.findall(rule["expr"])) <= KNOWN


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_both_ways_and_explained(alert):
    cases = [
        case["exp_alerts"]
        for test in TESTS
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == alert
    ]
    assert any(cases)
    assert not all(cases)
    assert ALERTS[alert]["labels"]["severity"] in ("critical", "warning", "info")
    assert f"| `{alert}` |" in (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_sound(board):
    text = board.read_text()
    data = json.loads(text)
    assert data["uid"] == f"websim-{board.stem}"
    assert "id" not in data
    assert "http" not in text
    ids = [panel["id"] for panel in data["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in data["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert all(each["datasource"]["uid"] == "${source}" for each in panel["targets"])
    for expression in expressions(board):
        assert set(NAME.findall(expression)) <= KNOWN
