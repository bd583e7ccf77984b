"""An interrupted run goes on by the very words that it ends with, where it was begun."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

WEBSIM = (sys.executable, "-m", "websim.local")
DEADLINE_S = 240.0


def goes_on(path: Path, *argv: str) -> str:
    """Run a command to its end where the run was begun; return what it prints."""
    done = subprocess.run(
        [*WEBSIM, *argv], cwd=path, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(2 * DEADLINE_S)
def test_a_run_goes_on_by_the_line_that_it_prints(tmp_path: Path) -> None:
    asked = ["--task", "InvertedPendulum-v5", "--num-envs", "16", "--total-steps", "100000000"]
    with subprocess.Popen(
        [*WEBSIM, "train", *asked, "--workers", "1", "--run-dir", "runs/pole"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if "/s " in line:
                process.send_signal(signal.SIGINT)
                break
        told += process.communicate(timeout=DEADLINE_S)[0]
    line = re.search(r"go on with: \S*websim (.*)", told)
    assert line is not None, told
    rows = (tmp_path / "runs/pole/metrics.jsonl").read_text().splitlines()
    more = json.loads(rows[-1])["env_steps"] + 2_000
    goes_on(tmp_path, *line[1].split(), "--workers", "1", "--total-steps", str(more))
    result = json.loads((tmp_path / "runs/pole/result.json").read_text())
    assert result["env_steps"] >= more
