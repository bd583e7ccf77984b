"""Examinations: a policy's mean action, judged by the goal's measure, on a session of its own."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager

from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_learner.adaptation.curriculum import Ranges
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.measure import GoalMeasure
from websim_learner.adaptation.points import EvalPoint, Trajectory
from websim_learner.advance import Advance
from websim_learner.branch import Branch
from websim_learner.divided import misfit
from websim_learner.evaluation import Evaluation, evaluate, probe_trajectories
from websim_learner.fleet import FleetClient, Waiter, turn_knobs
from websim_learner.randomness import Stream, derived_seed
from websim_learner.rewards import RewardFailed


class Examiner:
    """Evaluates branches from the same starts every time; opens the session when first needed."""

    def __init__(
        self,
        open_evaluation: Callable[[int, int, str], FleetClient],
        waiter: Waiter,
        episodes: int,
        seed: int,
        note_skipped: Callable[[int], None],
        timed: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Make ready.

        Args:
            open_evaluation: opens an evaluation session of so many envs with a seed, of another
                task than the run's where one is named.
            waiter: waits for it.
            episodes: of an evaluation.
            seed: the run's.
            note_skipped: called with steps of an evaluation that were not simulated.
            timed: keeps the time of an examination apart from training's.
        """
        self._open = open_evaluation
        self._episodes = episodes
        self._waiter = waiter
        self._note_skipped = note_skipped
        self._timed = timed
        self._seed = derived_seed(seed, Stream.EVALUATION_SESSION)
        self._clients: dict[tuple[int, bool, str], FleetClient] = {}
        """Sessions by their number of envs, whether their knobs are turned, and another task."""
        self._measure: GoalMeasure | None = None

    def set_goal(self, goal: Goal, task: TaskInfo) -> None:
        """Judge by a goal's measure from now on.

        Raises:
            UserError: its program is refused.
        """
        measure = GoalMeasure(goal, task) if goal.kind == "program" else None
        if self._measure is not None:
            self._measure.close()
        self._measure = measure

    def change_task(self, goal: Goal, task: TaskInfo) -> None:
        """Evaluate on another task from now on; its sessions are opened when first needed."""
        self.close()
        self.set_goal(goal, task)

    def examine(
        self,
        branch: Branch,
        trajectories: int = 0,
        most: int | None = None,
        ranges: Ranges | None = None,
        *,
        judged: bool = False,
        filmed: bool = False,
        put_off: Callable[[], bool] = lambda: False,
    ) -> Evaluation:
        """Evaluate a branch's present policy.

        Args:
            branch: whose.
            trajectories: episodes to keep; where any are, all are judged.
            most: episodes at most, the first ones of a whole evaluation; None for all of them.
            ranges: of knobs, the others are nominal; None for nominal physics.
            judged: whether the branch's present reward judges the episodes too.
            filmed: whether its median episode is filmed.
            put_off: asked with every step; True ends it at once.

        Raises:
            PutOff: it was put off.
        """
        with self._timed():
            examine = functools.partial(
                evaluate,
                self._session(most) if ranges is None else self._turned(ranges),
                branch.actor,
                self._seed,
                self._waiter,
                measure=self._measure,
                trajectories=trajectories,
                filmed=filmed,
                put_off=put_off,
                note_skipped=self._note_skipped,
            )
            if not (judged or trajectories):
                return examine()
            try:
                return examine(reward=branch.reward)
            except RewardFailed:
                # The next update finds out too, and replaces the reward.
                return examine()

    def examine_elsewhere(self, branch: Branch, task: str) -> Evaluation:
        """Evaluate a branch's present policy in another task, by the same measure.

        Raises:
            UserError: there is no such task, or policy and measure do not go with it.
        """
        with self._timed():
            client = self._opened(self._episodes, turned=False, task=task)
            own, other = branch.client.task, client.task
            if (why := misfit(own, other)) is not None:
                raise UserError(f"a policy of {own.id} cannot act in {other.id}: {why}")
            if self._measure is None and own.fitness_unit != other.fitness_unit:
                raise UserError(
                    f"the fitness of {other.id} is in {other.fitness_unit or 'no unit'}, that of "
                    f"{own.id} in {own.fitness_unit or 'no unit'}"
                )
            return evaluate(
                client, branch.actor, self._seed, self._waiter,
                measure=self._measure, note_skipped=self._note_skipped,
            )  # fmt: skip

    def probes(self) -> tuple[Trajectory, ...]:
        """Return what doing nothing, doing anything and doing one thing all the time looks like."""
        with self._timed():
            return probe_trajectories(
                self._session(), self._seed, self._waiter, self._measure, self._note_skipped
            )

    def close(self) -> None:
        """Give the session back."""
        while self._clients:
            self._clients.popitem()[1].close()
        if self._measure is not None:
            self._measure.close()
            self._measure = None

    def _turned(self, ranges: Ranges) -> FleetClient:
        """Return the session whose knobs are turned, by which nothing nominal is measured."""
        client = self._opened(self._episodes, turned=True)
        # All of them: those that are not named keep what was measured before.
        nominal = {knob.name: (knob.nominal, knob.nominal) for knob in client.task.knobs}
        turn_knobs(client, nominal | dict(ranges), self._waiter)
        return client

    def _session(self, most: int | None = None) -> FleetClient:
        """Return the session of as many envs: an env's starts depend on its number alone."""
        episodes = self._episodes if most is None else min(most, self._episodes)
        return self._opened(episodes, turned=False)

    def _opened(self, episodes: int, *, turned: bool, task: str = "") -> FleetClient:
        key = (episodes, turned, task)
        if key not in self._clients:
            self._clients[key] = self._waiter.open(
                lambda seed: self._open(episodes, seed, task), self._seed
            )
        return self._clients[key]


def stats_of(advance: Advance) -> dict[str, float]:
    """Return what a point tells of the update before it."""
    stats = advance.stats
    return {
        "value_loss": stats.value_loss,
        "policy_loss": stats.policy_loss,
        "entropy_nats": stats.entropy_nats,
        "kl_nats": stats.kl_nats,
        "explained_variance": stats.explained_variance,
    }


def point_of(
    evaluation: Evaluation,
    branch: Branch,
    update: int,
    env_steps: int,
    stats: dict[str, float],
    *,
    whole: bool = True,
) -> EvalPoint:
    """Return an evaluation as what decisions rest on.

    Args:
        evaluation: of the branch's present policy.
        branch: who was evaluated.
        update: updates of the run done by then.
        env_steps: training env steps of the run done by then.
        stats: of the update before, see `stats_of`.
        whole: not a mere look at a policy on probation.
    """
    success = evaluation.episode_success
    known = evaluation.success_mean is not None
    return EvalPoint(
        update=update,
        env_steps=env_steps,
        fitness=tuple(evaluation.episode_fitness.tolist()),
        reward_return=tuple(evaluation.episode_reward.tolist()),
        task_return=tuple(evaluation.episode_return.tolist()),
        length=tuple(int(steps) for steps in evaluation.episode_length),
        success=tuple(success.tolist()) if known else (),
        reward_id=branch.reward.id,
        components=evaluation.components,
        whole=whole,
        **stats,
    )
