"""docs/rewards.md: its commands, as they are written, against a reward-gen."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from websim.local.supervisor import ChildSpec, Supervisor

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "rewards.md"


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("curl")), reason="needs jq and curl")
def test_the_commands_of_the_document_work_as_they_are_written(tmp_path):
    blocks = re.split(r"^```.*\n", DOCUMENT.read_text(), flags=re.MULTILINE)[1::2]
    rewards, goals = [block for block in blocks if "curl" in block and "/v1/" in block][:2]
    supervisor = Supervisor()
    try:
        argv = ("-m", "websim_reward_gen", "--http-port", "0", "--ledger", str(tmp_path / "ledger"))
        supervisor.start(ChildSpec("reward-gen", argv, 0))
        [facts] = supervisor.wait_ready(["reward-gen"], 30.0)
        answers = [_typed(block, facts["http_url"], tmp_path) for block in (rewards, goals)]
    finally:
        supervisor.stop()

    assert [each["verdict"]["accepted"] for each in answers[0]["candidates"]] == [True, True]
    assert answers[1]["kind"] == "program"


def _typed(block, url, place):
    """Return what the last command of a block answers; the service itself runs already."""
    lines = [line for line in block.splitlines() if not line.startswith("python -m")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines).replace("localhost:8090", url.removeprefix("http://"))],
        cwd=place,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
