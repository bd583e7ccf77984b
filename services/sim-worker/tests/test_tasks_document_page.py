"""docs/tasks.md holds: its commands and examples are tried, its tables are complete."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from websim.tasks import load_bundle, task_schema
from websim.tasks.mjcf_limits import MAX_COUNT, MAX_DEPTH, MAX_ELEMENTS, REFUSED_ELEMENTS
from websim_sim_worker.limits import MAX_COUNTS, MAX_SOLVER_ITERATIONS, TIMESTEP_RANGE_S
from websim_sim_worker.selection import array_width
from websim_sim_worker.tasks import bundled_names, compile_task
from websim_sim_worker.terrain import LEVELS
from websim_sim_worker.vetting_child import MAX_STEP_S

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "swing-up"
CONSOLE = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
YAML_BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def workspace(tmp_path):
    """An empty folder with a copy of the examples, as in a source checkout."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def commands():
    """Every command of the page with the output it shows, in order."""
    for block in CONSOLE:
        yield from re.findall(r"^\$ (.*)\n((?:[^$\n].*\n)*)", block, re.MULTILINE)


@pytest.mark.timeout(300)
def test_every_command_of_the_page_does_what_it_shows(workspace):
    tried = 0
    for command, output in commands():
        # The command line as installed beside this interpreter.
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        program, *arguments = shlex.split(command)
        done = subprocess.run(
            [shutil.which(program, path=path) or program, *arguments],
            cwd=workspace,
            env={"PATH": path, "HOME": str(workspace)},
            capture_output=True,
            text=True,
            check=False,
        )
        is_refusal = output and ": ok" not in output
        assert done.returncode == (1 if is_refusal else 0), done.stderr
        if output:
            assert (done.stdout + done.stderr) == output
        tried += 1
    assert tried >= 7
    result = json.loads((workspace / "runs" / "first" / "result.json").read_text())
    assert result["task"] == "SwingUp-v0"


def test_the_blocks_of_yaml_are_parts_of_the_example():
    example = yaml.safe_load((EXAMPLE / "task.yaml").read_text())
    assert len(YAML_BLOCKS) == 5
    for block in YAML_BLOCKS:
        for key, value in yaml.safe_load(block).items():
            if key == "fields":
                assert value.items() <= example[key].items()
            else:
                assert example[key] == value


@pytest.mark.parametrize("code", PYTHON)
def test_the_blocks_of_python_run(workspace, monkeypatch, code):
    shutil.copytree(EXAMPLE, workspace / "my-task")
    monkeypatch.chdir(workspace)
    scope = {}
    exec(compile(code, "docs/tasks.md", "exec"), scope)
    for value in scope.values():
        if hasattr(value, "action_space"):
            value.close()


def test_the_example_compiles_and_its_folder_is_all_it_needs(make_shard, random_actions):
    shard = make_shard(compile_task(load_bundle(EXAMPLE)), 8)
    for action in random_actions(shard, 20):
        result = shard.step(action, ["up", "tip_climb"])
    assert not result.invalid.any()


def test_all_bundled_tasks_are_listed():
    table = TEXT[TEXT.index("| task | what |") : TEXT.index("The first eleven")]
    assert set(re.findall(r"`([A-Za-z0-9]+-v[0-9])`", table)) == set(bundled_names())


def test_all_sources_are_listed(make_task):
    table = TEXT[TEXT.index("| source | objects |") : TEXT.index("Objects are named")]
    rows = [line.split("|") for line in table.splitlines()[2:] if line.startswith("|")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert listed == set(task_schema()["$defs"]["source"]["enum"])
    model = make_task("Ant-v5").model
    for name in listed:
        assert array_width(name, model) >= 0
    assert array_width("cinert", model) == 10 * model.nbody


def test_all_targets_of_knobs_are_listed():
    table = TEXT[TEXT.index("| target | selected by") : TEXT.index("- `kind: scale`")]
    listed = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert listed == set(task_schema()["$defs"]["knob"]["properties"]["target"]["enum"])
    assert f"in {LEVELS} steps" in table


def test_all_keys_of_the_format_are_named():
    rest = TEXT[TEXT.index("## The rest of the file") :]
    for key in task_schema()["properties"]:
        if key not in ("format", "id", "description", "frame_skip", "max_episode_steps", "fields"):
            assert f"`{key}" in rest, key


def test_limits_are_the_real_ones():
    refused = TEXT[TEXT.index("## What is refused") :]
    low, high = TIMESTEP_RANGE_S
    for text in (
        f"{MAX_DEPTH} levels, {MAX_ELEMENTS:,} elements",
        f"{MAX_COUNT:,} copies",
        f"outside of {low:.4f} to {high} s; more than {MAX_SOLVER_ITERATIONS} solver",
        f"{MAX_COUNTS['nbody']} bodies, {MAX_COUNTS['ngeom']:,} geoms, {MAX_COUNTS['nq']} `nq`",
        f"{MAX_COUNTS['nu']} actuators, {MAX_COUNTS['nsensordata']:,} sensor numbers",
        f"more than {MAX_STEP_S * 1e3:.0f} ms for a step",
    ):
        assert text in refused, text
    for element in ("include", "attach", "model"):
        assert element in REFUSED_ELEMENTS
