"""The child process of `vetting`: limits itself, compiles and probes one task, prints a judgement.

Never imported by a worker.
"""

import resource
import sys
import time

import msgspec
import numpy as np

from websim.programs import confine
from websim.tasks import TaskBundle, TaskError
from websim_sim_worker.compilation import CompiledTask, compile_prepared, prepare
from websim_sim_worker.shard import Shard
from websim_sim_worker.vetting import Judgement, Limits, VettingRequest

PROBE_STEPS = 100
PROBE_ENVS = 1
MAX_STEP_S = 0.02
"""Longest environment step on average: 50 per second and core is already hardly trainable."""
MAX_DIVERGED = 5
"""Most transitions of the probe that may diverge under random actions."""


def main() -> int:
    """Judge the request on stdin; the judgement goes to stdout as JSON."""
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=VettingRequest)
    bundle = TaskBundle(request.name, request.task_yaml, request.files)
    try:
        prepared = prepare(bundle, request.overrides)
        _confine_this_process(request.limits)
        _probe(compile_prepared(prepared))
        judgement = Judgement()
    except TaskError as error:
        judgement = Judgement(error.message, error.where, error.remedy)
    except MemoryError:
        most = request.limits.memory_bytes >> 20
        judgement = Judgement(f"the task needs more than {most} MiB of memory")
    sys.stdout.buffer.write(msgspec.json.encode(judgement))
    return 0


def _confine_this_process(limits: Limits) -> None:
    """Give up files, network, processes and most memory; everything is imported and read by now."""
    confine.confine_forker()
    confine.limit_resources(limits.memory_bytes)
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))


def _probe(task: CompiledTask) -> None:
    """Step with random actions: fast enough, finite, and not diverging all the time."""
    shard = Shard(task, seed=0, first_env_id=0, num_envs=PROBE_ENVS, obs_dtype="float64")
    shard.reset()
    _try_knobs(task)
    generator = np.random.Generator(np.random.Philox(0))
    low, high = np.array(task.info.action_low), np.array(task.info.action_high)
    names = [field.name for field in task.info.fields]
    start_s = time.process_time()
    for step in range(PROBE_STEPS):
        action = generator.uniform(low, high, (PROBE_ENVS, len(low))).astype(np.float32)
        result = shard.step(action, names)
        elapsed_s = time.process_time() - start_s
        if elapsed_s > MAX_STEP_S * PROBE_ENVS * max(step + 1, PROBE_STEPS // 4):
            per_step = elapsed_s / (step + 1) / PROBE_ENVS
            raise TaskError(
                f"a step takes {per_step * 1e3:.0f} ms; at most {MAX_STEP_S * 1e3:.0f} ms",
                remedy="lower frame_skip, or make the model simpler",
            )
        if shard.diverged_total > MAX_DIVERGED:
            raise TaskError(
                f"the simulation diverges under random actions {shard.last_failure}".rstrip(),
                remedy="lower the timestep, or the forces of the actuators",
            )
        if not result.invalid.any():
            checked = {"obs": result.obs, "reward": result.reward, **result.fields}
            for name, values in checked.items():
                if not np.isfinite(values).all():
                    raise TaskError(f"{name} is not finite after {step + 1} random steps")


def _try_knobs(task: CompiledTask) -> None:
    """Go to both ends of all knobs: the engine must be able to derive and step what is there."""
    if not task.knobs:
        return
    shard = Shard(task, seed=0, first_env_id=0, num_envs=PROBE_ENVS)
    action = np.zeros((PROBE_ENVS, task.info.action_dim), np.float32)
    for end in ("low", "high"):
        shard.set_knobs({knob.name: (getattr(knob, end),) * 2 for knob in task.info.knobs})
        try:
            shard.reset()
        except RuntimeError as error:
            raise TaskError(
                f"the engine refuses the knobs at their {end} ends: {error}",
                where="knobs",
                remedy="narrow their ranges",
            ) from None
        shard.step(action)


if __name__ == "__main__":
    sys.exit(main())
