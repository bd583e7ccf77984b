"""What triggers are made of: their settings, their memory, and the trigger itself."""

from typing import Literal

import msgspec

TriggerKind = Literal["stagnation", "target_reached", "schedule", "guard", "manual"]

ENTROPY_FLOOR_NATS_PER_ACTION = -2.0
"""Of a Gaussian with a standard deviation of 0.033: a policy that explores no more."""

GROWTH_CONFIDENCE = 0.5
"""Growth that is likely (75 %) goes on: six evaluations of a policy that wavers seldom prove more,
and most of what a trial trains is thrown away."""


class TriggerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a run asks for a change."""

    window: int = 6
    """Evaluations a trend is made of; there is none with fewer."""
    trend_confidence: float = 0.9
    """Of a slope's two-sided interval: either end holds with 95 %."""
    growth_confidence: float | None = None
    """As `trend_confidence`, of the interval that has to lie above 0 for fitness to grow; None, in
    rows of earlier versions: the same. A run's is GROWTH_CONFIDENCE."""
    schedule_env_steps: int = 0
    """Ask this long after the last adaptation ended, whatever was measured; 0: never."""
    cooldown_env_steps: int = 100_000
    """After an adaptation ended only guards speak, and a target that is reached."""
    max_adaptations: int = 8
    """Per run, those that a person asks for counted in. After them a run asks for no candidates: it
    takes back, puts back and makes harder."""
    reached_in_a_row: int = 2
    """Evaluations at the target that make it reached."""
    success_target: float = 0.95
    """Share of episodes with success that is the target where the goal names none."""
    rearm_share: float = 0.1
    """A target is reached anew only after a fall this far below it, as a share of it."""
    min_history: int = 3
    """Evaluations since the change whose median the last one is compared with, at least."""
    value_loss_factor: float = 10.0
    """Guard: value loss over its median since the change."""
    value_loss_floor: float = 0.03
    """Guard: value loss below which nothing explodes, as a share of the variance of returns. Where
    hardly an episode ends early the median is nearly nothing, and a few falls are many times it."""
    entropy_floor_nats: float | None = None
    """Guard: of the policy. A run's is ENTROPY_FLOOR_NATS_PER_ACTION * action_dim; None: off."""
    length_share: float = 0.5
    """Guard: mean episode length over its median since the change, below which it collapsed."""
    probation_env_steps: int = 300_000
    """After an adoption: how long lost fitness is held against it."""
    loss_share: float = 0.1
    """Guard: fitness lost in evaluations in a row, as a share of |mean before|."""
    losses_in_a_row: int = 2
    loss_share_at_once: float = 0.2
    """Guard: fitness lost in one evaluation."""
    loss_confidence: float = 0.95
    """That at least so much is lost."""
    by_fitness: bool = True
    """Whether fitness is a reason for anything; not where a person judges: the goal's kind."""


class TriggerState(msgspec.Struct, frozen=True, kw_only=True):
    """What triggers remember; replaced, never changed. Kept in checkpoints."""

    adaptations: int = 0
    """Ended so far; rollbacks are none, nor is what nobody answered."""
    last_end_env_steps: int | None = None
    """When the last one ended."""
    adopted_env_steps: int | None = None
    """When the reward in force was adopted; None: not by an adaptation."""
    overruled: bool = False
    """A person adopted it although it prefers worse behaviour: less is needed to take it back."""
    reached: bool = False
    """The target was reached and told, and fitness has not fallen since."""
    told: tuple[str, ...] = ()
    """Guards that spoke since the last change: each speaks once."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A reason to change something, with its numbers."""

    kind: TriggerKind
    what: str
    """The kind again; says_nothing, of a stagnation whose reward pays all episodes alike; or which
    guard: value_loss, entropy, length, reward_up_fitness_down, fitness_lost, prefers_worse,
    collapsed."""
    sentence: str
    """For people."""
    numbers: dict[str, float] = {}


def after_trigger(state: TriggerState, trigger: Trigger) -> TriggerState:
    """Return the state after a trigger was acted upon or put before a person."""
    if trigger.kind == "guard":
        return msgspec.structs.replace(state, told=(*state.told, trigger.what))
    if trigger.kind == "target_reached":
        return msgspec.structs.replace(state, reached=True)
    return state


def after_adaptation(
    state: TriggerState, env_steps: int, *, adopted: bool, answered: bool = True
) -> TriggerState:
    """Return the state after an adaptation ended: adopted, or nothing better was found.

    Args:
        state: before.
        env_steps: training env steps of the run.
        adopted: whether a reward was adopted, which starts its probation.
        answered: whether whoever was asked has answered; else it is none of those a run may have.
    """
    return msgspec.structs.replace(
        state,
        adaptations=state.adaptations + (1 if answered else 0),
        last_end_env_steps=env_steps,
        adopted_env_steps=env_steps if adopted else state.adopted_env_steps,
        overruled=state.overruled and not adopted,
        told=() if adopted else state.told,
    )


def after_rollback(state: TriggerState, env_steps: int) -> TriggerState:
    """Return the state after a rollback: no adaptation of its own, but it cools down."""
    return msgspec.structs.replace(
        state, last_end_env_steps=env_steps, adopted_env_steps=None, overruled=False, told=()
    )


def without_adoption(state: TriggerState) -> TriggerState:
    """Return the state after another reward came into force that nothing was measured for."""
    return msgspec.structs.replace(state, adopted_env_steps=None, overruled=False, told=())


def after_restored(state: TriggerState) -> TriggerState:
    """Return the state after the best policy was put back, which may be lost and put back again."""
    told = tuple(what for what in state.told if what != "collapsed")
    return msgspec.structs.replace(state, told=told)


def after_goal(state: TriggerState) -> TriggerState:
    """Return the state after the goal changed: its target is not reached yet."""
    return msgspec.structs.replace(
        state, adopted_env_steps=None, overruled=False, reached=False, told=()
    )
