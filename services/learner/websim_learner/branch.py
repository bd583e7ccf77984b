"""A branch: one policy with its task, optimiser, normalisers, reward, and envs on the fleet.

The trainer holds a list of them. A branch advances by one update at a time and knows nothing of
the others, of HTTP, files or commands.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from websim.programs.sandbox import STRIKES
from websim.service.errors import UserError
from websim_learner.advance import Advance
from websim_learner.algorithms.ppo import PPO
from websim_learner.algorithms.state import Arrays, prefixed, unprefixed
from websim_learner.algorithms.swap import Swap
from websim_learner.checkpoint import arrays_sha256
from websim_learner.collector import CollectionTime, Collector
from websim_learner.defaults import PPOSettings
from websim_learner.divided import parts_of
from websim_learner.fleet import FleetClient, Waiter, num_envs
from websim_learner.models import NumpyActor
from websim_learner.pace import Pace
from websim_learner.policy_state import PolicyState
from websim_learner.returns import RewardReturns
from websim_learner.rewards import (
    LOST_SHARE,
    Judgement,
    Reward,
    RewardFailed,
    TaskReward,
    fields_of,
    make_reward,
)
from websim_learner.rollout import Rollout
from websim_learner.statistics import EpisodeStatistics


@dataclass(frozen=True)
class _Collected:
    rollout: Rollout
    reward: Reward
    timing: CollectionTime


class Branch:
    """One policy in training."""

    def __init__(
        self,
        branch_id: int,
        client: FleetClient,
        settings: PPOSettings,
        *,
        seed: int,
        session_seed: int,
        total_steps: int,
        reward: Reward,
        device: str = "cpu",
        waiter: Waiter | None = None,
        beat: Callable[[], None] = lambda: None,
        first_env_steps: int = 0,
        task_env_steps: int = 0,
        pace: Pace | None = None,
    ) -> None:
        """Make a branch with the first policy of a seed.

        Args:
            branch_id: its number in the run.
            client: its training session; the branch drives it alone.
            settings: of PPO.
            seed: of the run.
            session_seed: keys the randomness of its envs.
            total_steps: env steps of the run, at which the learning rate has fallen.
            reward: what rollouts are judged by at first.
            device: torch device of the update.
            waiter: waits for the fleet; it may stop a rollout.
            beat: called now and then during an update.
            first_env_steps: env steps of the run done before this branch began.
            task_env_steps: env steps of the run done when its task began, from where the learning
                rate falls.
            pace: holds rollouts and updates up, by the wall clock.
        """
        self.branch_id = branch_id
        self.client = client
        self.reward = reward
        """What rollouts are judged by, from the next one on."""
        self.statistics = EpisodeStatistics()
        """Of episodes of the run's own task."""
        own, *others = parts_of(client)
        self.reward_returns = RewardReturns(num_envs(own))
        """Of the same episodes, by the reward that is learned from."""
        self.others = {part.task.id: EpisodeStatistics() for part in others}
        """Of the tasks that some of the envs have instead."""
        self.env_steps = first_env_steps
        """Training env steps of the run done by now; the learning rate falls with them."""
        self.invalid_transitions = 0
        self.settings = settings
        """Of PPO."""
        self.task_env_steps = task_env_steps
        self.pace = pace or Pace()
        self._session_seed = session_seed
        self._total_steps = total_steps
        self._beat = beat
        self._collector = Collector(client, seed, waiter, self.pace)
        task, rows = client.task, self._collector.num_envs
        self.algorithm = PPO(settings, task.obs_dim, task.action_dim, rows, seed, device)
        self.steps_per_update = rows * settings.rollout_length
        self._buffers = [
            Rollout(settings.rollout_length, rows, task.obs_dim, task.action_dim)
            for _ in range(2 if settings.overlap else 1)
        ]
        self._scaled_for = reward.id
        self._struck = ("", 0)
        """A reward, and how many rollouts in a row it had too few numbers for."""
        self._ahead: _Collected | None = None
        self._envs: dict[str, Arrays] | None = None
        """Where the envs are to be put at the start; None: at the start of episodes."""
        self._executor = ThreadPoolExecutor(1, "update") if settings.overlap else None

    @property
    def num_envs(self) -> int:
        """Envs of the training session."""
        return self._collector.num_envs

    @property
    def updates(self) -> int:
        """Updates done."""
        return self.algorithm.num_updates

    def start(self, ranges: Mapping[str, tuple[float, float]] = {}) -> bool:
        """Start episodes in all envs, or put them where they were when a checkpoint was taken.

        Args:
            ranges: of knobs that the first episodes draw from; envs that are put back have theirs.

        Returns:
            Whether they are exactly where they were.

        Raises:
            RunStopped, FleetError: it was not done.
        """
        envs, self._envs = self._envs, None
        if envs is not None:
            return self._collector.restore(envs)
        self.turn_knobs(ranges)
        self._collector.reset(self._session_seed)
        return True

    def make_reward(self, source: str | None) -> Reward:
        """Return the reward of a program's text, or the task's own for None.

        Raises:
            UserError: the text is refused.
        """
        return make_reward(source, self.client.task, self.num_envs)

    def set_reward(self, reward: Reward, at_once: bool = False) -> None:
        """Judge by another reward.

        Args:
            reward: what to judge by.
            at_once: from the next update on, which may learn from a rollout that was collected
                for the reward before; otherwise from the next rollout on.
        """
        before, self.reward = self._rewards(), reward
        if at_once and self._ahead is not None:
            self._ahead = replace(self._ahead, reward=reward)
        for unused in before - self._rewards():
            unused.close()

    def judge_ahead(self, reward: Reward) -> None:
        """Judge a rollout that was collected ahead by another reward, and only that."""
        before = self._rewards()
        if self._ahead is not None:
            self._ahead = replace(self._ahead, reward=reward)
        for unused in {*before, reward} - self._rewards():
            unused.close()

    def turn_knobs(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Draw knobs of the envs from ranges, from each one's next episode on.

        Between two updates nothing is outstanding; what was collected ahead stays as it is.

        Raises:
            RunStopped, FleetError: it was not done.
        """
        self._collector.turn_knobs(ranges)

    def reset_env(self, env_id: int) -> None:
        """End an env's episode, cut short, with the first step of the next rollout."""
        self._collector.cut_next(env_id)

    def count_steps(self, steps: int) -> None:
        """Count env steps that were done elsewhere on this branch's behalf."""
        self.env_steps += steps

    def policy_state(self) -> PolicyState:
        """Return copies of everything but the envs, between two updates."""
        return PolicyState(
            parts=self.algorithm.arrays(),
            num_updates=self.updates,
            reward_source=self.reward.source,
            scaled_for=self._scaled_for,
            swap=self.algorithm.swap.counters(),
            step_share=self.algorithm.step_share,
        )

    def take_over(self, state: PolicyState, reward: Reward | None = None) -> None:
        """Go on with another policy, its optimiser, normalisers and reward, between two updates.

        The envs go on with their episodes, and updates are counted on. A rollout that was
        collected ahead was the policy's before, so it is thrown away.

        Args:
            state: of a branch of the same task and settings, perhaps with other envs.
            reward: what to judge by from now on; None for what the state's branch judged by.

        Raises:
            UserError: the state's reward is refused.
            ValueError: the state belongs to a learner of another shape.
        """
        reward = reward or self._reward_of(state.reward_source)
        scale, same = self.algorithm.return_scale, state.scaled_for == self._scaled_for
        running, length = scale.running, scale.length
        self.algorithm.load(state.arrays(), self.updates)
        scale.keep_episodes(length, running if same else None)
        self.algorithm.swap = Swap(**state.swap)
        self.algorithm.step_share = state.step_share
        self._scaled_for = state.scaled_for
        if self._ahead is not None:
            self.reward_returns.lose_track()
        before, self._ahead, self.reward = self._rewards(), None, reward
        for unused in before - self._rewards():
            unused.close()

    def succeed(self, former: "Branch") -> bool:
        """Go on counting where another branch of the run stands, with its policy if that fits.

        Envs start afresh. Of another task only a policy that sees and moves the same things fits,
        and it meets the task's own reward like any other reward that is new to it.

        Args:
            former: the branch before, between two updates; it is not changed.

        Returns:
            Whether the policy goes on.

        Raises:
            UserError: its reward cannot be run here.
        """
        self.env_steps = former.env_steps
        self.invalid_transitions = former.invalid_transitions
        self.algorithm.num_updates = former.updates
        state = former.policy_state()
        if former.branch_id == self.branch_id:
            self.statistics = former.statistics
            self.reward_returns.follow(former.reward_returns)
            self.others |= {k: v for k, v in former.others.items() if k in self.others}
        else:
            self.statistics.episodes = former.statistics.episodes
            if not self._fits(former):
                return False
            state = replace(state, reward_source=None, scaled_for="")
        self.take_over(state)
        return True

    def _fits(self, former: "Branch") -> bool:
        """Return whether another branch's policy sees and moves what this one's does."""
        a, b = self.client.task, former.client.task
        names = (a.obs_names, a.action_names) == (b.obs_names, b.action_names)
        sizes = (a.obs_dim, a.action_dim) == (b.obs_dim, b.action_dim)
        return names and sizes and self.settings.hidden == former.settings.hidden

    def actor(self, tile: int) -> NumpyActor:
        """Freeze the present policy for forwards of tile rows."""
        return self.algorithm.actor(tile)

    def advance(self, last: bool = False, spare: str | None = None) -> Advance:
        """Collect a rollout and learn from it.

        With overlap, the rollout that is learned from was collected during the update before, by
        the weights from before that update, and the next one is collected meanwhile: the lag is
        exactly one, whatever the speed of anything.

        Args:
            last: no update follows, so nothing is collected for it.
            spare: source of the reward that takes over where the present one fails; None, or where
                that fails too: the task's own.

        Raises:
            RunStopped: the run is to stop; updates that were under way are finished.
        """
        collected = self._ahead or self._collect(self.updates, self._frozen(), spare)
        self._ahead = None
        if self._executor is None or last:
            return self._learn(collected, spare)
        following, actor = self.updates + 1, self._frozen()
        learning = self._executor.submit(self._learn, collected, spare)
        try:
            self._ahead = self._collect(following, actor, spare)
        finally:
            advance = learning.result()
        return advance

    def close(self) -> None:
        """Give the envs back."""
        if self._executor is not None:
            self._executor.shutdown()
        for reward in self._rewards():
            reward.close()
        self.client.close()

    def counters(self) -> dict[str, Any]:
        """Return the branch's numbers, for a checkpoint."""
        ahead = self._ahead
        return {
            "env_steps": self.env_steps,
            "updates": self.updates,
            "invalid_transitions": self.invalid_transitions,
            "episodes": self.statistics.episodes,
            "returns_by": self.reward_returns.reward_id,
            "other_episodes": [each.episodes for each in self.others.values()],
            "reward_id": self.reward.id,
            "scaled_for": self._scaled_for,
            "struck": self._struck,
            "swap": self.algorithm.swap.counters(),
            "step_share": self.algorithm.step_share,
            "reward_source": self.reward.source,
            "ahead": ahead
            and {"reward_source": ahead.reward.source, "timing": asdict(ahead.timing)},
        }

    def arrays(self) -> dict[str, Arrays]:
        """Return the branch's arrays by part, those of its envs included, for a checkpoint.

        Raises:
            RunStopped, FleetError: the state of the envs cannot be had.
        """
        parts = {
            **self.algorithm.arrays(),
            **self._collector.arrays(),
            "episodes": self.statistics.arrays(),
            "reward-returns": self.reward_returns.arrays(),
        }
        for part, each in enumerate(self.others.values()):
            parts[f"episodes-{part}"] = each.arrays()
        if self._ahead is not None:
            parts["ahead"] = self._ahead.rollout.arrays()
        return prefixed(f"branch-{self.branch_id}", parts)

    def load(self, counters: Mapping[str, Any], arrays: Mapping[str, Arrays]) -> None:
        """Take over what `counters` and `arrays` returned; `start` puts the envs there.

        Raises:
            ValueError, KeyError: it belongs to a branch of another shape.
        """
        parts = unprefixed(f"branch-{self.branch_id}", arrays)
        self.algorithm.load(parts, counters["updates"])
        self._envs = {name: parts[name] for name in ("fleet", "collector")}
        self.env_steps = counters["env_steps"]
        self.invalid_transitions = counters["invalid_transitions"]
        self.statistics.load(parts["episodes"], counters["episodes"])
        # Checkpoints of earlier versions know nothing of these, so they begin anew.
        if "reward-returns" in parts:
            self.reward_returns.load(parts["reward-returns"], counters["returns_by"])
        for part, each in enumerate(self.others.values()):
            each.load(parts[f"episodes-{part}"], counters["other_episodes"][part])
        self._scaled_for = counters["scaled_for"]
        struck, times = counters.get("struck", ("", 0))
        self._struck = (struck, times)
        self.algorithm.swap = Swap(**counters.get("swap", {}))
        self.algorithm.step_share = counters.get("step_share", 1.0)
        self.set_reward(self._reward_of(counters["reward_source"]))
        if (ahead := counters["ahead"]) is not None:
            rollout = self._buffer(self.updates)
            rollout.load(parts["ahead"], self.updates * self.settings.rollout_length)
            reward = self._reward_of(ahead["reward_source"])
            self._ahead = _Collected(rollout, reward, CollectionTime(**ahead["timing"]))

    def weights_sha256(self) -> str:
        """Return the digest of all parameters and normalisers."""
        parts = self.algorithm.arrays()
        return arrays_sha256({name: parts[name] for name in ("weights", "normalizers")})

    def _rewards(self) -> set[Reward]:
        """Return what judges the next rollout and the one that was collected ahead, if any."""
        return {self.reward} if self._ahead is None else {self.reward, self._ahead.reward}

    def _reward_of(self, source: str | None) -> Reward:
        return self.reward if source == self.reward.source else self.make_reward(source)

    def _buffer(self, update: int) -> Rollout:
        return self._buffers[update % len(self._buffers)]

    def _frozen(self) -> NumpyActor:
        return self.algorithm.actor(self._collector.tile)

    def _collect(self, update: int, actor: NumpyActor, spare: str | None) -> _Collected:
        """Collect the rollout that the update of this number learns from."""
        rollout, reward = self._buffer(update), self.reward
        first_t = update * self.settings.rollout_length
        # What takes over from a reward that fails judges the rollout that it fails at.
        fields = tuple(sorted({*reward.fields, *fields_of(spare, self.client.task)}))
        timing = self._collector.collect(rollout, actor, first_t, fields)
        return _Collected(rollout, reward, timing)

    def _judge(self, rollout: Rollout, reward: Reward) -> Judgement:
        """Judge a rollout; strikes are in checkpoints, so that every life counts the same.

        Raises:
            RewardFailed: the reward gives no numbers, or too few in rollout after rollout.
        """
        judgement = reward.judge(rollout)
        struck, times = self._struck
        before = times if struck == reward.id else 0
        times = before + 1 if judgement.lost_share >= LOST_SHARE else 0
        self._struck = (reward.id, times % STRIKES)
        if times == STRIKES:
            raise RewardFailed(
                f"reward {reward.id} was not a finite number in {judgement.lost_share:.0%} of the "
                f"transitions, in the last of {STRIKES} such rollouts in a row"
            )
        return judgement

    def _judge_instead(
        self, rollout: Rollout, failed: Reward, spare: str | None
    ) -> tuple[str | None, str, Judgement]:
        """Judge a rollout whose reward fails; return by which source and id, and the rewards."""
        if spare is not None and spare != failed.source:
            try:
                reward = self.make_reward(spare)
                with contextlib.closing(reward):
                    # What an earlier version collected ahead has the fields of one reward only.
                    if rollout.fields.keys() >= {*reward.fields}:
                        return spare, reward.id, self._judge(rollout, reward)
            except (RewardFailed, UserError):
                # Training goes on by what is always there.
                pass
        own = TaskReward()
        return None, own.id, own.judge(rollout)

    def _learn(self, collected: _Collected, spare: str | None) -> Advance:
        """Judge a rollout and update the policy."""
        # With overlap the collection is held up, in another thread, and this goes on.
        clock_s = time.perf_counter if self._executor is not None else self.pace.now_s
        began_s = clock_s()
        rollout, reward = collected.rollout, collected.reward
        failure, source, reward_id = "", reward.source, reward.id
        try:
            judgement = self._judge(rollout, reward)
        except RewardFailed as error:
            # The journal will say from where on.
            failure = str(error)
            source, reward_id, judgement = self._judge_instead(rollout, reward, spare)
        if reward_id != self._scaled_for:
            self.algorithm.reward_changed()
            self._scaled_for = reward_id
        left = self._total_steps - self.task_env_steps
        progress = (self.env_steps - self.task_env_steps) / max(1, left)
        stats = self.algorithm.update(rollout, judgement.reward, progress, self._between_steps)
        self.env_steps += self.steps_per_update
        self.invalid_transitions += int(rollout.invalid.sum())
        first = 0
        parts = parts_of(self.client)
        for part, each in zip(parts, [self.statistics, *self.others.values()], strict=True):
            envs = range(first, first + num_envs(part))
            each.add(rollout, self.env_steps, envs)
            first = envs.stop
        self.reward_returns.add(rollout, judgement.reward, reward_id)
        if collected.reward is not self.reward:
            collected.reward.close()
        valid = judgement.reward[~rollout.invalid]
        return Advance(
            stats=stats,
            reward_id=reward_id,
            reward_mean=float(valid.mean()) if len(valid) else 0.0,
            reward_std=float(valid.std()) if len(valid) else 0.0,
            component_shares={k: v.share for k, v in judgement.components.items()},
            nonfinite_rows=judgement.nonfinite_rows,
            clipped_rows=judgement.clipped_rows,
            skipped_steps=collected.timing.skipped_steps,
            terminations=int((rollout.terminated & ~rollout.invalid).sum()),
            reward_failure=failure,
            failed_id=reward.id if failure else "",
            fallback_source=source if failure else None,
            physics_s=collected.timing.physics_s,
            inference_s=collected.timing.inference_s,
            update_s=clock_s() - began_s,
        )

    def _between_steps(self) -> None:
        """Do what is to be done between two gradient steps."""
        self._beat()
        if self._executor is None:
            self.pace.rest()
