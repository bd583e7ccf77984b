"""A goal turns adapting on where nobody said whether the run adapts. On the toy."""

import pytest
from scripted import BACKWARDS, MEASURED, written, wrote
from staging import CENTRE, Killed, die, sends, unless_done

from websim_learner.adaptation.author import Answered
from websim_learner.control import FitnessProgram, SetAdapt, SetGoal

OWN = SetGoal(
    kind="set_goal",
    description="go left",
    fitness=FitnessProgram(program="def fitness(state, action):\n    return -state.x\n"),
)


def modes(h, command):
    """Return whether the run adapts before a command and after it."""
    seen = []
    h.at = {
        2: [lambda h: seen.append(h.run.adaptation.mode), sends(command)],
        4: [lambda h: seen.append(h.run.adaptation.mode)],
    }
    h.go()
    return seen


@pytest.mark.parametrize("command", [OWN, BACKWARDS], ids=["measured", "in words"])
def test_a_run_of_which_nobody_said_if_it_adapts_does_so_from_its_first_goal_on(asking, command):
    h, author = asking((3, Answered("/v1/goals", MEASURED)), adapt="off", adapts_with_goal=True)
    assert modes(h, command) == ["off", "auto"]
    assert h.answers[0].detail.endswith("; the run adapts from now on")
    # Candidates are asked for as soon as it is known how the goal is measured.
    assert [path for path, _ in author.asked][-1] == "/v1/rewards"


def test_a_goal_turns_nothing_on_that_was_turned_off(asking):
    h, _ = asking(adapt="off")
    assert modes(h, OWN) == ["off", "off"]
    assert h.answers[0].detail == "the goal is set; it is only measured until the run adapts"
    off, _ = asking(adapt="off", adapts_with_goal=True)
    said = SetAdapt(kind="set_adapt", mode="off")
    off.at = {1: [sends(said)], 2: [sends(OWN)]}
    off.go()
    assert off.run.adaptation.mode == "off"


@pytest.mark.parametrize("command", [OWN, BACKWARDS], ids=["measured", "in words"])
def test_a_goal_turns_adapting_on_in_every_life_of_a_run(asking, tmp_path, command):
    answers = (3, Answered("/v1/goals", MEASURED)), (20, wrote(written("centre", CENTRE)))
    off = {"adapt": "off", "adapts_with_goal": True, "checkpoint_every_updates": 100}

    def begin(name):
        h, _ = asking(*answers, directory=tmp_path / name, **off)
        h.at = {2: [unless_done(command)]}
        return h

    alone, killed = begin("alone"), begin("killed")
    alone.go()
    killed.at[10] = [die]
    with pytest.raises(Killed):
        killed.go()
    again = begin("killed")
    again.go()
    assert again.run.adaptation.mode == "auto"
    assert again.digest() == alone.digest()
