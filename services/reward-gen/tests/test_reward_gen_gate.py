"""The gate's verdicts, which an author can act on; and the weights of a program."""

import pytest
from reward_gen_samples import BROKEN, GOOD, HACKABLE, make_task

from websim.programs import ProgramError
from websim_reward_gen.weights import read_weights, with_weights

SCHEMA = make_task().schema_


def reward(expression):
    return f"def reward(state, action):\n    return {expression}\n"


REFUSED = [
    ("syntax error", "def reward(state, action:\n", "language", "syntax"),
    ("a wrong name", GOOD.replace("def reward", "def compute"), "language", "structure"),
    ("prose", "The reward should be the speed.", "language", "syntax"),
    ("two fences", f"```\n{GOOD}```\n```\n{GOOD}```", "language", "syntax"),
    ("a helper before it", f"def f(x):\n    return x\n\n{GOOD}", "language", "structure"),
    ("an unknown field", BROKEN, "language", "attribute"),
    ("an import", f"import os\n{GOOD}", "language", "import"),
    ("an attribute walk", reward("state.__class__"), "language", "attribute"),
    ("a loop", "def reward(state, action):\n    while True:\n        pass\n", "language", "node"),
    ("a large allocation", reward("np.zeros(1000000000)"), "language", "call"),
    ("a matrix", reward("state.obs"), "language", "shape"),
    ("a truncated text", GOOD[: GOOD.index("    return")], "language", "structure"),
    (
        "0 / 0 at rest",
        reward("state.x_velocity / (state.x_velocity - state.x_velocity)"),
        "dry_run",
        "nonfinite",
    ),
    (
        "0 / 0 where nothing moves",
        reward("state.x_velocity / np.abs(state.x_velocity)"),
        "dry_run",
        "nonfinite",
    ),
    (
        "a constant but for rounding",
        reward("np.square(np.sin(state.pitch)) + np.square(np.cos(state.pitch))"),
        "dry_run",
        "unchanging",
    ),
    (
        "a mean beyond all numbers",
        reward("np.sign(state.x_velocity) * 150.0 * (1e6 ** 16) ** 3 * (1e6 ** 3)"),
        "dry_run",
        "scale",
    ),
    ("a root of anything", reward("np.sqrt(state.x_velocity)"), "dry_run", "nonfinite"),
    ("a constant", reward("np.ones_like(state.x_velocity)"), "dry_run", "unchanging"),
    (
        "what is never met",
        reward("np.where(state.pitch > 50.0, 1.0, 0.0)"),
        "dry_run",
        "unchanging",
    ),
    ("1e9", reward("1e6 * 1e3 * state.x_velocity"), "dry_run", "scale"),
]


@pytest.mark.parametrize(
    ("program", "tier", "reason"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_is_refused(gate, program, tier, reason):
    verdict = gate.judge(program, SCHEMA)

    assert (verdict.accepted, verdict.tier) == (False, tier)
    assert verdict.issues[0].reason == reason
    assert verdict.message.startswith(f"{reason}: ")
    assert verdict.model_dump_json()


@pytest.mark.parametrize("program", [GOOD, HACKABLE], ids=["good", "hackable"])
def test_is_accepted_with_what_it_reads_and_how_large_it_is(gate, program):
    verdict = gate.judge(program, SCHEMA)

    assert (verdict.accepted, verdict.issues) == (True, ())
    assert set(verdict.fields) <= {"x_velocity", "healthy"}
    assert 0.0 < verdict.scales["total"].std < 2.0


def test_a_reward_that_no_made_up_state_meets_is_told_so(gate):
    rare = "1.0 * (np.abs(state.x_velocity - 50.0) < 0.5)"
    (issue,) = gate.judge(reward(rare), SCHEMA).issues

    assert issue.reason == "unchanging"
    assert "its condition is met by none of them" in issue.message
    assert "add a smooth term" in issue.message


def test_a_condition_that_is_rarely_met_may_be_a_fitness_but_not_one_that_reads_nothing(gate):
    rare = "def fitness(state, action):\n    return np.where(state.pitch > 50.0, 1.0, 0.0)\n"
    never = "def fitness(state, action):\n    return np.ones_like(state.pitch)\n"

    assert gate.judge(rare, SCHEMA, "fitness").accepted
    assert gate.judge(never, SCHEMA, "success").issues[0].reason == "structure"
    nothing = gate.judge("def fitness(state, action):\n    return 0.0\n", SCHEMA, "fitness")
    assert not nothing.accepted


def test_every_issue_is_told_not_the_first_alone(gate):
    program = (
        "def reward(state, action):\n    a = state.nope\n    b = state.nada\n    return a + b\n"
    )

    verdict = gate.judge(program, SCHEMA)

    assert [issue.line for issue in verdict.issues] == [2, 3]
    assert len(verdict.message.splitlines()) == 2


def test_a_program_that_was_tried_is_known_by_what_it_computes(gate):
    first = gate.judge(GOOD, SCHEMA)
    renamed = GOOD.replace("speed_weight", "w").replace("# ", "")

    verdict = gate.judge(renamed, SCHEMA, known_ids={first.program_id})

    assert (verdict.program_id, verdict.issues[0].reason) == (first.program_id, "repeated")


def test_weights_are_the_lines_that_name_them():
    program = GOOD.replace("0.1", "-0.25")

    assert read_weights(program) == {"speed_weight": 1.0, "effort_weight": -0.25}


def test_weights_are_changed_in_place_and_nothing_else_is():
    lines = "    a_weight = 1; b_weight = -2.5  # w\n    return a_weight * state.pitch * b_weight\n"
    program = "def reward(state, action):\n" + lines

    changed = with_weights(program, {"b_weight": 0.125, "a_weight": -3})

    assert changed == program.replace("= 1;", "= -3.0;").replace("= -2.5 ", "= 0.125 ")
    assert read_weights(changed) == {"a_weight": -3.0, "b_weight": 0.125}


def test_a_weight_that_is_not_there_is_named():
    with pytest.raises(
        ValueError, match="no weight luck_weight; it has: speed_weight, effort_weight"
    ):
        with_weights(GOOD, {"luck_weight": 1.0})


def test_what_is_no_number_is_no_weight():
    lines = "    a_weight = state.pitch\n    b_weight = True\n    return a_weight\n"
    program = "def reward(state, action):\n" + lines

    assert read_weights(program) == {}


@pytest.mark.parametrize("number", ["0x" + "f" * 4000, "1e999", "-1e999", "2e6"])
def test_what_no_program_may_write_is_no_weight(number):
    lines = f"    a_weight = {number}\n    b_weight = 1.0\n    return a_weight\n"

    assert read_weights("def reward(state, action):\n" + lines) == {"b_weight": 1.0}


def test_weights_of_what_is_not_python():
    with pytest.raises(ProgramError):
        read_weights("def (")
