"""docs/programs.md holds: every example is tried, every function, limit and class is there."""

import re
from pathlib import Path

import pytest

from websim.programs import REASONS, ProgramError, ProgramSchema, compile_program, limits
from websim.programs.dryrun import ROWS, dry_run
from websim.programs.functions import FUNCTIONS
from websim.programs.guard import REWARD_LIMIT
from websim.programs.rules import SLOW_POWER_WEIGHT
from websim.programs.sandbox import DEADLINE_S, ROWS_PER_DEADLINE, STRIKE_WINDOW, STRIKES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "programs.md").read_text(encoding="utf-8")
FIELDS = {"obs": 17, "previous_obs": 17, "previous_action": 6, "time_s": 0, "x_velocity": 0}
SCHEMA = ProgramSchema(FIELDS, 6)
TASK_SCHEMA = ProgramSchema(
    FIELDS,
    6,
    {"control_weight": 0.1, "joint_weights": (1.0,) * 6, "speed_range": (-1.0, float("inf"))},
)
BLOCKS = re.findall(r"```(python[ a-z]*)\n(.*?)```", TEXT, re.DOTALL)
REFUSALS = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", TEXT, re.MULTILINE)

WHOLE = {
    "`import numpy as np` as the first line": "import numpy as np\ndef reward(state, action):\n"
    "    return state.x_velocity\n",
    "`state.obs[:, 0] = 0.0` before the return": "def reward(state, action):\n"
    "    state.obs[:, 0] = 0.0\n    return state.x_velocity\n",
    "`x = 0.0 * state.obs[:, 0]` before the return": "def reward(state, action):\n"
    "    x = 0.0 * state.obs[:, 0]\n    return state.x_velocity\n",
    "65 statements": "def reward(state, action):\n"
    + "".join(f"    a{i} = 1.0\n" for i in range(64))
    + "    return state.x_velocity\n",
    "a typographic quote or minus in a comment": "def reward(state, action):\n"
    "    # it\u2019s \u2212 1\n    return state.x_velocity\n",
    "no import at all": "def reward(state, action):\n    return state.x_velocity\n",
    "several terms in one statement": "def reward(state, action):\n"
    "    return state.x_velocity + state.time_s - state.obs[:, 0]\n",
}
"""Examples of the table that are described rather than written out."""


def source_of(cell: str) -> str:
    if cell in WHOLE:
        return WHOLE[cell]
    return f"def reward(state, action):\n    return {cell.strip('`')}\n"


def judge(source: str) -> str:
    try:
        program = compile_program(source, SCHEMA)
    except ProgramError as error:
        return error.issues[0].reason
    issues = dry_run(program).issues
    return issues[0].reason if issues else "ok"


@pytest.mark.parametrize(("kind", "code"), BLOCKS)
def test_example_works(kind, code):
    if kind == "python api":
        exec(compile(code, "docs/programs.md", "exec"), {})
        return
    name = re.match(r"def (\w+)", code).group(1)
    schema = TASK_SCHEMA if kind == "python constants" else SCHEMA
    assert dry_run(compile_program(code, schema, name)).issues == ()


@pytest.mark.parametrize(("reason", "refused", "accepted"), [(r, b, c) for r, _, b, c in REFUSALS])
def test_refusal_table_holds(reason, refused, accepted):
    assert judge(source_of(refused)) == reason
    assert judge(source_of(accepted)) == "ok"


def test_every_class_is_explained_once():
    assert sorted(row[0] for row in REFUSALS) == sorted(REASONS)


def test_function_table_is_complete():
    table = TEXT.split("### Functions")[1].split("`np.sum` and `np.mean`")[0]
    assert sorted(re.findall(r"`np\.([a-z0-9_.]+)`", table)) == sorted(FUNCTIONS)


def test_inline_examples_of_shapes_hold():
    shapes = {
        "number": ["0.5", "np.exp(-1.0)", "np.pi"],
        "(N,)": ["state.x_velocity", "state.obs[:, 3]"],
        "(N, k)": ["state.obs", "action", "state.obs[:, 2:5]"],
    }
    for shape, examples in shapes.items():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| {shape} |"))
        assert re.findall(r"`([^`]+)`", row) == examples
        for example in examples:
            wanted = "ok" if shape == "(N,)" else "shape"
            assert judge(source_of(example)) == wanted


def test_numbers_in_the_text_are_the_limits():
    for text in [
        f"{limits.MAX_SOURCE_BYTES} characters of ASCII, {limits.MAX_STATEMENTS} statements, "
        f"{limits.MAX_NODES} syntax nodes",
        f"{limits.MAX_BRACKET_DEPTH} brackets, {limits.MAX_TREE_DEPTH} levels",
        f"up to {limits.MAX_LITERAL:,.0f} in magnitude",
        f"integers in the source | up to 2**{limits.MAX_INTEGER.bit_length() - 1} in magnitude",
        f"exponents | up to {limits.MAX_EXPONENT} in magnitude",
        f"{limits.MAX_COMPONENTS}, with names of up to {limits.MAX_COMPONENT_NAME} characters",
        f"cost | {limits.MAX_COST} column operations",
        f"{ROWS} environments of made-up inputs",
        f"{DEADLINE_S * 1e3:.0f} ms of\n   processor time per {ROWS_PER_DEADLINE} environments",
        f"within {STRIKE_WINDOW} calls",
        f"within ±{REWARD_LIMIT:.0f}",
        f"{SLOW_POWER_WEIGHT} for `x ** 3`",
        f"{FUNCTIONS['exp'].weight} for\n`np.exp`, {FUNCTIONS['sin'].weight} for `np.sin`",
    ]:
        assert text in TEXT, text
    assert STRIKES == 3
