"""What `websim check-reward` judges and prints, whatever its files hold."""

import io
import json
import os
import time
from pathlib import Path

import pytest

from websim.programs import ProgramSchema
from websim.programs.command import check_reward
from websim.programs.files import check_files
from websim.programs.sandbox import Sandbox
from websim.service.errors import UserError

SCHEMA = ProgramSchema({"obs": 17, "x_velocity": 0}, 6)
GOOD = "def reward(state, action):\n    return state.x_velocity\n"
FILE_LIMIT_S = 0.25


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as running:
        yield running


def make_file(folder: Path, content: str | bytes, name: str = "reward.py") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def run_command(*paths: Path, as_json: bool = False) -> tuple[int, list[str]]:
    out = io.StringIO()
    status = check_reward(paths, SCHEMA, as_json=as_json, out=out)
    return status, out.getvalue().splitlines()


def test_good_and_bad_files_are_told_apart(tmp_path):
    good = make_file(tmp_path, GOOD, "good.py")
    bad = make_file(tmp_path, GOOD.replace("x_velocity", "x_velocty"), "bad.py")
    status, lines = run_command(good, bad)
    assert status == 1
    assert lines[0].startswith(f"{good}: ok, p_")
    assert lines[1] == (
        f"{bad}:2:12: refused (attribute): state has no field x_velocty; "
        "did you mean state.x_velocity?"
    )
    assert run_command(good)[0] == 0


def test_json_has_one_object_a_line(tmp_path):
    good = make_file(tmp_path, GOOD, "good.py")
    bad = make_file(tmp_path, "import os\n" + GOOD, "bad.py")
    status, lines = run_command(good, bad, as_json=True)
    first, second = (json.loads(line) for line in lines)
    assert status == 1
    assert (first["file"], first["ok"], first["reason"]) == (str(good), True, None)
    assert first["id"].startswith("p_")
    assert (second["file"], second["ok"], second["reason"]) == (str(bad), False, "import")
    assert (second["line"], second["column"]) == (1, 1)
    assert "remove this line" in second["message"]


def test_trial_in_the_child_refuses_what_is_not_finite(tmp_path, sandbox):
    path = make_file(tmp_path, GOOD.replace("state.x_velocity", "np.sqrt(state.x_velocity)"))
    (verdict,) = check_files([path], SCHEMA, sandbox)
    assert verdict.reason == "nonfinite"
    assert verdict.trial.nonfinite_share["normal"] > 0.3


def test_constant_reward_is_ok_and_mentioned(tmp_path):
    path = make_file(tmp_path, GOOD.replace("state.x_velocity", "np.ones_like(state.x_velocity)"))
    status, (line,) = run_command(path)
    assert status == 0
    assert "constant 1: it does not depend on state or action" in line


def test_checker_lives_on_whatever_it_is_given(tmp_path, sandbox):
    folder = tmp_path / "folder"
    folder.mkdir()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    broken = tmp_path / "broken"
    broken.symlink_to("nowhere")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    sparse = make_file(tmp_path, "", "sparse")
    os.truncate(sparse, 1 << 40)
    expected = {
        folder: "source",
        pipe: "source",
        broken: "source",
        loop: "source",
        tmp_path / "absent": "source",
        Path("a\0b"): "source",
        Path("x" * 5000): "source",
        Path("/dev/zero"): "source",
        Path("/proc/self/mem"): "source",
        sparse: "size",
        make_file(tmp_path, bytes(range(256)), "bytes"): "source",
        make_file(tmp_path, os.urandom(5000), "noise"): "source",
        make_file(tmp_path, GOOD.encode("utf-16"), "utf16"): "source",
        make_file(tmp_path, "\ufeff" + GOOD, "mark"): "source",
        make_file(tmp_path, GOOD.replace("\n", "\r"), "mac"): "source",
        make_file(tmp_path, "", "empty"): "structure",
        make_file(tmp_path, "(" * 8000, "brackets"): "size",
        make_file(tmp_path, GOOD, "good"): None,
    }
    verdicts = list(check_files(expected, SCHEMA, sandbox))
    assert {Path(verdict.file): verdict.reason for verdict in verdicts} == expected


def test_each_file_takes_a_quarter_of_a_second_at_most(tmp_path, sandbox):
    worst = (
        "def reward(state, action):\n"
        + "".join(f"    a{i} = np.sin(state.obs[:, {i}]) * 2.0 + {i}.5\n" for i in range(17))
        + "    return " + " + ".join(f"a{i}" for i in range(17)) + "\n"
    )  # fmt: skip
    path = make_file(tmp_path, worst)
    times_s = []
    for _ in range(8):
        start_s = time.perf_counter()
        (verdict,) = check_files([path], SCHEMA, sandbox)
        times_s.append(time.perf_counter() - start_s)
        assert verdict.ok
    assert min(times_s) < FILE_LIMIT_S


def test_unprintable_names_and_unreadable_bytes_are_spelled_out(tmp_path):
    path = make_file(tmp_path, GOOD, "odd\x1b[31m\nname\udcff.py")
    status, lines = run_command(path)
    assert status == 0
    assert len(lines) == 1
    assert "odd\\x1b[31m\\nname\\udcff.py" in lines[0]
    (line,) = run_command(path, as_json=True)[1]
    assert json.loads(line)["file"] == str(path)


def test_without_a_sandbox_there_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr("websim.programs.forker.sys.executable", "/bin/false")
    with pytest.raises(UserError, match="programs cannot be confined here"):
        run_command(make_file(tmp_path, GOOD))
