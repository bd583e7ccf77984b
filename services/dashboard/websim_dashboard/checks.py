"""What is said to a reward that somebody types: by the language at once, then by reward-gen's gate.

The language runs nothing. The gate runs what it accepts, on made-up states and in reward-gen's
sandbox; where nobody answers in time the language's word stands alone.
"""

import asyncio
import json

import anyio.to_thread
from pydantic import BaseModel, ValidationError

from websim.programs import ProgramError, ProgramSchema, compile_program
from websim.service.logs import get_logger
from websim_dashboard.messages import CheckMessage, RewardCheck, TaskDetail
from websim_dashboard.upstream import Unreachable, Upstream

log = get_logger(__name__)

GATE_DEADLINE_S = 3.0
"""Who types is told what is known by then; waiting for others' checks is part of it."""

CHECKS_AT_ONCE = 1
"""A learner's questions are answered by the same reward-gen, which turns away what is too much."""

OK = 200


class GateVerdict(BaseModel):
    """What is read of the gate's verdict."""

    accepted: bool
    tier: str
    issues: list[CheckMessage] = []


class _GateAnswer(BaseModel):
    verdict: GateVerdict


class Checker:
    """Checks rewards; belongs to one loop."""

    def __init__(self, reward_gen: Upstream | None) -> None:
        """Prepare to ask a reward-gen; None: there is none."""
        self._reward_gen = reward_gen
        self._turn = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def check(self, source: str, task: TaskDetail) -> RewardCheck:
        """Return the language's word on a reward program, and the gate's where it says more."""
        said = await anyio.to_thread.run_sync(check_reward, source, task)
        if not said.ok or self._reward_gen is None:
            return said
        try:
            async with asyncio.timeout(GATE_DEADLINE_S), self._turn:
                verdict = await _ask(self._reward_gen, source, task)
        except (Unreachable, TimeoutError, ValidationError) as error:
            log.info(
                "the gate has not judged a reward", why=str(error)[:300] or "no answer in time"
            )
            return said
        messages = [each.model_copy(update={"tier": verdict.tier}) for each in verdict.issues]
        judged = {"ok": verdict.accepted, "messages": messages, "judged_by": "gate"}
        return said.model_copy(update=judged)


def check_reward(source: str, task: TaskDetail) -> RewardCheck:
    """Return the compiler's word on a reward program for a task."""
    schema = ProgramSchema({each.name: each.columns for each in task.fields}, task.action_dim)
    try:
        program = compile_program(source, schema)
    except ProgramError as error:
        messages = [
            CheckMessage(
                line=issue.line, column=issue.column, reason=issue.reason, message=issue.message
            )
            for issue in error.issues
        ]
        return RewardCheck(ok=False, messages=messages, components=[])
    return RewardCheck(ok=True, id=program.id, messages=[], components=list(program.components))


async def _ask(reward_gen: Upstream, source: str, task: TaskDetail) -> GateVerdict:
    """Return the gate's verdict.

    Raises:
        Unreachable: reward-gen does not answer, or refuses to.
        ValidationError: its answer is not understood.
    """
    names = {"id", "dt_s", "max_episode_steps", "fields"}
    told = task.model_dump(include=names)
    # Of the action a check needs no more than how many columns there are.
    limits = {"action_low": [-1.0] * task.action_dim, "action_high": [1.0] * task.action_dim}
    body = json.dumps({"task": told | limits, "program": source}).encode()
    answer = await reward_gen.ask("POST", "/v1/checks", body)
    if answer.status != OK:
        raise Unreachable(f"reward-gen refuses: {answer.body[:300].decode(errors='replace')}")
    return _GateAnswer.model_validate_json(answer.body).verdict
