"""`record`: one episode of a run's policy as a film.

The learner has no renderer, as it has no physics: it fetches the env's states from the fleet and
hands them to the sim worker's own `render` command.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from websim.service.errors import UserError
from websim.service.logs import configure_logs
from websim.wire.messages import Value
from websim_learner.fleet import FleetClient, Waiter, open_session
from websim_learner.models import ActionScale, NumpyActor
from websim_learner.policy import load_policy
from websim_learner.settings import RecordSettings

RENDERER = "websim_sim_worker"

SUFFIXES = (".gif", ".mp4")
"""What the renderer writes."""


def record_run(settings: RecordSettings) -> int:
    """Carry out `record`; return the exit code.

    Raises:
        UserError: there is no such run, no fleet, nothing that can render, or no place for it.
    """
    configure_logs("learner", json=settings.log_json, file=settings.log_file)
    torch.set_num_threads(1)
    out = settings.out or settings.run / "episode.gif"
    policy = load_policy(settings.run, settings.checkpoint)
    _check_out(out)
    config = policy.config
    client = open_session(
        config,
        1,
        settings.seed,
        fleet=settings.fleet,
        keys=settings.keys,
        workers=settings.workers if settings.fleet else settings.workers or 1,
        label=f"film of {settings.run.name}",
    )
    try:
        qpos, episode_return = film_episode(client, policy.algorithm.actor(1), settings.max_steps)
    finally:
        client.close()
    print(
        f"{policy.task.id}, {policy.checkpoint}: {len(qpos)} states, return {episode_return:,.1f}"
    )
    overrides = [f"{name}={_text(value)}" for name, value in config.task_overrides.items()]
    render(config.task, overrides, qpos, 1.0 / policy.task.dt_s, out)
    return 0


def film_episode(
    client: FleetClient, actor: NumpyActor, max_steps: int
) -> tuple[NDArray[np.float64], float]:
    """Let a session's only env do one episode with the mean action.

    Args:
        client: a session of one env.
        actor: the policy.
        max_steps: env steps at most.

    Returns:
        qpos (T, nq) before every step and after the last one that did not end the episode, and
        the return of what is shown.
    """
    scale = ActionScale.of(client.task.action_low, client.task.action_high)
    waiter = Waiter()
    client.send_reset(0)
    result = waiter.receive(client)
    rows, total = [client.get_state(0).qpos], 0.0
    for _ in range(max_steps):
        client.send(0, scale(actor.mean(result.obs)))
        result = waiter.receive(client)
        total += float(result.reward[0])
        if len(result.ended):
            break
        rows.append(client.get_state(0).qpos)
    return np.stack(rows), total


def render(
    task: str, overrides: list[str], qpos: NDArray[np.float64], fps: float, out: Path
) -> None:
    """Have states rendered to a file.

    Args:
        task: a bundled task's id or a task file's path.
        overrides: the task's parameters, NAME=VALUE.
        qpos: Shape: (T, nq).
        fps: states per second of simulated time.
        out: .gif or .mp4.

    Raises:
        UserError: it cannot be done; in the renderer's words.
    """
    with tempfile.TemporaryDirectory() as directory:
        states = Path(directory) / "states.npz"
        np.savez(states, qpos=qpos, fps=fps)
        arguments = ["render", "--task", task, "--states", str(states), "--out", str(out)]
        for pair in overrides:
            arguments += ["--set", pair]
        done = subprocess.run(
            [sys.executable, "-m", RENDERER, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(lines[-1].removeprefix("error: "))
    print(done.stdout.strip())


def _check_out(out: Path) -> None:
    """Refuse what the renderer would refuse, before an episode is simulated for it."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"--out {out} is neither .gif nor .mp4")
    if not out.resolve().parent.is_dir():
        raise UserError(f"there is no folder {out.resolve().parent}", "Make it first.")


def _text(value: Value) -> str:
    """Write an override as the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
