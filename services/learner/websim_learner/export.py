"""`export`: a run's policy as files that need nothing of ours to be used.

    policy.safetensors   weights, normaliser and action bounds, with what they are as metadata
    policy.onnx          observations in, actions out: normaliser and bounds folded in
    golden.safetensors   observations and the actions they must lead to
    policy.json          what the policy is: task, names, sizes, timing, where it comes from

The exported action is the mean action, in the env's own units, clipped to the action space.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors.numpy
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from websim.service.errors import UserError
from websim.service.files import write_atomic
from websim.service.logs import configure_logs
from websim_learner.models import ActionScale, NumpyActor
from websim_learner.policy import TrainedPolicy, load_policy
from websim_learner.randomness import Stream, generator
from websim_learner.settings import ExportSettings

Float32 = NDArray[np.float32]

OPSET = 17
"""ONNX operators as of this version: old enough for every runtime in use."""

IR_VERSION = 8
"""File format that goes with OPSET."""

NUM_GOLDEN = 64
"""Rows of the golden vectors."""


def export_run(settings: ExportSettings) -> int:
    """Carry out `export`; return the exit code.

    Raises:
        UserError: there is no such run, or the files cannot be written.
    """
    configure_logs("learner", json=settings.log_json, file=settings.log_file)
    torch.set_num_threads(1)
    policy = load_policy(settings.run, settings.checkpoint)
    out = settings.out or settings.run / "export"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in export_policy(policy).items():
            write_atomic(out / name, data)
    except OSError as error:
        raise UserError(
            f"cannot write to {out}: {(error.strerror or str(error)).lower()}"
        ) from None
    print(f"{policy.task.id}, {policy.checkpoint}: wrote {_listing(out)}")
    return 0


def export_policy(policy: TrainedPolicy) -> dict[str, bytes]:
    """Return the files of an export by name."""
    actor = policy.algorithm.actor(NUM_GOLDEN)
    scale = ActionScale.of(policy.task.action_low, policy.task.action_high)
    about = _about(policy)
    obs = _golden_obs(actor)
    golden = {"obs": obs, "action": scale(actor.mean(obs))}
    metadata = {name: json.dumps(value) for name, value in about.items()}
    return {
        "policy.safetensors": safetensors.numpy.save(_arrays(actor, scale), metadata),
        "policy.onnx": _onnx_model(actor, scale, metadata).SerializeToString(),
        "golden.safetensors": safetensors.numpy.save(golden),
        "policy.json": json.dumps(about, indent=1).encode() + b"\n",
    }


def _about(policy: TrainedPolicy) -> dict[str, Any]:
    task = policy.task
    return {
        "format": 1,
        "task": task.id,
        "task_sha256": task.content_sha256,
        "algo": policy.config.algo,
        "seed": policy.config.seed,
        "checkpoint": policy.checkpoint,
        "env_steps": policy.env_steps,
        "obs_names": list(task.obs_names),
        "action_names": list(task.action_names),
        "dt_s": task.dt_s,
        "hidden": list(policy.config.ppo.hidden),
        "activation": "tanh",
        "obs_limit": policy.algorithm.actor(1).scale.limit,
    }


def _arrays(actor: NumpyActor, scale: ActionScale) -> dict[str, Float32]:
    """Return weights (outputs, inputs), biases (outputs,), normaliser and action bounds."""
    arrays = {
        "obs_mean": actor.scale.mean,
        "obs_inverse_std": actor.scale.inverse_std,
        "action_low": scale.low,
        "action_high": scale.high,
        "action_centre": scale.centre,
        "action_half": scale.half,
        "log_std": actor.log_std,
    }
    for i, (weight, bias) in enumerate(actor.layers()):
        arrays[f"layer_{i}_weight"] = np.ascontiguousarray(weight.T)
        arrays[f"layer_{i}_bias"] = bias
    return arrays


def _golden_obs(actor: NumpyActor) -> Float32:
    """Return observations as wide as those the policy has seen. Shape: (NUM_GOLDEN, obs_dim)."""
    draws = generator(0, Stream.GOLDEN, 0).standard_normal((NUM_GOLDEN, len(actor.scale.mean)))
    obs: Float32 = (actor.scale.mean + draws / actor.scale.inverse_std).astype(np.float32)
    return obs


def _onnx_model(actor: NumpyActor, scale: ActionScale, metadata: dict[str, str]) -> onnx.ModelProto:
    """Return the graph: obs (batch, obs_dim) -> action (batch, action_dim), both float32."""
    arrays = _arrays(actor, scale)
    limit = np.array(actor.scale.limit, np.float32)
    constants = {**arrays, "obs_lowest": -limit, "obs_highest": limit}
    del constants["log_std"]
    nodes = [
        helper.make_node("Sub", ["obs", "obs_mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "obs_inverse_std"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "obs_lowest", "obs_highest"], ["x_0"]),
    ]
    num_layers = len(actor.layers())
    for i in range(num_layers):
        inputs = [f"x_{i}", f"layer_{i}_weight", f"layer_{i}_bias"]
        nodes.append(helper.make_node("Gemm", inputs, [f"y_{i}"], transB=1))
        if i < num_layers - 1:
            nodes.append(helper.make_node("Tanh", [f"y_{i}"], [f"x_{i + 1}"]))
    nodes += [
        helper.make_node("Mul", [f"y_{num_layers - 1}", "action_half"], ["stretched"]),
        helper.make_node("Add", ["stretched", "action_centre"], ["shifted"]),
        helper.make_node("Max", ["shifted", "action_low"], ["raised"]),
        helper.make_node("Min", ["raised", "action_high"], ["action"]),
    ]
    graph = helper.make_graph(
        nodes,
        "policy",
        [_described("obs", len(actor.scale.mean))],
        [_described("action", len(scale.low))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="websim",
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def _described(name: str, columns: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", columns])


def _listing(directory: Path) -> str:
    return ", ".join(str(path) for path in sorted(directory.iterdir()))
