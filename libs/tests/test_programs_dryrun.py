"""The trial on made-up inputs, and the guard between a program and a learner."""

import sys

import numpy as np
import pytest

from websim.programs import Program, ProgramSchema, compile_program
from websim.programs.dryrun import dry_run, make_inputs
from websim.programs.guard import REWARD_LIMIT, evaluate_guarded
from websim.programs.risks import riskiest

SCHEMA = ProgramSchema({"obs": 17, "previous_obs": 17, "x_velocity": 0, "time_s": 0}, 6)


class Misbehaving:
    """A program whose results are not what the language would give."""

    id = "p_0"
    kind = "reward"
    source = "def reward(state, action):\n    return state.x_velocity"
    schema = SCHEMA
    fields = ("x_velocity",)
    components = ()

    def __init__(self, function):
        self.function = function

    def __call__(self, fields, action):
        return self.function(fields["x_velocity"])

    def with_components(self, fields, action):
        return self(fields, action), {}


def make_program(returned: str, **overrides) -> Program:
    source = f"def reward(state, action):\n    return {returned}\n"
    return compile_program(source, **{"schema": SCHEMA, **overrides})


def make_fields(x_velocity: list[float]) -> dict[str, np.ndarray]:
    num_rows = len(x_velocity)
    return {"x_velocity": np.array(x_velocity), "obs": np.ones((num_rows, 17))}


def make_action(num_rows: int) -> np.ndarray:
    return np.zeros((num_rows, 6), np.float32)


def test_trial_reports_scale_of_total_and_components():
    trial = dry_run(make_program("3.0 * state.x_velocity, {'run': state.x_velocity}"))
    assert trial.issues == ()
    assert not trial.constant
    total, run = trial.scales["total"], trial.scales["component run"]
    assert total.std == pytest.approx(3.0 * run.std)
    assert run.minimum < -1.0 < 1.0 < run.maximum
    assert trial.nonfinite_share["normal"] == 0.0
    assert trial.nonfinite_share["nan"] == 1.0


def test_trial_notes_a_constant():
    assert dry_run(make_program("np.ones_like(state.x_velocity)")).constant


@pytest.mark.parametrize(
    ("returned", "constant"),
    [
        ("np.square(np.sin(state.x_velocity)) + np.square(np.cos(state.x_velocity))", True),
        ("state.x_velocity - state.x_velocity", True),
        ("1.0 + 1e-12 * state.x_velocity", True),
        ("1.0 + 1e-6 * state.x_velocity", False),
        ("1e-12 * state.x_velocity", False),
    ],
)
def test_what_varies_by_rounding_alone_is_a_constant(returned, constant):
    assert dry_run(make_program(returned)).constant == constant


def test_scale_beyond_all_numbers_is_within_no_limit():
    """Sums of +1.5e308 and -1.5e308 are infinite, and their mean is no number."""
    huge = "150.0 * (1e6 ** 16) ** 3 * (1e6 ** 3)"
    scale = dry_run(make_program(f"np.sign(state.x_velocity) * {huge}")).scales["total"]
    assert (scale.minimum, scale.maximum) == pytest.approx((-1.5e308, 1.5e308))
    assert not scale.is_within(1e300)
    assert dry_run(make_program("9.0 * state.x_velocity")).scales["total"].is_within(10.0)
    assert not dry_run(make_program("90.0 * state.x_velocity")).scales["total"].is_within(10.0)
    assert not dry_run(make_program("state.x_velocity + 20.0")).scales["total"].is_within(10.0)


def test_division_by_what_is_zero_at_rest_is_refused_with_its_place():
    source = (
        "def reward(state, action):\n"
        "    near = np.sqrt(np.sum(np.square(state.obs), axis=1)) / 2.0\n"
        "    return near + state.x_velocity / np.abs(state.x_velocity)\n"
    )
    (issue,) = dry_run(compile_program(source, SCHEMA)).issues
    assert (issue.reason, issue.line, issue.column) == ("nonfinite", 3, 19)
    assert issue.message == (
        "the total is NaN or infinite where all fields and the action are zero; "
        "guard the division: x / np.maximum(np.abs(y), 1e-6)"
    )


def test_observations_of_a_trial_are_one_step_apart():
    progress = make_program("state.obs[:, 0] - state.previous_obs[:, 0]")
    assert dry_run(progress).scales["total"].std == pytest.approx(0.1, rel=0.3)


def test_trial_takes_an_infinite_result_without_a_warning():
    trial = dry_run(make_program("-np.exp(1e6 + np.abs(state.x_velocity))"))
    assert [issue.reason for issue in trial.issues] == ["nonfinite"]


def test_time_is_never_negative_in_a_trial():
    assert dry_run(make_program("np.sqrt(state.time_s)")).issues == ()


@pytest.mark.parametrize(
    "returned",
    [
        "state.x_velocity + 0.01 * np.log(1.0 - np.max(np.abs(action), axis=1))",
        "np.sum(1.0 / (1.0 - np.square(action)), axis=1)",
        "0.5 * np.sum(np.log((1.0 + action) / (1.0 - action)), axis=1)",
        "1.0 / (2.0 + action[:, 0] - action[:, 1])",
        "1.0 / (1.0 + state.previous_action[:, 0])",
    ],
)
def test_what_is_infinite_at_the_bound_of_the_action_is_refused(returned):
    """A policy that is sure of itself is clipped to exactly that."""
    schema = ProgramSchema({**SCHEMA.fields, "previous_action": 6}, 6)
    (issue,) = dry_run(make_program(returned, schema=schema)).issues
    assert issue.reason == "nonfinite"
    assert "ordinary inputs" in issue.message
    assert issue.line == 2


def test_trial_has_actions_at_their_bounds_and_times_of_a_whole_episode():
    inputs = make_inputs(SCHEMA, 64, seed=0)["normal"]
    assert inputs.action[-4:, :3].tolist() == [[1, 1, 1], [-1, -1, -1], [1, -1, 1], [-1, 1, -1]]
    assert np.abs(inputs.action[:-4]).max() < 1.0
    time_s = np.sort(inputs.fields["time_s"])
    # Of 64 rows the first is in the middle of the first 64th: 50 s times its cube.
    assert time_s[0] == pytest.approx(50.0 / 128.0**3)
    assert (int((time_s < 1.0).sum()), int((time_s > 25.0).sum())) == (17, 13)
    assert make_inputs(SCHEMA, 1, seed=0)["normal"].fields["time_s"].tolist() == [6.25]


@pytest.mark.parametrize("bound", [0.5, 5.0, 20.0, 45.0])
def test_conditions_on_time_are_met_by_some_inputs(bound):
    assert not dry_run(make_program(f"np.where(state.time_s > {bound}, 1.0, 0.0)")).constant


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (
            "1.0 * (np.abs(state.x_velocity - 50.0) < 0.5)",
            "the total is 0 for all 64 made-up inputs: its condition is met by none of them, "
            "or by all; add a smooth term, as in np.exp(-np.square(x - 5.0))",
        ),
        ("np.where(np.isfinite(action[:, 0]), 2.0, 0.0)", "the total is 2 for all 64 made-up"),
        ("np.maximum(state.x_velocity - 50.0, 0.0)", "its condition is met by none of them"),
        ("0.0 * state.x_velocity", "the total is 0 whatever the state and the action are"),
        ("state.x_velocity - state.x_velocity", "let it depend on a field"),
    ],
)
def test_constant_by_its_condition_is_told_from_one_without(returned, said):
    trial = dry_run(make_program(returned))
    assert trial.constant
    assert said in trial.unchanging


def test_not_finite_names_the_likely_place():
    source = (
        "def reward(state, action):\n"
        "    a = state.obs[:, 0] / 2.0\n"
        "    b = np.exp(a) + np.log(state.obs[:, 1])\n"
        "    return a + b\n"
    )
    (issue,) = dry_run(compile_program(source, SCHEMA)).issues
    assert (issue.reason, issue.line, issue.column) == ("nonfinite", 3, 21)
    assert "np.log(np.maximum(x, 1e-6))" in issue.message


@pytest.mark.parametrize(
    ("expression", "remedy"),
    [
        ("state.x_velocity / state.time_s", "guard the division"),
        ("state.x_velocity ** 0.5", "a fractional power"),
        ("np.power(state.x_velocity, 0.5)", "a fractional power"),
        ("state.x_velocity ** -2", "guard the division"),
        ("np.exp(state.x_velocity)", "bound what grows"),
        ("state.x_velocity ** 3", "bound what grows"),
        ("np.arccos(state.x_velocity)", "np.arccos needs"),
        ("state.x_velocity + 1.0", "keep results finite"),
    ],
)
def test_remedy_fits_the_operation(expression, remedy):
    line, _, text = riskiest(f"def reward(state, action):\n    return {expression}\n")
    assert text.startswith(remedy)
    assert line == (0 if remedy == "keep results finite" else 2)


@pytest.mark.parametrize(
    "guarded",
    [
        "np.sqrt(np.sum(np.square(state.obs), axis=1))",
        "np.sqrt(np.maximum(state.x_velocity, 0.0))",
        "np.log(np.clip(state.x_velocity, 0.1, 5.0))",
        "np.log1p(np.abs(state.x_velocity))",
        "np.arccos(np.clip(state.x_velocity, -1.0, 1.0))",
        "np.arcsin(np.tanh(state.x_velocity))",
        "np.abs(state.x_velocity) ** 0.5",
        "1.0 / (1.0 + np.exp(-state.x_velocity))",
        "1.0 / (1.0 + state.x_velocity ** 2)",
        "1.0 / (1.0 + state.x_velocity * state.x_velocity)",
        "1.0 / -np.where(state.x_velocity > 0.0, 1.0, 2.0)",
        "np.mod(state.x_velocity, 2.0 * np.pi)",
        "np.float_power(np.minimum(np.maximum(state.x_velocity, 0.5), 2.0), -1.5)",
        "1.0 / (3.0 - np.cos(state.x_velocity))",
        "1.0 / np.cosh(state.x_velocity)",
        "np.log(np.cosh(state.x_velocity))",
        "np.log(np.sum(np.exp(state.obs), axis=1))",
        "np.log(np.exp(state.x_velocity) / np.sum(np.exp(state.obs), axis=1))",
        "np.sqrt(np.power(state.x_velocity, 2) + np.power(state.time_s, 2))",
        "np.sqrt(np.add(np.square(state.x_velocity), np.multiply(state.time_s, 2.0)))",
        "np.divide(1.0, np.add(1.0, np.square(state.x_velocity)))",
        "np.sqrt(1.0 - np.cos(state.x_velocity) ** 2)",
        "np.sqrt(np.subtract(1.0, np.square(np.sin(state.x_velocity))))",
        "np.arccos(np.tanh(state.x_velocity) * np.cos(state.x_velocity))",
        "np.sqrt(1.0 - np.cos(state.x_velocity) * np.cos(state.x_velocity))",
        "1.0 / np.hypot(state.x_velocity, 0.1)",
        "1.0 / np.log(2.0 + np.abs(state.x_velocity))",
        "1.0 / (1.0 + np.vecdot(state.obs, state.obs))",
        "np.sqrt(state.x_velocity % 2.0)",
        "np.reciprocal(np.abs(state.x_velocity) + 1.0)",
        "np.exp(-np.square(state.x_velocity)) ** 0.5",
        "np.sqrt((state.x_velocity - 1.0) ** 4.0)",
        "1.0 / (2.0 + np.arctan(state.x_velocity))",
        "np.where(1.0 / state.x_velocity > 2.0, 1.0, 0.0)",
        "1.0 * np.isfinite(np.log(state.x_velocity))",
    ],
)
def test_what_is_guarded_is_not_blamed(guarded):
    """The division on the last line is, though functions of limited domain are likelier."""
    lines = [f"a = {guarded}", "a += 0.0", "b = np.abs(state.x_velocity)", "b += 0.0"]
    body = "".join(f"    {line}\n" for line in [*lines, "return a + 1.0 / b"])
    line, _, remedy = riskiest(f"def reward(state, action):\n{body}")
    assert (line, remedy.split(":")[0]) == (6, "guard the division")


@pytest.mark.parametrize(
    "unguarded",
    [
        "np.sqrt(np.minimum(np.abs(state.x_velocity), state.x_velocity))",
        "np.log(np.abs(state.x_velocity))",
        "np.arccos(2.0 * np.cos(state.x_velocity))",
        "np.sqrt(1.0 - np.square(state.x_velocity))",
        "np.sqrt(1.0 - np.cosh(state.x_velocity))",
        "np.sqrt(1.0 - 2.0 * np.cos(state.x_velocity) ** 2)",
        "np.log(np.sum(state.obs > 0.0, axis=1))",
        "np.sqrt(np.power(state.x_velocity, 3))",
        "np.log(np.mod(state.x_velocity, 2.0))",
        "np.sqrt(np.minimum(np.square(state.x_velocity), 1.0) - np.tanh(state.time_s))",
    ],
)
def test_what_is_not_guarded_is_blamed(unguarded):
    source = f"def reward(state, action):\n    return {unguarded} + 1.0 / state.x_velocity\n"
    assert riskiest(source)[2].startswith("np.")


@pytest.mark.parametrize(
    ("statement", "remedy"),
    [
        ("r /= state.x_velocity", "guard the division"),
        ("r %= state.x_velocity", "guard the division"),
        ("r **= 0.5", "a fractional power"),
        ("r **= -1.0", "guard the division"),
    ],
)
def test_augmented_assignment_is_blamed_too(statement, remedy):
    lines = ["r = state.obs[:, 0]", statement, "return r + np.exp(state.time_s)"]
    body = "".join(f"    {line}\n" for line in lines)
    line, column, text = riskiest(f"def reward(state, action):\n{body}")
    assert (line, column, text.split(":")[0].split(" needs")[0]) == (3, 5, remedy)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("return np.where(np.abs(den) > 0.1, x / den, 0.0) + x ** 3", 4),
        ("return np.where(x > 0.0, np.log(x), 0.0) + 1.0 / den", 4),
        ("r = x / den; r = np.where(np.isfinite(r), r, 0.0)\n    return r + x ** 3", 5),
        ("r = x / den; q = 2.0 * r\n    return np.where(den != 0.0, q, 0.0) + x ** 3", 5),
        ("far = den > 0.1\n    return np.where(far, x / den, 0.0)\\\n        + x ** 3", 6),
    ],
)
def test_what_is_chosen_where_it_is_finite_is_not_blamed_before_others(body, line):
    """The other risk, in the last line, comes first though divisions are likelier than growth."""
    source = "def reward(state, action):\n    x = state.x_velocity\n    den = state.obs[:, 1]\n"
    found, column, remedy = riskiest(f"{source}    {body}\n")
    assert found == line
    assert remedy.startswith("bound what grows" if "x ** 3" in body else "guard the division")
    assert column > 10


@pytest.mark.parametrize(
    "returned",
    [
        "np.where(state.time_s > 1.0, state.x_velocity / state.obs[:, 1], 0.0)",
        "np.where(state.obs[:, 2] > 0.1, state.x_velocity / state.obs[:, 1], 0.0)",
        "np.where(np.abs(state.time_s) > 1.0, 1.0 / np.abs(state.obs[:, 1]), 0.0)",
        "np.where(np.abs(state.obs[:, 1]) < 0.1, 1.0 / np.abs(state.obs[:, 1]), 0.0)",
    ],
)
def test_another_condition_guards_nothing(returned):
    """The last one's does not either, but is the only thing that can be wrong."""
    growth = "" if "< 0.1" in returned else " + state.x_velocity ** 3"
    text = f"def reward(state, action):\n    return {returned}{growth}\n"
    assert riskiest(text)[2].startswith("guard the division")


def test_what_risks_cost_grows_with_the_program():
    """Quadratic growth would be 4 times, cubic growth 8 times."""

    def calls(levels: int) -> int:
        nested = "state.x_velocity"
        for _ in range(levels):
            nested = f"np.sqrt(s * s * {nested})"
        source = f"def reward(state, action):\n    s = state.time_s\n    return {nested}\n"
        compile_program(source, SCHEMA)
        count = 0

        def note(frame, event, argument):
            nonlocal count
            count += event == "call"

        sys.setprofile(note)
        try:
            riskiest(source)
        finally:
            sys.setprofile(None)
        return count

    assert calls(44) < 3 * calls(22)


def test_result_that_changes_between_calls_is_refused():
    generator = np.random.default_rng(0)
    noisy = Misbehaving(lambda x: x + generator.standard_normal(len(x)))
    assert dry_run(noisy).issues[0].reason == "batch"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - x.mean(),
        lambda x: x[::-1].copy(),
        lambda x: np.cumsum(x),
        lambda x: np.roll(x, 1),
        lambda x: x * len(x),
    ],
)
def test_result_that_mixes_environments_is_refused(function):
    assert [issue.reason for issue in dry_run(Misbehaving(function)).issues] == ["batch"]


def test_result_of_another_shape_is_refused():
    trial = dry_run(Misbehaving(lambda x: x[:, None]))
    assert [issue.reason for issue in trial.issues] == ["shape"]


def test_trials_are_the_same_every_time():
    first, second = (make_inputs(SCHEMA, 8, seed=1)["normal"] for _ in range(2))
    assert all(np.array_equal(first.fields[name], second.fields[name]) for name in SCHEMA.fields)
    assert first.action.dtype == np.float32
    assert np.abs(first.action).max() <= 1.0


def test_guard_changes_nothing_that_is_fine():
    fields = make_fields([1.0, -2.0, 1000.0])
    guarded = evaluate_guarded(make_program("state.x_velocity"), fields, make_action(3))
    assert guarded.total.tolist() == [1.0, -2.0, 1000.0]
    assert guarded.total.dtype == np.float64
    assert (guarded.nonfinite_rows, guarded.clipped_rows, guarded.components) == (0, 0, {})


def test_guard_replaces_and_counts():
    fields = make_fields([1.0, np.nan, np.inf, -np.inf, 5000.0, -1001.0])
    guarded = evaluate_guarded(make_program("state.x_velocity"), fields, make_action(6))
    assert guarded.total.tolist() == [1.0, 0.0, 0.0, 0.0, REWARD_LIMIT, -REWARD_LIMIT]
    assert (guarded.nonfinite_rows, guarded.clipped_rows) == (3, 2)


def test_guard_counts_a_row_once_whatever_is_wrong_with_it():
    program = make_program(
        "state.x_velocity, {'a': np.sqrt(state.x_velocity), 'b': 2.0 * state.x_velocity}"
    )
    guarded = evaluate_guarded(program, make_fields([-1.0, 4.0, 700.0]), make_action(3))
    assert guarded.total.tolist() == [-1.0, 4.0, 700.0]
    assert guarded.components["a"].tolist() == [0.0, 2.0, np.sqrt(700.0)]
    assert guarded.components["b"].tolist() == [-2.0, 8.0, 1000.0]
    assert (guarded.nonfinite_rows, guarded.clipped_rows) == (1, 1)


def test_guard_takes_a_limit_and_float32_and_no_rows():
    program = make_program("np.sum(action, axis=1)")
    action = np.full((2, 6), 10.0, np.float32)
    guarded = evaluate_guarded(program, make_fields([0.0, 0.0]), action, limit=5.0)
    assert guarded.total.tolist() == [5.0, 5.0]
    assert guarded.total.dtype == np.float64
    assert evaluate_guarded(program, make_fields([]), make_action(0)).total.shape == (0,)
