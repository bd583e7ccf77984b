"""The stages of a run at work: opens their envs and makes their branches, each in its time."""

import contextlib
import functools
from collections.abc import Callable

import msgspec

from websim.service.errors import UserError
from websim_learner.adaptation.curriculum import Ranges, ranges_asked
from websim_learner.branch import Branch
from websim_learner.checkpoint import Checkpoint
from websim_learner.divided import DividedFleet, seed_of_part
from websim_learner.fleet import FleetClient, Waiter
from websim_learner.pace import Pace
from websim_learner.randomness import Stream, derived_seed
from websim_learner.rewards import make_reward
from websim_learner.run_dir import RunConfig
from websim_learner.stage import Stage, first_stage

NOISE_COUNTERS = 1 << 32
"""Counters from here on key what a stage draws itself; those below key its envs."""


class Stages:
    """Knows what a run trains on now, and changes it between two updates."""

    def __init__(
        self,
        config: RunConfig,
        branches: list[Branch],
        open_training: Callable[[RunConfig, int], FleetClient],
        open_other: Callable[[RunConfig, int], FleetClient],
        waiter: Waiter,
        pace: Pace,
        beat: Callable[[], None],
    ) -> None:
        """Make ready; nothing is opened yet.

        Args:
            config: the run's.
            branches: the run's; changed in place, because status and books look at the same list.
            open_training: opens the training session of a configuration with a seed.
            open_other: the same, for the envs that another task has beside the run's own.
            waiter: waits for it.
            pace: holds branches up.
            beat: called now and then during an update.
        """
        self.present = first_stage(config)
        self.first_ranges: Ranges = {}
        """Of knobs, that a run which is new begins with."""
        self._config = config
        self._branches = branches
        self._open_training = open_training
        self._open_other = open_other
        self._waiter = waiter
        self._pace = pace
        self._beat = beat

    @property
    def config(self) -> RunConfig:
        """What a run would be asked for that trains on the present stage from its start."""
        return self.present.applied_to(self._config)

    def config_of(self, task: str) -> RunConfig:
        """Return the same for another task of the run; `config` where none is named."""
        if not task:
            return self.config
        return msgspec.structs.replace(self.config, task=task, task_overrides={})

    def begin(self, checkpoint: Checkpoint | None, *, wait: bool) -> None:
        """Make the branch that stands where a checkpoint was taken, on a session of its own.

        Args:
            checkpoint: None: where the run begins.
            wait: for a fleet that does not answer; otherwise that is an error at once.

        Raises:
            UserError: there is no fleet, it refuses the task, the task has not the knobs that the
                run begins with, or the checkpoint does not fit.
        """
        config = self._config
        stage = stage_of(checkpoint, config)
        source = config.reward_source if stage.branch == 0 else None
        branch = self._make(stage, source, wait=wait)
        try:
            if checkpoint is not None:
                _load(branch, checkpoint)
            elif config.knobs or config.difficulty is not None:
                task = branch.client.task
                self.first_ranges = ranges_asked(task, config.knobs, config.difficulty)
        except BaseException:
            branch.close()
            raise
        self._branches[:], self.present = [branch], stage

    def prepare(self, stage: Stage, ranges: Ranges, *, wait: bool) -> tuple[Branch, bool]:
        """Make the branch of the next stage, its envs at the start of episodes.

        Args:
            stage: the next one.
            ranges: of the knobs that its envs have turned, from their first episodes on.
            wait: for a fleet that does not answer; otherwise that is an error at once.

        Returns:
            The branch, and whether the present policy goes on in it. `enter` puts it in place.

        Raises:
            UserError: the fleet refuses the envs, or does not build them.
            RunStopped: the run is to stop.
        """
        former = self._branches[0]
        same_task = stage.branch == self.present.branch
        branch = self._make(stage, former.reward.source if same_task else None, wait=wait)
        try:
            kept = branch.succeed(former)
            branch.start(ranges)
        except BaseException:
            branch.close()
            raise
        return branch, kept

    def enter(self, stage: Stage, branch: Branch) -> None:
        """Put what `prepare` made in place of the present branch, and give that one's envs back."""
        former = self._branches[0]
        self._branches[:], self.present = [branch], stage
        with contextlib.suppress(UserError):
            # The fleet forgets sessions of clients that are gone.
            former.close()

    def as_json(self) -> dict[str, object]:
        """Return what a checkpoint says of the present stage, its task's facts included."""
        task = msgspec.to_builtins(self._branches[0].client.task)
        return {"stage": self.present.as_json(), "task_info": task}

    def _make(self, stage: Stage, source: str | None, *, wait: bool) -> Branch:
        """Open a stage's session and make its branch, with the first policy of its seed."""
        config = self._config
        # Every life opens the same session; envs are put where they were by their snapshots.
        session_seed = derived_seed(config.seed, Stream.TRAINING_SESSION, stage.n)
        seed = config.seed
        if stage.n:
            seed = derived_seed(config.seed, Stream.TRAINING_SESSION, NOISE_COUNTERS + stage.n)
        client = self._open(stage, session_seed, wait=wait)
        try:
            return Branch(
                stage.branch,
                client,
                stage.ppo,
                seed=seed,
                session_seed=session_seed,
                total_steps=config.total_steps,
                task_env_steps=stage.task_env_steps,
                reward=make_reward(source, client.task, stage.num_envs),
                device=config.device,
                waiter=self._waiter,
                beat=self._beat,
                pace=self._pace,
            )
        except BaseException:
            client.close()
            raise

    def _open(self, stage: Stage, seed: int, *, wait: bool) -> FleetClient:
        """Open a stage's session, or one for each of its tasks."""
        own = stage.applied_to(self._config)
        asked = [msgspec.structs.replace(own, num_envs=stage.own_envs)]
        for task, num_envs in stage.others:
            another = {"task": task, "num_envs": num_envs, "task_overrides": {}}
            asked.append(msgspec.structs.replace(own, **another))
        clients: list[FleetClient] = []
        try:
            for part, config in enumerate(asked):
                opener = self._open_other if part else self._open_training
                opened = functools.partial(opener, config)
                seed_of = seed_of_part(seed, part)
                clients.append(self._waiter.open(opened, seed_of) if wait else opened(seed_of))
            return DividedFleet(clients) if len(clients) > 1 else clients[0]
        except BaseException:
            for client in clients:
                client.close()
            raise


def stage_of(checkpoint: Checkpoint | None, config: RunConfig) -> Stage:
    """Return the stage in which a checkpoint was taken; a run's first one where it says none.

    Raises:
        UserError: the run began with other settings than its configuration says.
    """
    first = first_stage(config)
    kept = checkpoint.counters.get("stage") if checkpoint is not None else None
    if checkpoint is None or kept is None:
        return first
    stage = msgspec.convert(kept, Stage)
    if stage.n == 0 and stage != first:
        raise _misfit(checkpoint, "it was trained with other settings")
    return stage


def _load(branch: Branch, checkpoint: Checkpoint) -> None:
    try:
        branch.load(checkpoint.counters["branches"][0], checkpoint.arrays)
    except (ValueError, KeyError) as error:
        raise _misfit(checkpoint, str(error)) from None


def _misfit(checkpoint: Checkpoint, why: str) -> UserError:
    return UserError(
        f"{checkpoint.name} does not fit this run: {why}",
        "Was config.json or the task's file changed?",
    )
