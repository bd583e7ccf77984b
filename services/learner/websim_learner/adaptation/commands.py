"""Commands of persons to the adapter."""

from websim_learner.adaptation.adapter import Adapter
from websim_learner.adaptation.gate import check_fitness
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.control import (
    AdaptCommand,
    AdoptReward,
    Approve,
    Ask,
    Reject,
    Rollback,
    SetAdapt,
    SetDifficulty,
    SetGoal,
    SetKnobs,
    TryReward,
)


def carry_out(adapter: Adapter, command: AdaptCommand) -> str:
    """Do what a command says; return what came of it.

    Raises:
        UserError: it cannot be done; says why.
    """
    try:
        return _do(adapter, command)
    except MeasureFailed as error:
        # Before anything is journaled of it, so it is done by what judges from now on.
        adapter.lose_measure(error.message)
        return _do(adapter, command)


def _do(adapter: Adapter, command: AdaptCommand) -> str:
    match command:
        case SetGoal():
            return adapter.set_goal(command.description, _measure(adapter, command), command.target)
        case Ask(reason=reason):
            return adapter.ask(reason)
        case TryReward(source=source, name=name):
            return adapter.try_reward(source, name)
        case AdoptReward(reward=reward, force=force, name=name):
            return adapter.adopt_reward(reward, force, name)
        case Rollback(reward=reward):
            return adapter.roll_back(reward)
        case Approve(adaptation=adaptation, name=name):
            return adapter.approve(adaptation, name)
        case Reject(adaptation=adaptation, reason=reason):
            return adapter.reject(adaptation, reason)
        case SetAdapt(mode=mode):
            return adapter.set_mode(mode)
        case SetKnobs(knobs=knobs):
            return adapter.turn(knobs, None)
        case SetDifficulty(difficulty=difficulty):
            return adapter.turn({}, difficulty)


def _measure(adapter: Adapter, command: SetGoal) -> Goal | None:
    """Return the goal with the measure that a person wrote, if one did."""
    fitness = command.fitness
    if fitness is None:
        return None
    check_fitness(fitness.program, adapter.task)
    return Goal(
        description=command.description,
        kind="program",
        program=fitness.program,
        accumulate=fitness.accumulate,
        per_horizon=fitness.per_horizon,
        unit=fitness.unit,
        fitness_description="a person's own measure",
        target=command.target,
    )
