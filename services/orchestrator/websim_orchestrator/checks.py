"""What the orchestrator refuses before anything is forwarded: one clear reason and remedy each."""

from typing import Any

from websim.wire.codec import Envelope
from websim.wire.messages import OpenSession, Refused, Reset, ResetEnv, SetState, Step
from websim_orchestrator.fleet import Command, SessionRecord, ShardRecord, default_shard_envs

MAX_SESSIONS = 64
"""Bound of the sessions open at a time."""
MAX_SESSION_ID = 1 << 53
"""Bound of the number by which a session is asked back."""
MAX_ENVS = 1 << 20
"""Bound of a session's environments."""
MAX_SHARDS = 4096
"""Bound of a session's shards."""
MAX_TASK_FILES = 66
"""Bound of a custom task's files: the task file, its model, and as many assets as it may name."""
MAX_FIELDS = 48
"""Bound of the fields asked for with a step."""


def refuse_session(request: OpenSession, num_sessions: int) -> Refused | None:
    """Why a session cannot be opened, or None. Before that nothing may be made of its numbers."""
    if num_sessions >= MAX_SESSIONS:
        return Refused(
            code="too_many_sessions",
            message=f"{num_sessions} sessions are open, at most {MAX_SESSIONS}",
            remedy="close a session first",
            request=request.request,
        )
    problem = remedy = ""
    shard_envs = request.shard_envs or default_shard_envs(request.num_envs)
    num_shards = -(-request.num_envs // shard_envs)
    if not all(spec.name.startswith("task:") for spec in request.arrays):
        problem = "an array is no file of a task"
        remedy = "name it task:<file>"
    elif len(request.arrays) > MAX_TASK_FILES:
        problem = f"the task has {len(request.arrays)} files"
        remedy = f"at most {MAX_TASK_FILES}"
    elif not 1 <= request.num_envs <= MAX_ENVS:
        problem = f"num_envs is {request.num_envs}"
        remedy = f"choose 1 to {MAX_ENVS}"
    elif request.shard_envs < 0 or num_shards > MAX_SHARDS:
        problem = f"shard_envs is {request.shard_envs}"
        remedy = f"choose 0 for the default, or enough for at most {MAX_SHARDS} shards"
    elif not 0 <= request.seed < 1 << 63:
        problem = f"seed is {request.seed}"
        remedy = "choose 0 to 2**63 - 1"
    elif not 0 <= request.session < MAX_SESSION_ID or (
        request.session and len(request.done) != num_shards
    ):
        problem = f"session {request.session} is asked back with {len(request.done)} shards"
        remedy = f"name the last command of each of its {num_shards} shards"
    if not problem:
        return None
    return Refused(code="bad_session", message=problem, remedy=remedy, request=request.request)


def refuse_command(
    session: SessionRecord,
    shard: ShardRecord | None,
    outstanding_t: int,
    envelope: Envelope[Any],
) -> Refused | None:
    """Why a client's numbered command cannot be taken, or None."""
    command: Command = envelope.message
    problem = code = remedy = ""
    if shard is None:
        code, problem = "unknown_shard", f"there is no shard {command.shard}"
        remedy = f"shard is 0 to {len(session.shards) - 1}"
    elif not session.opened or session.task is None:
        code, problem = "not_open", "the session is not open yet"
        remedy = "wait for SessionOpened"
    elif outstanding_t:
        code, problem = "outstanding", f"command {outstanding_t} of the shard has no answer yet"
        remedy = "wait for its answer: one command of a shard at a time"
    elif command.t != shard.done_t + 1:
        code, problem = "out_of_order", f"command {command.t} came after {shard.done_t}"
        remedy = f"send command {shard.done_t + 1}"
    else:
        code, problem, remedy = _refuse_content(shard, session.task.action_dim, envelope)
    if not problem:
        return None
    return Refused(
        code=code,
        message=problem,
        remedy=remedy,
        session=session.session_id,
        shard=command.shard,
        t=command.t,
    )


def _refuse_content(
    shard: ShardRecord, action_dim: int, envelope: Envelope[Any]
) -> tuple[str, str, str]:
    """Code, problem and remedy of a command whose arrays do not fit the shard, or empty strings."""
    command: Command = envelope.message
    specs = {spec.name: spec for spec in command.arrays}
    num_envs = shard.span.num_envs
    match command:
        case Step():
            spec = specs.get("action")
            if spec is None or spec.dtype != "<f4" or spec.shape != (num_envs, action_dim):
                got = "none" if spec is None else f"{spec.dtype} {spec.shape}"
                return (
                    "bad_action",
                    f"the action array is {got}",
                    f"send float32 of shape ({num_envs}, {action_dim})",
                )
            if len(command.fields) > MAX_FIELDS:
                return "too_many_fields", f"{len(command.fields)} fields", f"at most {MAX_FIELDS}"
        case Reset():
            spec = specs.get("mask")
            if spec is not None and (spec.dtype != "|u1" or spec.shape != (num_envs,)):
                return (
                    "bad_mask",
                    f"the reset mask is {spec.dtype} {spec.shape}",
                    f"send uint8 of shape ({num_envs},)",
                )
        case SetState():
            if {"qpos", "qvel"} - set(specs):
                return "bad_state", "qpos or qvel is missing", "send both"
    if isinstance(command, SetState | ResetEnv) and not (
        0 <= command.env_id - shard.span.first_env_id < num_envs
    ):
        return "unknown_env", f"environment {command.env_id} is not in the shard", "check env_id"
    return "", "", ""
