"""What the learner can be told: one settings class for each of its commands."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_settings import CliPositionalArg

from websim.service.errors import UserError
from websim.service.settings import ServiceSettings, SettingsConfigDict
from websim.wire.messages import Value
from websim_learner.control import MAX_GOAL, AdaptMode
from websim_learner.defaults import PPOSettings

ENV_PREFIX = "WEBSIM_LEARNER_"


class TrainSettings(ServiceSettings):
    """Flags and WEBSIM_LEARNER_* variables of `train`."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX)

    fleet: str = "tcp://127.0.0.1:5556"
    """Where the fleet's orchestrator listens for clients."""
    keys: Path | None = None
    """Directory with server.key and client.key_secret of a key set (`websim keys`), where the
    fleet wants keys."""
    task: str | None = None
    """Name of a bundled task, or the path of a task file; HalfCheetah-v5 when not given."""
    algo: str | None = None
    """Learning algorithm; ppo when not given."""
    num_envs: int | None = Field(None, ge=1)
    """Environments that are simulated side by side; 1024 when not given."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """The run is a function of it; 0 when not given."""
    total_steps: int | None = Field(None, ge=1)
    """Environment steps to train for; the task's default when not given."""
    run_dir: Path | None = None
    """Where the run is kept; required for a new run."""
    resume: Path | None = None
    """Go on with the run in this directory; what it was started with holds, but for
    --total-steps and --device."""
    resume_if_started: bool = False
    """Go on with the run in --run-dir if it holds one of the same settings, but for --total-steps
    and --device, and end at once if that has its result: for whoever starts a learner that died
    with the same command line. A signal then ends it with exit code 143: its work is not done."""
    device: str | None = None
    """Where to learn: cpu or cuda; cpu when not given."""
    reward: Path | None = None
    """Train on the reward program in this file, not on the task's own reward."""
    adapt: AdaptMode | None = None
    """Whether the run adapts its own training: auto, approve (nothing is adopted without a yes) or
    off; when not given off until a goal is set, by --goal or later, and auto from then on."""
    goal: str | None = Field(None, min_length=1, max_length=MAX_GOAL)
    """What the run is for, in words; the task's own purpose when not given."""
    target: float | None = Field(None, allow_inf_nan=False)
    """Fitness at which the goal is reached."""
    adapt_every_steps: int | None = Field(None, ge=1)
    """Ask for a change about so long after the last adaptation ended, whatever was measured; only
    what is measured asks when not given. Never within 100,000 steps of it."""
    next_task: tuple[str, ...] = ()
    """A task that a quarter of the environments get when the goal's target is reached and nothing
    harder is left, a bundled one or a file; it sees and moves the same things. May be repeated."""
    difficulty: float | None = Field(None, ge=0.0, le=1.0, allow_inf_nan=False)
    """Vary the physics from the first episode on, by all knobs of the task: 0 is nominal, 1 the
    task's hard ranges. Nominal when not given."""
    knobs: tuple[str, ...] = ()
    """Vary the physics from the first episode on, by a knob of the task, as in gravity=0.7,1.3 or
    mass=1.2; may be repeated. What is not named is nominal."""
    reward_gen: str | None = None
    """Where rewards are written, as in http://127.0.0.1:8090; without it only those of persons are
    tried."""
    reward_gen_token_file: Path | None = None
    """File with the token for reward-gen, where it wants one."""
    set: tuple[str, ...] = ()
    """A setting of the algorithm, as in ppo.learning_rate=3e-4, or a parameter of the task, as in
    task.reset_noise_scale=0; may be repeated."""
    eval_episodes: int | None = Field(None, ge=1, le=4096)
    """Episodes of an evaluation, each on an environment of its own; 20 when not given."""
    eval_every_steps: int | None = Field(None, ge=0)
    """Evaluate about this often; 0 evaluates at the end only. 500,000 when not given; where the
    run adapts, or from when it does, a fortieth of all steps, from 50,000 to 200,000: what it
    decides rests on evaluations."""
    checkpoint_every_steps: int | None = Field(None, ge=0)
    """Write a checkpoint about this often, and what a kill costs is at most as much; 0 writes one
    at the beginning and one at the end only. 100,000 when not given."""


class _RunCommandSettings(ServiceSettings):
    """What the commands on a finished or stopped run have in common."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX)

    run: CliPositionalArg[Path]
    """The run's directory."""
    checkpoint: str | None = None
    """Name of the checkpoint to take, as in update-00000120; the newest when not given."""


class ReplaySettings(ServiceSettings):
    """Flags of `replay-decisions`."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX)

    run: CliPositionalArg[Path]
    """The run's directory."""


class EvalSettings(_RunCommandSettings):
    """Flags of `eval`."""

    fleet: str | None = None
    """Use this running fleet, as in tcp://127.0.0.1:5556; a private one when not given."""
    keys: Path | None = None
    """Directory with this side's part of the fleet's key set (`websim keys`)."""
    workers: int | None = Field(None, ge=1)
    """Sim workers of the private fleet; one per core when not given."""
    episodes: int = Field(20, ge=1, le=4096)
    """Episodes, each on an environment of its own."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """Seed of the episodes; the run's own evaluation episodes when not given."""


class ExportSettings(_RunCommandSettings):
    """Flags of `export`."""

    out: Path | None = None
    """Directory to write to; RUN/export when not given."""


class RecordSettings(_RunCommandSettings):
    """Flags of `record`."""

    fleet: str | None = None
    """Use this running fleet, as in tcp://127.0.0.1:5556; a private one when not given."""
    keys: Path | None = None
    """Directory with this side's part of the fleet's key set (`websim keys`)."""
    workers: int | None = Field(None, ge=1)
    """Sim workers of the private fleet; one when not given."""
    out: Path | None = None
    """File to write, .gif or .mp4; RUN/episode.gif when not given."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the episode."""
    max_steps: int = Field(1000, ge=1)
    """Env steps that are shown at most."""


def split_overrides(pairs: Sequence[str]) -> tuple[dict[str, str], dict[str, Value]]:
    """Part what `--set` says into PPO's settings and the task's parameters.

    Raises:
        UserError: a pair is about neither.
    """
    ppo: dict[str, str] = {}
    task: dict[str, Value] = {}
    for pair in whole(pairs):
        key, equals, text = pair.partition("=")
        owner, _, name = key.partition(".")
        if not (equals and name and owner in ("ppo", "task")):
            raise UserError(
                f"--set {pair} names no setting", "Write ppo.NAME=VALUE or task.NAME=VALUE."
            )
        if owner == "ppo":
            ppo[name] = text
        else:
            task[name] = _task_value(text)
    return ppo, task


def whole(pairs: Sequence[str]) -> list[str]:
    """Return the pairs as they were typed: reading the flags parts `a=64,64` at its comma."""
    whole: list[str] = []
    for pair in pairs:
        if whole and "=" not in pair:
            whole[-1] += f",{pair}"
        else:
            whole.append(pair)
    return whole


def with_overrides(settings: PPOSettings, overrides: Mapping[str, str]) -> PPOSettings:
    """Return PPO's settings with some of them changed.

    Raises:
        UserError: a name or a value is wrong.
    """
    types = get_type_hints(PPOSettings)
    changes: dict[str, Any] = {}
    for name, text in overrides.items():
        if name not in types:
            raise UserError(f"ppo has no setting {name}", f"It has: {', '.join(types)}.")
        value = text.split(",") if types[name] == tuple[int, ...] else text
        try:
            changes[name] = TypeAdapter(types[name]).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            raise UserError(f"--set ppo.{name}={text}: {reason}") from None
    try:
        return dataclasses.replace(settings, **changes)
    except ValueError as error:
        raise UserError(f"--set ppo: {error}") from None


def _task_value(text: str) -> Value:
    """Read a task's parameter: true, false, a number, numbers with commas, or text."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return tuple(map(float, text.split(","))) if "," in text else _number(text)
    except ValueError:
        return text


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
