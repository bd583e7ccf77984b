"""`eval`: evaluates a run's policy and prints what it achieves."""

import torch

from websim.service.logs import configure_logs
from websim_learner.evaluation import Evaluation, evaluate
from websim_learner.fleet import open_session
from websim_learner.policy import TrainedPolicy, load_policy
from websim_learner.randomness import Stream, derived_seed
from websim_learner.settings import EvalSettings


def evaluate_run(settings: EvalSettings) -> int:
    """Carry out `eval`; return the exit code.

    Raises:
        UserError: there is no such run, or no fleet.
    """
    configure_logs("learner", json=settings.log_json, file=settings.log_file)
    torch.set_num_threads(1)
    policy = load_policy(settings.run, settings.checkpoint)
    seed = settings.seed
    if seed is None:
        seed = derived_seed(policy.config.seed, Stream.EVALUATION_SESSION)
    client = open_session(
        policy.config,
        settings.episodes,
        seed,
        fleet=settings.fleet,
        keys=settings.keys,
        workers=settings.workers,
        label=f"evaluation of {settings.run.name}",
    )
    try:
        evaluation = evaluate(client, policy.algorithm.actor, seed)
    finally:
        client.close()
    print(_summary(policy, evaluation))
    return 0


def _summary(policy: TrainedPolicy, evaluation: Evaluation) -> str:
    """Return what people want to know, in a few lines."""
    returns, lengths = evaluation.episode_return, evaluation.episode_length
    lines = [
        f"{policy.task.id}, {policy.config.algo}, {policy.checkpoint} "
        f"({policy.env_steps:,} env steps), mean action, {len(returns)} episodes",
        f"return   {returns.mean():,.1f} ± {returns.std():,.1f}"
        f"   ({returns.min():,.1f} to {returns.max():,.1f})",
        f"length   {lengths.mean():,.1f} steps",
    ]
    if evaluation.fitness_mean is not None:
        unit = policy.task.fitness_unit
        lines.append(f"fitness  {evaluation.fitness_mean:,.3f} {unit}".rstrip())
    if evaluation.success_mean is not None:
        lines.append(f"success  {evaluation.success_mean:.0%}")
    return "\n".join(lines)
