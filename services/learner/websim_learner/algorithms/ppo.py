"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), its clipped form.

Equation numbers are those of that paper, or of the one named beside them. Advantages are estimated
by GAE (Schulman et al. 2016, arXiv:1506.02438). Everything here is a function of its arguments:
minibatch order comes from a counter-based generator, statistics are merged in (t, env_id) order,
and transitions in which the engine diverged take part in no loss and no statistic.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from websim_learner.algorithms.adam import Adam
from websim_learner.algorithms.advantage import generalized_advantage
from websim_learner.algorithms.state import (
    Arrays,
    load_module,
    module_arrays,
    prefixed,
    unprefixed,
)
from websim_learner.algorithms.swap import Swap, matched, rescale
from websim_learner.defaults import PPOSettings
from websim_learner.models import ActorCritic, NumpyActor
from websim_learner.normalizers import ObservationScale, ReturnScale, RunningMoments
from websim_learner.randomness import Stream, derived_seed, generator
from websim_learner.rollout import Rollout

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class UpdateStats:
    """What one update did: means over its gradient steps."""

    policy_loss: float
    value_loss: float
    entropy_nats: float
    kl_nats: float
    """Mean KL(behaviour || policy) over the last epoch."""
    clip_fraction: float
    gradient_norm: float
    """Before clipping."""
    explained_variance: float
    """1 - Var(target - value) / Var(target), of the critic before the update."""
    learning_rate: float
    epochs: int
    """Passes done before the KL stop."""
    action_std: float
    """Mean standard deviation of the policy, in units where actions span [-1, 1]."""


@dataclass(frozen=True)
class _Batch:
    """The valid transitions of a rollout, flattened in (t, env_id) order; n of them."""

    obs: Tensor  # (n, obs_dim) normalised
    action: Tensor  # (n, action_dim)
    log_prob: Tensor  # (n,) of the behaviour policy
    advantage: Tensor  # (n,) mean 0, variance 1
    target: Tensor  # (n,) of the value function


class PPO:
    """One policy's learner: network, optimiser, normalisers and the update."""

    def __init__(
        self,
        settings: PPOSettings,
        obs_dim: int,
        action_dim: int,
        num_envs: int,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """Build the first policy of a seed.

        Args:
            settings: see `PPOSettings`.
            obs_dim: columns of an observation.
            action_dim: columns of an action.
            num_envs: N of the rollouts to come.
            seed: the run's seed.
            device: torch device of the update; acting is always numpy's.
        """
        self.settings = settings
        self.seed = seed
        self.device = torch.device(device)
        init = torch.Generator().manual_seed(derived_seed(seed, Stream.WEIGHTS))
        self.model = ActorCritic(obs_dim, action_dim, settings.hidden, settings.init_log_std, init)
        self.model.to(self.device)
        self.optimizer = Adam(self.model.parameters(), eps=1e-5)
        self.obs_moments = RunningMoments(obs_dim)
        self.return_scale = ReturnScale(num_envs, settings.gamma)
        self.num_updates = 0
        """Updates done; the counter of the minibatch order."""
        self.swap = Swap()
        self.step_share = 1.0
        """Of the learning rate's schedule; less where larger steps have ruined the policy."""

    def actor(self, tile: int) -> NumpyActor:
        """Freeze the present policy for a rollout whose forwards have tile rows."""
        return NumpyActor(self.model, ObservationScale.of(self.obs_moments), tile)

    def reward_changed(self) -> None:
        """Prepare for another reward, by which the next rollout is judged; see swap.py."""
        self.swap.begin()

    def arrays(self) -> dict[str, Arrays]:
        """Return the whole state of the learner by part, but for `num_updates`."""
        return {
            "weights": module_arrays(self.model),
            "optimizer": self.optimizer.arrays(),
            "normalizers": {
                **prefixed("obs", self.obs_moments.arrays()),
                **prefixed("return", self.return_scale.moments.arrays()),
            },
            "returns": self.return_scale.arrays(),
        }

    def load(self, arrays: dict[str, Arrays], num_updates: int) -> None:
        """Take over what `arrays` returned.

        Raises:
            ValueError: it belongs to a learner of another shape.
        """
        load_module(self.model, arrays["weights"])
        self.optimizer.load(arrays["optimizer"])
        self.obs_moments.load(unprefixed("obs", arrays["normalizers"]))
        self.return_scale.moments.load(unprefixed("return", arrays["normalizers"]))
        self.return_scale.load(arrays["returns"])
        self.num_updates = num_updates

    def update(
        self,
        rollout: Rollout,
        reward: Float64,
        progress: float,
        beat: Callable[[], None] = lambda: None,
    ) -> UpdateStats:
        """Learn from a rollout and merge it into the normalisers.

        Args:
            rollout: what was collected.
            reward: what it is judged by. Shape: (T, N).
            progress: env steps done as a fraction of total_steps.
            beat: called at every gradient step, to show that the loop turns.
        """
        s = self.settings
        rate = s.learning_rate + (s.final_learning_rate - s.learning_rate) * min(progress, 1.0)
        rate *= self.step_share
        self.optimizer.rate = rate
        batch, explained = self._batch(rollout, reward)
        critic_alone = self.swap.warms_up(explained)
        sums = np.zeros(5)
        steps = epochs = 0
        kl = 0.0
        order = generator(self.seed, Stream.MINIBATCH_ORDER, self.num_updates)
        parts = max(1, round(len(batch.obs) / s.minibatch_size))
        while epochs < s.epochs and kl <= s.target_kl and len(batch.obs):
            kl = 0.0
            for index in np.array_split(order.permutation(len(batch.obs)), parts):
                beat()
                rows = torch.from_numpy(index).to(self.device)
                losses = self._warm_up(batch, rows) if critic_alone else self._step(batch, rows)
                kl += losses[2] / parts
                sums += losses
                steps += 1
            epochs += 1
        self.num_updates += 1
        policy_loss, value_loss, _, clipped, norm = (float(x) for x in sums / max(steps, 1))
        with torch.no_grad():
            entropy, std = float(self.model.entropy()), float(self.model.log_std.exp().mean())
        return UpdateStats(
            policy_loss=policy_loss,
            value_loss=value_loss,
            entropy_nats=entropy,
            kl_nats=float(kl),
            clip_fraction=clipped,
            gradient_norm=norm,
            explained_variance=explained,
            learning_rate=rate,
            epochs=epochs,
            action_std=std,
        )

    def _step(self, batch: _Batch, index: Tensor) -> NDArray[np.float64]:
        """Take one gradient step; return policy loss, value loss, KL, clip fraction, norm."""
        s = self.settings
        obs, advantage = batch.obs[index], batch.advantage[index]
        log_ratio = self.model.log_prob(obs, batch.action[index]) - batch.log_prob[index]
        # r_t(theta) = pi_theta(a_t | s_t) / pi_old(a_t | s_t)
        ratio = torch.exp(log_ratio)
        # L^CLIP = E[min(r_t A_t, clip(r_t, 1 - epsilon, 1 + epsilon) A_t)]  (eq. 7)
        bounded = torch.clamp(ratio, 1.0 - s.clip, 1.0 + s.clip)
        policy_loss = -torch.minimum(ratio * advantage, bounded * advantage).mean()
        # L^VF = (V_theta(s_t) - V_t^target)^2; L = L^CLIP - c1 L^VF + c2 S  (eq. 9)
        value_loss = torch.square(self.model.value(obs) - batch.target[index]).mean()
        loss = policy_loss + s.value_coefficient * value_loss
        if s.entropy_coefficient:
            loss = loss - s.entropy_coefficient * self.model.entropy()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), s.max_gradient_norm)
        self.optimizer.step()
        with torch.no_grad():
            # KL(old || new) = E[(r - 1) - log r], with less variance than E[-log r]
            # (Schulman 2020, "Approximating KL Divergence").
            kl = (ratio - 1.0 - log_ratio).mean()
            clipped = (torch.abs(ratio - 1.0) > s.clip).float().mean()
            row = torch.stack((policy_loss, value_loss, kl, clipped, norm))
        return row.double().cpu().numpy()

    def _warm_up(self, batch: _Batch, index: Tensor) -> NDArray[np.float64]:
        """Take one gradient step of the critic; return what `_step` returns."""
        value_loss = torch.square(self.model.value(batch.obs[index]) - batch.target[index]).mean()
        # Adam would move the actor by its momentum even where gradients are zero; it leaves
        # parameters alone, and their momentum as it is, only where there is no gradient at all.
        self.optimizer.zero_grad()
        (self.settings.value_coefficient * value_loss).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
        self.optimizer.step()
        return np.array([0.0, float(value_loss.detach()), 0.0, 0.0, float(norm)])

    @torch.no_grad()
    def _batch(self, rollout: Rollout, reward: Float64) -> tuple[_Batch, float]:
        """Estimate advantages and targets; merge the rollout's statistics."""
        scale = rollout.obs_scale
        value, next_value = self._values(rollout, scale)
        ended = rollout.terminated | rollout.truncated
        if self.swap.due:
            self.return_scale.follow(reward, ended, rollout.invalid)
        self.return_scale.merge(reward, ended, rollout.invalid)
        self.obs_moments.merge(rollout.obs[:-1][~rollout.invalid])
        scaled = np.where(rollout.invalid, 0.0, reward) * self.return_scale.inverse_std
        if self.swap.due:
            self._match_critic(rollout, scaled, value, next_value)
            value, next_value = self._values(rollout, scale)
        advantage = self._advantage(rollout, scaled, value, next_value)
        valid = ~rollout.invalid
        target = (advantage + value)[valid]
        spread = target.var() if len(target) else 0.0
        explained = 1.0 - (target - value[valid]).var() / spread if spread > 0 else 0.0
        chosen = advantage[valid]
        if len(chosen):
            chosen = (chosen - chosen.mean()) / (chosen.std() + 1e-8)
        # log N(a; mu, sigma) with (a - mu) / sigma = the noise that was drawn
        log_prob = (
            -0.5 * np.square(rollout.noise[valid], dtype=np.float64).sum(axis=1)
            - float(rollout.log_std.sum(dtype=np.float64))
            - 0.5 * np.log(2.0 * np.pi) * rollout.noise.shape[2]
        )
        batch = _Batch(
            obs=self._tensor(scale(rollout.obs[:-1][valid])),
            action=self._tensor(rollout.action[valid]),
            log_prob=self._tensor(log_prob),
            advantage=self._tensor(chosen),
            target=self._tensor(target),
        )
        return batch, float(explained)

    def _advantage(
        self, rollout: Rollout, reward: Float64, value: Float64, next_value: Float64
    ) -> Float64:
        """Return the advantage of every transition; all of shape (T, N)."""
        ends = rollout.terminated, rollout.truncated, rollout.invalid
        gamma, gae_lambda = self.settings.gamma, self.settings.gae_lambda
        return generalized_advantage(reward, value, next_value, *ends, gamma, gae_lambda)

    def _match_critic(
        self, rollout: Rollout, reward: Float64, value: Float64, next_value: Float64
    ) -> None:
        """Fit the critic's output, by slope and offset, to the first rewards of another kind."""
        zero, one = np.zeros_like(value), np.ones_like(value)
        valid = ~rollout.invalid
        a, b = matched(
            value[valid],
            self._advantage(rollout, reward, zero, zero)[valid],
            (self._advantage(rollout, zero, value, next_value) + value)[valid],
            (self._advantage(rollout, zero, one, one) + one)[valid],
        )
        rescale(self.model.critic, a, b)

    def _values(self, rollout: Rollout, scale: ObservationScale) -> tuple[Float64, Float64]:
        """Return V of every observation and of where every action led. Shape: (T, N) each."""
        ends = rollout.ends()
        value = self._value(scale(rollout.obs))
        next_value = value[1:].copy()
        next_value[ends.t, ends.env_id] = self._value(scale(ends.final_obs))
        return value[:-1], next_value

    def _value(self, obs: NDArray[np.float32]) -> Float64:
        """Return the critic's value of normalised observations (..., obs_dim). Shape: (...,)."""
        value: NDArray[np.float32] = self.model.value(self._tensor(obs)).cpu().numpy()
        return value.astype(np.float64)

    def _tensor(self, array: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(array.astype(np.float32, copy=False)).to(self.device)
