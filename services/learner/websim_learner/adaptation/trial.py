"""The trial of an adaptation's candidates: gate, contest, decision. It adopts nothing itself."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from websim.service.errors import UserError
from websim_learner.adaptation.books import Books
from websim_learner.adaptation.contest import (
    CONTROL,
    Contest,
    group_envs,
    group_settings,
    updates_of,
)
from websim_learner.adaptation.curriculum import Ranges
from websim_learner.adaptation.examiner import Examiner, point_of, stats_of
from websim_learner.adaptation.film import Clip
from websim_learner.adaptation.gate import Checked, check_reward, schema_of
from websim_learner.adaptation.points import EvalPoint, Trajectory
from websim_learner.adaptation.rows import (
    DecisionValues,
    PreferenceValues,
    RoundValues,
    SchemaValues,
    VerdictValues,
)
from websim_learner.adaptation.shelf import Shelf
from websim_learner.adaptation.state import Candidate
from websim_learner.adaptation.trend import mean_of
from websim_learner.adaptation.verdicts import (
    Decision,
    TrialSettings,
    decide,
    halve,
    is_clear,
)
from websim_learner.advance import Advance
from websim_learner.branch import Branch
from websim_learner.fleet import FleetClient, Waiter, is_lost, turn_knobs
from websim_learner.policy_state import PolicyState
from websim_learner.randomness import Stream, derived_seed
from websim_learner.rewards import make_reward
from websim_learner.run_dir import RunConfig


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    decision: Decision
    policies: dict[str, PolicyState]
    """Of the contenders that were left in the end, the control among them."""
    points: dict[str, EvalPoint]
    """Their last evaluations."""
    env_steps: int
    """Training steps that it took."""


class TrialFailed(Exception):
    """A trial decides nothing: there is nobody to compare with. The text says why."""

    def __init__(self, message: str, env_steps: int) -> None:
        """Say why, and how many training steps were done by then."""
        super().__init__(message)
        self.env_steps = env_steps


class Trials:
    """Holds trials for a run."""

    def __init__(
        self,
        config: RunConfig,
        examiner: Examiner,
        books: Books,
        open_group: Callable[[int, int, str], FleetClient],
        waiter: Waiter,
        between: Callable[[], None],
        settings: TrialSettings,
        shelf: Shelf,
    ) -> None:
        """Make ready.

        Args:
            config: the run's.
            examiner: evaluates contenders.
            books: where rounds and decisions are written.
            open_group: opens a session of so many envs with a seed, for the contender named.
            waiter: waits for it.
            between: called between two updates of a contender; may raise to abandon the trial.
            settings: of trials.
            shelf: keeps what contenders look like.
        """
        self._config = config
        self._examiner = examiner
        self._books = books
        self._open_group = open_group
        self._waiter = waiter
        self._between = between
        self._settings = settings
        self._shelf = shelf
        self._round, self._standing = "", [CONTROL]
        """Which round is under way, and who is in it, for people."""

    def env_steps(self, branch: Branch, contenders: int) -> int:
        """Return how many training steps a trial takes at most, the control's included.

        Groups train by whole updates, so that is more than their rounds' steps.
        """
        group = group_envs(branch.num_envs, contenders)
        per_update = group * group_settings(branch.settings, branch.num_envs, group).rollout_length
        held = self._held_for(contenders - 1)
        first, *later = (
            updates_of(steps, per_update) * per_update for steps in held.round_env_steps
        )
        return first * contenders + sum(later) * min(contenders, 1 + held.finalists)

    def _held_for(self, candidates: int) -> TrialSettings:
        """Return how a trial of so many candidates is held."""
        if self._books.state.goal.by_fitness:
            return self._settings
        # No number says who is better: all stay to the end, and a person chooses.
        return msgspec.structs.replace(self._settings, finalists=candidates, by_fitness=False)

    def admit(
        self,
        candidates: Sequence[Candidate],
        branch: Branch,
        trajectories: Sequence[Trajectory],
        recorded: Sequence[Trajectory],
    ) -> dict[str, Checked]:
        """Let candidates pass the gate (see gate.py); return what it says of each, by name."""
        task = branch.client.task
        schema = schema_of(task)
        verdicts: dict[str, Checked] = {}
        for number, candidate in enumerate(candidates, 1):
            which = f"candidate {number} of {len(candidates)}"
            self._books.trying = f"{which} is checked at the gate: {candidate.name}"
            self._between()
            checked = check_reward(
                candidate.source, task, trajectories, recorded, gamma=branch.settings.gamma
            )
            if checked.accepted and checked.program_id == branch.reward.id:
                checked = msgspec.structs.replace(
                    checked, accepted=False, tier="in_force", message="it is the reward in force"
                )
            verdicts[candidate.name] = checked
            self._books.row(
                "verdict",
                VerdictValues(
                    name=candidate.name,
                    source=candidate.source,
                    schema=SchemaValues(fields=dict(schema.fields), action_dim=schema.action_dim),
                    accepted=checked.accepted,
                    program_id=checked.program_id,
                    refused_by="" if checked.accepted else checked.tier,
                    reason=checked.message,
                    judged=None
                    if checked.preference is None
                    else PreferenceValues(ranked=checked.ranked, preference=checked.preference),
                ),
            )
        return verdicts

    def hold(
        self,
        branch: Branch,
        candidates: Sequence[Candidate],
        env_steps: int,
        number: int,
        ranges: Ranges,
    ) -> Outcome:
        """Let candidates train beside the incumbent's control group, and decide.

        Args:
            branch: the incumbent; it is not changed.
            candidates: accepted ones, with names of their own.
            env_steps: training steps of the run so far.
            number: of the adaptation: keys the groups' randomness.
            ranges: of the knobs that the incumbent's envs have turned.

        Raises:
            RunStopped: the run is to stop.
            TrialFailed: the control group failed, or there are no groups to be had.
            UserError: the fleet is gone.
        """
        config = self._config
        group = group_envs(branch.num_envs, 1 + len(candidates))
        settings = group_settings(branch.settings, branch.num_envs, group)
        seed = derived_seed(config.seed, Stream.CONTEST_SESSION, number)
        start = branch.policy_state()

        def open_group(seed: int, name: str) -> FleetClient:
            client = self._open_group(group, seed, name)
            try:
                # Contenders live in the incumbent's environments, from their first episodes on.
                turn_knobs(client, ranges, self._waiter)
            except BaseException:
                client.close()
                raise
            return client

        def make_fork(client: FleetClient, source: str | None) -> Branch:
            fork = Branch(
                number,
                client,
                settings,
                seed=derived_seed(config.seed, Stream.CONTEST_SESSION, (1 << 32) + number),
                session_seed=seed,
                total_steps=config.total_steps,
                first_env_steps=env_steps,
                task_env_steps=branch.task_env_steps,
                pace=branch.pace,
                reward=make_reward(source, client.task, group),
                device=config.device,
                waiter=self._waiter,
            )
            fork.take_over(start, fork.reward)
            return fork

        clips: dict[str, Clip] = {}

        def evaluate(name: str, fork: Branch, last: Advance) -> EvalPoint:
            # The control's is the first point of the incumbent that goes on from there.
            evaluation = self._examiner.examine(fork, judged=True, filmed=True)
            if evaluation.clip is not None:
                clips[name] = evaluation.clip
            update, steps = self._books.when
            return point_of(evaluation, fork, update, steps, stats_of(last))

        def keep_clips(names: Iterable[str]) -> None:
            task, filmed = branch.client.task, {n: clips[n] for n in names if n in clips}
            self._shelf.keep(number, task.id, task.figure, filmed)

        most = self.env_steps(branch, 1 + len(candidates))

        def between() -> None:
            self._between()
            done = f"{contest.env_steps:,} of at most {most:,} steps"
            self._books.trying = f"{self._round}, {done}: {', '.join(self._standing)}"

        def tell(name: str, fork: Branch, steps: int) -> None:
            self._books.tell_curve(number, name, steps, fork.statistics.means())

        contest = Contest(
            make_fork,
            lambda name: self._waiter.open(lambda s: open_group(s, name), seed),
            evaluate,
            between,
            self._books.note_fork,
            tell,
        )
        names = [candidate.name for candidate in candidates]
        self._books.trying = f"the trial begins: {', '.join([CONTROL, *names])}"
        try:
            try:
                contest.enter(
                    {CONTROL: branch.reward.source}
                    | {candidate.name: candidate.source for candidate in candidates}
                )
            except UserError as error:
                # A run needs no trial to go on, but who loses envs begins another life.
                if is_lost(error):
                    raise
                raise TrialFailed(str(error), contest.env_steps) from None
            return self._compete(contest, names, self._unit(branch), keep_clips)
        finally:
            contest.close()

    def _unit(self, branch: Branch) -> str:
        """Return the unit of the fitness that contenders are judged by."""
        goal = self._books.state.goal
        return branch.client.task.fitness_unit if goal.kind == "task" else goal.unit

    def _compete(
        self,
        contest: Contest,
        names: list[str],
        unit: str,
        keep_clips: Callable[[Iterable[str]], None],
    ) -> Outcome:
        settings, books = self._held_for(len(names)), self._books
        standing = [CONTROL, *names]
        points: dict[str, EvalPoint | None] = {}
        rounds = settings.round_env_steps
        decision: Decision | None = None
        for number, steps in enumerate(rounds, 1):
            self._round, self._standing = f"trial, round {number} of {len(rounds)}", standing
            held = contest.train(standing, steps)
            points = {name: held.points[name] for name in standing}
            control = points[CONTROL]
            candidates = {name: point for name, point in points.items() if name != CONTROL}
            clear = False
            if control is not None:
                decision = decide(control, candidates, settings)
                clear = number < len(rounds) and is_clear(control, decision, settings)
            last = control is None or clear or number == len(rounds)
            keep = len(standing) if last else settings.finalists
            stay = list(halve(points, keep, CONTROL))
            books.row(
                "round",
                RoundValues(
                    round=number, results=points, keep=keep, control=CONTROL, stay=stay,
                    settings=settings, clear=clear,
                ),
            )  # fmt: skip
            books.tell("round", f"round {number}: {_standings(points, held.reasons)}")
            standing = [CONTROL, *stay]
            if last:
                break
        if control is None or decision is None:
            why = held.reasons.get(CONTROL, "")
            raise TrialFailed(f"the control group failed: {why}", contest.env_steps)
        known = {name: point for name, point in points.items() if point is not None}
        # Who reads of the decision finds them.
        keep_clips(known)
        books.row(
            "decision",
            DecisionValues(
                control=control, finalists=candidates, settings=settings, decision=decision,
                unit=unit,
            ),
        )  # fmt: skip
        books.tell("decision", decision.sentence)
        return Outcome(
            decision=decision,
            policies={name: contest.policy(name) for name in standing if name in known},
            points=known,
            env_steps=contest.env_steps,
        )


def _standings(points: dict[str, EvalPoint | None], reasons: dict[str, str]) -> str:
    parts = []
    for name, point in points.items():
        if point is None:
            parts.append(f"{name} failed ({reasons.get(name, 'unknown')})")
        else:
            parts.append(f"{name} {mean_of(point.fitness):.3g}")
    return ", ".join(parts)
