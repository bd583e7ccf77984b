"""`websim verify` on a real fleet, with a learner that learns nothing but can be fickle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from websim.local.nemesis import Done
from websim.local.verify import deeds_table, first_difference

FAKE = Path(__file__).parent / "fake_learner"


@pytest.fixture
def verify(monkeypatch, tmp_path):
    """Return a function that runs the command to its end."""
    monkeypatch.setenv("PYTHONPATH", str(FAKE), prepend=":")

    def run(*argv):
        return subprocess.run(
            [sys.executable, "-m", "websim.local", "verify", "--run-dir", "both", *argv],
            capture_output=True,
            text=True,
            timeout=90,
            cwd=tmp_path,
            check=False,
        )

    return run


def make_run(directory, losses):
    directory.mkdir()
    rows = [
        {"kind": "metrics", "update": update, "policy_loss": loss, "wall_s": 1.0}
        for update, loss in losses
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (directory / "metrics.jsonl").write_text(text)
    return directory


SMALL = ("--workers", "1", "--total-steps", "40000", "--faults", "kill-worker=1,scale")


def test_equal_weights_are_told_with_what_was_done(verify, tmp_path):
    answer = verify("--task", "Known-v0", *SMALL)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert "kill-worker: SIGKILL to process" in answer.stdout
    assert "scale: 1 to 3 workers" in answer.stdout
    assert "scale: 3 to 1 workers" in answer.stdout
    assert answer.stdout.endswith("equal: both have weights 0dd\n")
    report = json.loads((tmp_path / "both" / "verify.json").read_text())
    assert report["equal"]
    assert [deed["kind"] for deed in report["undisturbed"]["done"]] == []
    assert len(report["disturbed"]["done"]) == 3
    assert report["disturbed"]["missed"] == 0


def test_other_weights_are_told_with_where_the_runs_part(verify, tmp_path):
    answer = verify("--task", "Fickle-v0", *SMALL)

    assert (answer.returncode, answer.stderr) == (1, "")
    assert "DIFFERENT: weights 0dd, and under faults f1ck1e" in answer.stdout
    assert "they part at update 3: policy_loss 0.25, not 0.5" in answer.stdout
    assert not json.loads((tmp_path / "both" / "verify.json").read_text())["equal"]


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--faults", "kill-wroker"], "there is no fault kill-wroker (did you mean kill-worker?)"),
        (["--total-steps", "0"], "--total-steps 0 must be at least 1"),
        (["--workers", "0"], "0 workers cannot step anything"),
        (["--task", "Unknown-v0"], "there is no task Unknown-v0"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(verify, argv, problem):
    answer = verify(*argv)

    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert problem in answer.stderr


def test_deeds_are_told_in_a_table():
    table = deeds_table((Done(12.34, 0.5, "kill-worker", "SIGKILL to process 7"),))
    assert table.splitlines()[1].split() == [
        "12.3", "s", "50%", "kill-worker:", "SIGKILL", "to", "process", "7",
    ]  # fmt: skip


def test_of_an_update_done_twice_the_last_counts(tmp_path):
    mine = make_run(tmp_path / "a", [(1, 0.1), (2, 0.2)])
    theirs = make_run(tmp_path / "b", [(1, 0.1), (2, 0.9), (2, 0.2)])
    assert "all updates have the same figures" in first_difference(mine, theirs)


def test_a_missing_update_is_a_difference(tmp_path):
    mine = make_run(tmp_path / "a", [(1, 0.1), (2, 0.2)])
    theirs = make_run(tmp_path / "b", [(1, 0.1)])
    assert "update 2 is missing in" in first_difference(mine, theirs)
    assert str(theirs) in first_difference(mine, theirs)
