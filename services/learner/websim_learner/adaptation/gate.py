"""The learner's own gate: whoever executes a program checks it again, cheapest tier first.

Language, then a dry run in a confined child, on made-up inputs and on this run's stored
trajectories, then the preference test on the latter. A neighbour's "checked" is not believed.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from websim.programs import ProgramError, ProgramSchema, compile_program
from websim.programs.dryrun import ROWS, DryRun, dry_run, is_constant, scale_of
from websim.programs.guard import REWARD_LIMIT
from websim.programs.risks import riskiest
from websim.programs.sandbox import SandboxedProgram, SandboxError
from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_learner.adaptation.points import Trajectory
from websim_learner.adaptation.preference import Preference, Ranked, judge, rank

MAX_MESSAGE = 2000


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says of a reward."""

    accepted: bool
    tier: Literal["language", "dry_run", "preference", "in_force"]
    """The tier that refused it; the last one for an accepted program. "in_force": it is no change,
    which a trial sees to."""
    program_id: str = ""
    message: str = ""
    """Why it is refused, for its author."""
    preference: Preference | None = None
    ranked: tuple[Ranked, ...] = ()
    """What that was judged by; empty where it did not come to it."""


def schema_of(task: TaskInfo) -> ProgramSchema:
    """Return what programs of a task may read."""
    return ProgramSchema({field.name: field.columns for field in task.fields}, task.action_dim)


def check_fitness(source: str, task: TaskInfo) -> None:
    """Try a fitness program from anyone; what it prefers is its author's business.

    Raises:
        UserError: it is refused; says why.
    """
    try:
        program = compile_program(source, schema_of(task), "fitness")
        with SandboxedProgram(program, num_rows=ROWS) as confined:
            problem = "; ".join(issue.message for issue in dry_run(confined).issues)
    except ProgramError as error:
        problem = str(error)
    except SandboxError as error:
        problem = f"its trial gave no result: {error}"
    if problem:
        raise UserError(f"the fitness program is refused: {problem[:MAX_MESSAGE]}")


def check_reward(
    source: str,
    task: TaskInfo,
    trajectories: Sequence[Trajectory],
    recorded: Sequence[Trajectory] = (),
    *,
    gamma: float,
) -> Checked:
    """Judge a reward program from anyone.

    Args:
        source: its text.
        task: whose fields it may read.
        trajectories: stored ones, good and bad, for the preference test.
        recorded: stored ones on which it is to have numbers, of a usual size.
        gamma: discount per env step of what is to learn from it.
    """
    try:
        program = compile_program(source, schema_of(task))
    except ProgramError as error:
        return Checked(accepted=False, tier="language", message=str(error)[:MAX_MESSAGE])
    try:
        with SandboxedProgram(program, num_rows=ROWS) as confined:
            trial = dry_run(confined)
            problem = "; ".join(issue.message for issue in trial.issues)
            if not problem and not trial.scales["total"].is_within(REWARD_LIMIT):
                problem = f"the total is beyond {REWARD_LIMIT:g} on ordinary inputs; scale it"
            problem = problem or _problem_on(recorded, confined, trial)
            if problem:
                return Checked(
                    accepted=False,
                    tier="dry_run",
                    program_id=program.id,
                    message=problem[:MAX_MESSAGE],
                )
            ranked = rank(confined, trajectories, gamma)
    except SandboxError as error:
        message = f"its trial gave no result: {error}"
        return Checked(
            accepted=False, tier="dry_run", program_id=program.id, message=message[:MAX_MESSAGE]
        )
    preferred = judge(ranked)
    return Checked(
        accepted=preferred.passed,
        tier="preference",
        program_id=program.id,
        message="" if preferred.passed else preferred.sentence,
        preference=preferred,
        ranked=tuple(ranked),
    )


def _problem_on(recorded: Sequence[Trajectory], program: SandboxedProgram, trial: DryRun) -> str:
    """Return what is wrong with a reward's numbers over recorded steps; empty: nothing.

    Steps whose own fields are no numbers, where an engine diverged, are held against nobody. What
    made-up inputs are too small to meet, recorded ones may: then its total is no constant.
    """
    totals = [np.zeros(0)]
    for each in recorded:
        sound = np.isfinite(each.action).all(axis=1)
        for name in program.fields:
            sound &= np.isfinite(each.fields[name]).reshape(each.length, -1).all(axis=1)
        totals.append(program(each.fields, each.action).astype(np.float64)[sound])
    total = np.concatenate(totals)
    bad = int((~np.isfinite(total)).sum())
    if bad:
        remedy = riskiest(program.source)[2]
        return f"the total is NaN or infinite for {bad} of {len(total)} recorded steps; {remedy}"
    if len(total) and not scale_of(total).is_within(REWARD_LIMIT):
        return f"the total is beyond {REWARD_LIMIT:g} on recorded steps; scale it"
    if trial.constant and is_constant(total):
        return trial.unchanging
    return ""
