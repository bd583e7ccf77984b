"""A task's own program without its constants: still the same program, in the words it was in."""

import math

import numpy as np
import pytest

from websim.programs import ProgramError, ProgramSchema, compile_program
from websim.programs.spell_out import spell_out

CONSTANTS = {"weight": 0.5, "bounds": (-math.inf, 2.0), "masses": (1.0, 3.0), "far": 1e9}
ALONE = ProgramSchema({"x_velocity": 0, "legs": 2}, action_dim=2)
WITH = ProgramSchema(ALONE.fields, 2, CONSTANTS)


def test_numbers_become_variables_and_elements_become_numbers():
    source = """def reward(state, action):
    \"\"\"Forward, not too fast.\"\"\"
    # As fast as is asked.
    fast = np.clip(weight * state.x_velocity, bounds[0], bounds[-1])
    return fast * weight
"""
    spelled = spell_out(source, CONSTANTS)
    assert (
        spelled
        == """def reward(state, action):
    \"\"\"Forward, not too fast.\"\"\"
    weight = 0.5
    # As fast as is asked.
    fast = np.clip(weight * state.x_velocity, (-1000000.0), 2.0)
    return fast * weight
"""
    )
    compile_program(spelled, ALONE)


@pytest.mark.parametrize(
    "body",
    [
        "return weight * state.x_velocity - masses[1]",
        "return (masses[0] + masses[\n        1]) * state.x_velocity",
        "if_fast = np.minimum(state.x_velocity, bounds[1])\n    return if_fast ** masses[0]",
    ],
)
def test_it_computes_the_same(body):
    source = f"def reward(state, action):\n    {body}\n"
    fields = {"x_velocity": np.linspace(-3.0, 3.0, 7), "legs": np.ones((7, 2))}
    action = np.zeros((7, 2), np.float32)
    expected = compile_program(source, WITH)(fields, action)
    alone = compile_program(spell_out(source, CONSTANTS), ALONE)
    np.testing.assert_array_equal(alone(fields, action), expected)


@pytest.mark.parametrize("name", ["masses", "far"])
def test_what_cannot_be_written_keeps_its_name(name):
    source = f"def reward(state, action):\n    return np.sum(state.legs, axis=1) * np.sum({name})\n"
    assert spell_out(source, CONSTANTS) == source
    with pytest.raises(ProgramError, match=name):
        compile_program(spell_out(source, CONSTANTS), ALONE)


def test_a_program_on_one_line_is_left_as_it_is():
    source = "def reward(state, action): return weight * state.x_velocity\n"
    assert spell_out(source, CONSTANTS) == source
