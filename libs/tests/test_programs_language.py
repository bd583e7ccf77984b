"""The language from its author's and its user's side: messages, identity, results, limits."""

import threading
import warnings

import numpy as np
import pytest

from websim.programs import Program, ProgramError, ProgramSchema, compile_program

FIELDS = {"obs": 17, "previous_obs": 17, "x_velocity": 0, "torso_height": 0, "spin": 1}
NUM_ROWS = 5


def make_schema(**overrides) -> ProgramSchema:
    return ProgramSchema(**{"fields": FIELDS, "action_dim": 6, **overrides})


def make_program(returned: str, *before: str, kind="reward", **overrides) -> Program:
    lines = [*before, f"return {returned}"]
    source = f"def {kind}(state, action):\n" + "".join(f"    {line}\n" for line in lines)
    return compile_program(source, make_schema(**overrides), kind)


def make_inputs(num_rows: int = NUM_ROWS) -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(1)
    fields = {
        name: generator.standard_normal((num_rows, columns) if columns else num_rows)
        for name, columns in FIELDS.items()
    }
    return fields, generator.standard_normal((num_rows, 6)).astype(np.float32)


def refusal(returned: str, *before: str, **overrides) -> ProgramError:
    with pytest.raises(ProgramError) as caught:
        make_program(returned, *before, **overrides)
    return caught.value


@pytest.mark.parametrize(
    ("returned", "hint"),
    [
        ("state.x_velocty", "did you mean state.x_velocity?"),
        ("state.height", "did you mean state.torso_height?"),
        ("state.foo", "there are: obs, previous_obs, spin, torso_height, x_velocity"),
        ("x_velocity", "read it as state.x_velocity"),
        ("obs[:, 0]", "read it as state.obs"),
        ("np.minumum(state.x_velocity, 1.0)", "did you mean np.minimum?"),
        ("np.tanhh(state.x_velocity)", "did you mean np.tanh or np.tan?"),
        ("np.xyz(state.x_velocity)", "there are: abs, "),
        ("exp(state.x_velocity)", "call it as np.exp"),
        ("max(state.x_velocity, 0.0)", "np.maximum(x, y) of two"),
        ("state.obs.sum(axis=1)", "use np.sum(x, axis=1)"),
        ("math.cos(state.x_velocity)", "use np.cos(x)"),
        ("np.dot(state.obs, state.obs)", "np.vecdot(x, y)"),
        ("np.zeros(5)", "np.zeros_like(x)"),
        ("np.minimum(state.x_velocity, np.inf)", "bound one side"),
        ("np.max(state.x_velocity, 0.0)", "use np.maximum(x, 0.0)"),
        ("np.min(state.x_velocity, 3.0)", "use np.minimum(x, 3.0)"),
        ("np.amax(state.x_velocity, -0.5)", "use np.maximum(x, -0.5)"),
        ("np.max(state.x_velocity, state.torso_height)", "use np.maximum(x, y)"),
        ("np.max(state.obs, 0)", "axis=1 reduces the columns of each environment"),
        ("np.max(state.obs, None)", "the axis of np.max is the literal 1"),
        ("np.sum(state.obs, 1.0)", "the axis of np.sum is the literal 1"),
        ("-(state.x_velocity < -1.0)", "or a number as in -1.0 * (x > 0.0)"),
        ("np.sum(state.obs, axis=0)", "axis=1 reduces the columns of each environment"),
        ("np.clip(state.x_velocity, 0.0)", "write np.clip(x, low, high)"),
        ("np.where(state.x_velocity > 0.0, 1.0)", "write np.where(c, x, y)"),
        ("state.obs[:, 17]", "there are 17, the last is 16"),
        ("state.obs + action", "(N, 17) with (N, 6); select as many columns"),
        ("0.0 < state.x_velocity < 1.0", "write (a < x) & (x < b)"),
        ("state.x_velocity ** state.x_velocity", "must be a literal number"),
        ("2000000.0 * state.x_velocity", "numbers go up to 1,000,000"),
        ("state.x_velocity if 1 > 0 else 0.0", "use np.where(c, a, b)"),
        ("np.clip(state.x_velocity, a_min=0.0, a_max=1.0)", "write np.clip(x, low, high)"),
        ("np.sum(state.obs, axis=1, keepdims=True)", "write np.sum(x, axis=1)"),
        ("np.linalg.norm(state.obs, ord=1, axis=1)", "write np.linalg.norm(x, axis=1)"),
        ("np.zeros_like(state.x_velocity, dtype=np.float32)", "write np.zeros_like(x)"),
        ("state.x_velocity.clip(-1.0, 1.0)", "use np.clip(x, low, high)"),
        ("np.maximum.reduce([state.x_velocity, state.spin])", "nest np.maximum(x, y)"),
        ("np.greater(state.x_velocity, 1.0)", "write the comparison itself, as in x > y"),
        ("np.fmax(state.x_velocity, 0.0)", "np.maximum(x, y)"),
        ("state.x_velocity * math.pi", "write np.pi"),
        ("np.sum(state.obs * state.x_velocity[:, None], axis=1)", "as in x * np.sum(y, axis=1)"),
        ("state.x_velocity[state.x_velocity > 0.0]", "or np.where(condition, x, y)"),
    ],
)
def test_refusal_says_what_is_allowed_instead(returned, hint):
    assert hint in str(refusal(returned))


DASHES = "-" * 60
OPEN = "([{" * 20


@pytest.mark.parametrize(
    "comment",
    [
        f"# {DASHES}",
        f"# it's {DASHES} {OPEN}",
        f'"""Run.\n    {DASHES}\n    "Forward" {OPEN}"""',
        f"r'''{DASHES} \\''' {OPEN}''' # {OPEN}",
        f"'# {DASHES} \\' {OPEN}'",
        f'"{DASHES} \\\n {OPEN}"',
    ],
)
def test_comments_and_strings_are_of_any_form(comment):
    assert make_program("state.x_velocity", comment).id == make_program("state.x_velocity").id


@pytest.mark.parametrize(
    "before",
    [
        "",
        "'a' ",
        "'''#''' ",
        "'\\\\' ",
        "'\\\n' ",
        '"it\'s" ',
        "'",
        "'''",
        "''''",
        "f'",
        "rf'''",
        'f"{"',
        "1'",
        "# '''\n    ",
        "'''\\''' ''' ",
    ],
)
def test_what_may_be_code_is_measured_before_it_is_parsed(before):
    for chain in ("~" * 2000, "- \\\n" * 1000, "(-# -\n-(" * 200):
        assert refusal(f"{before}{chain}1").issues[0].reason == "size"


def test_place_of_a_chain_is_that_of_the_text():
    error = refusal("state.x_velocity + " + "-" * 60 + "1.0", f'"""{DASHES}"""', "a = 'b'")
    assert (error.issues[0].line, error.issues[0].column) == (4, 29)


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("```python\n{}```", "; remove the ``` fence around the code"),
        ("Here's the reward:\n```python\n{}```", "fence around the code, and any text outside"),
        ("{}```\n", "remove the ``` fence around the code, and any text outside the function"),
        ("{}That is it.", "write one Python function in valid syntax"),
    ],
)
def test_fence_is_what_is_refused_wherever_it_stands(source, hint):
    function = "def reward(state, action):\n    return state.x_velocity\n"
    with pytest.raises(ProgramError) as caught:
        compile_program(source.format(function), make_schema())
    assert caught.value.issues[0].reason == "syntax"
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("outside", "hint"),
    [
        ("TARGET = 2.0", "line 1, column 1: statements outside the function are not allowed; move"),
        ("def clipped(x): return x", "write what it computes inside the one def reward"),
        ('"""A reward."""', "move a docstring below def reward(state, action): and remove"),
    ],
)
def test_what_stands_outside_is_what_is_refused(outside, hint):
    source = f"{outside}\ndef reward(state, action):\n    return state.x_velocity"
    with pytest.raises(ProgramError) as caught:
        compile_program(source, make_schema())
    (issue,) = caught.value.issues
    assert (issue.reason, issue.line) == ("structure", 1)
    assert hint in str(issue)


def test_names_on_the_left_are_assigned_one_at_a_time():
    error = refusal("a", "a, b = state.obs[:, 0], state.obs[:, 1]")
    assert error.issues[0].reason == "assign"
    assert "assign one name at a time" in str(error)


def test_refusal_names_line_and_column():
    error = refusal("b", "a = state.x_velocity", "b = a + state.obs[:, 20]")
    (issue,) = error.issues
    assert (issue.reason, issue.line, issue.column) == ("index", 3, 26)
    assert str(error).startswith("line 3, column 26: ")


@pytest.mark.parametrize(
    ("returned", "line", "reason"),
    [
        ("(state.x_velocity\n        + 1.0\n        + state.obs)", 5, "shape"),
        ("(state.obs\n        + 1.0\n        + state.x_velocity)", 3, "shape"),
        ("(state.obs\n        - action)", 4, "shape"),
        ("np.maximum(\n        state.x_velocity,\n        state.obs)", 5, "shape"),
        ("np.clip(\n        state.obs,\n        state.obs,\n        action)", 6, "shape"),
        ("1.0 * (\n        state.x_velocity >\n        state.obs)", 5, "shape"),
        ("1.0 * ((state.x_velocity > 0.0)\n        & state.torso_height)", 4, "node"),
        ("1.0 * (state.torso_height\n        | (state.x_velocity > 0.0))", 3, "node"),
    ],
)
def test_operand_that_does_not_fit_is_where_it_is_refused(returned, line, reason):
    (issue,) = refusal(returned, "a = 1.0").issues
    assert (issue.line, issue.reason) == (line, reason)


def test_operand_of_an_augmented_assignment_is_refused_in_its_place():
    (issue,) = refusal("r", "r = state.x_velocity", "r += state.obs").issues
    assert (issue.line, issue.column, issue.reason) == (3, 10, "shape")


@pytest.mark.parametrize(
    ("assignment", "hint"),
    [
        ("_speed = 1.0", "call it speed"),
        ("_action = 1.0", "use another name, such as x"),
        ("_np = 1.0", "use another name, such as x"),
        ("_1 = 1.0", "use another name, such as x"),
        ("_if = 1.0", "use another name, such as x"),
        ("_ = 1.0", "use another name, such as x"),
    ],
)
def test_name_that_is_proposed_is_free(assignment, hint):
    assert hint in str(refusal("state.x_velocity", assignment))


@pytest.mark.parametrize("name", ["1st", "_run", "a-b", "", "a" * 65])
def test_component_names_begin_with_a_letter(name):
    (issue,) = refusal(f"state.x_velocity, {{{name!r}: state.x_velocity}}").issues
    assert issue.reason == "constant"
    assert "begin with a letter, then use letters, digits and _, up to 64" in issue.message


def test_decorator_is_refused_in_its_own_line():
    source = "@np.vectorize\n\ndef reward(state, action):\n    return state.x_velocity"
    with pytest.raises(ProgramError) as caught:
        compile_program(source, make_schema())
    (issue,) = caught.value.issues
    assert (issue.reason, issue.line, issue.column) == ("structure", 1, 2)
    assert "decorators are not allowed" in issue.message


def test_all_mistakes_are_reported_but_none_twice():
    error = refusal(
        "r + t",
        "r = state.nothing",
        "s = r * 2.0",
        "t = np.foo(s)",
        "for i in s: pass",
        "u = state.obs[:, 99]",
    )
    assert [(issue.reason, issue.line) for issue in error.issues] == [
        ("attribute", 2),
        ("call", 4),
        ("node", 5),
        ("index", 6),
    ]
    assert str(error).endswith("(and 3 more issues)")


def test_number_of_issues_is_bounded():
    error = refusal("state.x_velocity", *[f"a{i} = state.nothing" for i in range(30)])
    assert len(error.issues) == 8


def test_id_is_of_what_is_computed_not_of_how_it_is_written():
    plain = make_program("a - 0.5 * state.x_velocity", "a = state.obs[:, -1]")
    renamed = make_program("last-(0.5 * state.x_velocity)", "last = state.obs[:, 16]  # the last")
    assert plain.id == renamed.id
    assert len(plain.id) == 18
    assert plain.id.startswith("p_")


def test_id_is_stable():
    # Runs and journals store ids: they must not move with Python, numpy or a refactoring.
    program = make_program("run - cost, {'run': run, 'cost': -cost}",
                           "run = state.x_velocity",
                           "cost = 0.1 * np.sum(np.square(action), axis=1)")  # fmt: skip
    assert program.id == "p_9e5275e11a40fe82"


@pytest.mark.parametrize(
    "other",
    [
        make_program("2.0 * state.torso_height"),
        make_program("2 * state.x_velocity"),
        make_program("2.0 * state.x_velocity, {'a': state.x_velocity}"),
        make_program("2.0 * state.x_velocity, {'b': state.x_velocity}"),
        make_program("2.0 * state.x_velocity", kind="fitness"),
        make_program("2.0 * state.x_velocity", action_dim=7),
        make_program("2.0 * state.x_velocity", constants={"w": 1.0}),
        make_program("2.0 * state.x_velocity", fields={**FIELDS, "more": 1}),
    ],
)
def test_id_differs_when_anything_that_matters_does(other):
    assert other.id != make_program("2.0 * state.x_velocity").id


def test_program_says_what_it_reads():
    program = make_program(
        "state.x_velocity + state.obs[:, 3] + np.sum(state.obs[:, 4:6], axis=1)",
        "whole = state.previous_obs",
    )
    assert program.fields == ("obs", "previous_obs", "x_velocity")
    assert program.column_spans == ((slice(3, 6),), (), ())
    assert not program.reads_action
    assert make_program("action[:, 0]").reads_action


def test_program_cannot_be_changed():
    program = make_program("state.x_velocity")
    with pytest.raises(AttributeError, match="immutable"):
        program.id = "p_1"
    with pytest.raises(AttributeError, match="immutable"):
        program.colour = "red"
    with pytest.raises(AttributeError, match="immutable"):
        del program.id


def test_result_never_shares_memory_with_an_input():
    fields, action = make_inputs()
    for returned in ("state.x_velocity", "state.obs[:, 2]", "a", "action[:, 0]", "+a"):
        program = make_program(f"{returned}, {{'a': a}}", "a = state.obs[:, 5]")
        total, components = program.with_components(fields, action)
        for result in (total, components["a"], program(fields, action)):
            assert not any(np.shares_memory(result, array) for array in [*fields.values(), action])


def test_augmented_assignment_rebinds_and_leaves_the_input_alone():
    fields, action = make_inputs()
    before = fields["obs"].copy()
    program = make_program("r", "r = state.obs[:, 8]", "r += 1.0", "r *= 2.0")
    assert np.array_equal(program(fields, action), 2.0 * (before[:, 8] + 1.0))
    assert np.array_equal(fields["obs"], before)


def test_read_only_inputs_and_float32_results():
    fields, action = make_inputs()
    for array in (*fields.values(), action):
        array.setflags(write=False)
    program = make_program("-0.1 * np.sum(np.square(action), axis=1)")
    assert program(fields, action).dtype == program.dtype == np.float32


@pytest.mark.parametrize("kind", ["terminated", "success"])
def test_boolean_kinds_return_booleans(kind):
    fields, action = make_inputs()
    program = make_program("~(state.torso_height > 0.2)", kind=kind)
    assert program(fields, action).dtype == np.bool_
    assert refusal("state.torso_height", kind=kind).issues[0].reason == "shape"
    two = refusal("state.x_velocity > 0.0, {'a': state.x_velocity}", kind=kind)
    assert two.issues[0].reason == "structure"


def test_fitness_has_no_components():
    assert make_program("state.x_velocity", kind="fitness").dtype == np.float64
    two = refusal("state.x_velocity, {'a': state.x_velocity}", kind="fitness")
    assert two.issues[0].reason == "structure"


def test_constants_are_numbers_and_vectors():
    constants = {"dt": 0.05, "limits": (0.2, float("inf")), "w": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)}
    fields, action = make_inputs()
    program = make_program(
        "np.sum(np.square(action) * w, axis=1) / np.sum(w) * dt",
        "low = np.clip(state.x_velocity, limits[0], limits[1])",
        constants=constants,
    )
    vector = np.array(constants["w"])
    wanted = np.sum(np.square(action) * vector, axis=1) / np.sum(vector) * 0.05
    assert np.array_equal(program(fields, action), wanted)
    for returned in ("w[6] * state.x_velocity", "w[0:2]", "state.x_velocity * w[-7]", "w[:, 0]"):
        assert refusal(returned, constants=constants).issues[0].reason == "index"
    for returned in ("w", "w * state.x_velocity", "state.obs[:, 0:3] * w", "np.mean(w, axis=1)"):
        assert refusal(returned, constants=constants).issues[0].reason == "shape"
    assert refusal("state.x_velocity", "dt = 1.0", constants=constants).issues[0].reason == "assign"
    flag = make_program("np.where(dt > 0.1, state.x_velocity, 0.0)", constants=constants)
    assert not flag(fields, action).any()


def test_one_column_field_is_a_matrix():
    fields, action = make_inputs()
    program = make_program("np.sum(state.spin * state.obs, axis=1) + state.spin[:, 0]")
    wanted = np.sum(fields["spin"] * fields["obs"], axis=1) + fields["spin"][:, 0]
    assert np.array_equal(program(fields, action), wanted)
    assert refusal("state.spin").issues[0].reason == "shape"


def test_wide_fields_of_task_programs_fit_the_cost_bound():
    wide = {"contact": 84, "inertia": 348, "x_velocity": 0}
    program = make_program(
        "1.25 * state.x_velocity - np.minimum(contact + spread, 10.0)",
        "contact = 5e-7 * np.sum(np.square(state.contact), axis=1)",
        "spread = np.sum(np.square(np.clip(state.inertia, -1.0, 1.0)), axis=1)",
        fields=wide,
    )
    assert program.fields == ("contact", "inertia", "x_velocity")


def test_cost_is_counted_by_column():
    assert make_program("np.sin(state.obs[:, 0]) ** 3").kind == "reward"
    error = refusal("a[:, 0]", *["a = state.obs ** 3"] * 3)
    assert [issue.reason for issue in error.issues] == ["cost"]


def test_missing_and_misshapen_fields_are_named():
    fields, action = make_inputs()
    program = make_program("state.x_velocity + state.torso_height")
    with pytest.raises(ValueError, match="torso_height"):
        program({"x_velocity": fields["x_velocity"]}, action)
    with pytest.raises(ValueError, match=r"shape \(3,\) for 5 environments"):
        program({"x_velocity": np.ones(3), "torso_height": np.ones(3)}, action)


def test_numpy_warnings_stay_inside():
    fields, action = make_inputs()
    program = make_program("np.log(state.x_velocity) / 0.0, {'a': np.sqrt(-state.x_velocity ** 2)}")
    assert not np.isfinite(program(fields, action)).any()
    program.with_components(fields, action)


def test_programs_compile_side_by_side():
    errors = []
    filters = warnings.filters[:]

    def work() -> None:
        try:
            for _ in range(30):
                make_program("np.tanh(state.x_velocity) + 1e-3 * state.obs[:, 0] ** 2")
        except ProgramError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert warnings.filters[:] == filters


@pytest.mark.parametrize(
    "overrides",
    [
        {"fields": {"a b": 1}},
        {"fields": {"class": 1}},
        {"fields": {"_x": 1}},
        {"fields": {"x": -1}},
        {"fields": {"x": 5000}},
        {"action_dim": 0},
        {"constants": {"np": 1.0}},
        {"constants": {"x": ()}},
        {"constants": {"x": float("nan")}},
        {"constants": {"lambda": 1.0}},
    ],
)
def test_schema_that_makes_no_sense_is_refused(overrides):
    with pytest.raises(ValueError, match="program schema"):
        make_schema(**overrides)


def test_schema_does_not_change_with_what_it_was_made_of():
    fields = {"x": 0}
    schema = make_schema(fields=fields)
    fields["y"] = 1
    assert dict(schema.fields) == {"x": 0}
