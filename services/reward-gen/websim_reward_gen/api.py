"""The HTTP of reward-gen: rewards and goals from words, and the gate for anybody's program."""

import functools

import anyio
import anyio.to_thread
from fastapi import FastAPI, HTTPException

from websim.programs import ProgramError
from websim.programs.sandbox import SandboxError
from websim.service.logs import get_logger
from websim_reward_gen.answers import CheckAnswer, GoalAnswer, RewardAnswer
from websim_reward_gen.bodies import CheckRequest, GoalRequest, RewardRequest
from websim_reward_gen.gate import Gate
from websim_reward_gen.generate import Generator
from websim_reward_gen.goals import Goals
from websim_reward_gen.weights import read_weights

log = get_logger(__name__)


def add_reward_routes(
    app: FastAPI, generator: Generator, goals_: Goals, gate: Gate, max_concurrent: int
) -> None:
    """Add /v1/rewards, /v1/goals and /v1/checks to the application."""
    seats = anyio.Semaphore(max_concurrent)

    @app.post("/v1/rewards", tags=["rewards"])
    async def rewards(request: RewardRequest) -> RewardAnswer:
        """Write candidates for a goal in words, judge them, and say what to change.

        Candidates that are accepted have passed the gate here; whoever runs one checks it again.
        When a provider fails, the library stands in and `failures` says why.
        """
        _take(seats)
        try:
            answer = await generator.rewards(request)
        except LookupError as error:
            raise HTTPException(422, str(error.args[0])) from None
        except SandboxError as error:
            raise HTTPException(503, f"programs cannot be tried just now: {error}") from None
        finally:
            seats.release()
        log.info(
            "rewards written",
            run=request.run,
            task=request.task.id,
            provider=answer.provider,
            action=answer.action,
            accepted=sum(each.verdict.accepted for each in answer.candidates),
            failures=[failure.kind for failure in answer.failures],
            usd=answer.usage.usd,
        )
        return answer

    @app.post("/v1/goals", tags=["rewards"])
    async def goals(request: GoalRequest) -> GoalAnswer:
        """Say how a goal in words is measured: by the task's fitness, a program, or not at all.

        A person sees the answer and fixes it with the goal; candidates never see it.
        """
        _take(seats)
        try:
            return await goals_.measure(request)
        except LookupError as error:
            raise HTTPException(422, str(error.args[0])) from None
        except SandboxError as error:
            raise HTTPException(503, f"programs cannot be tried just now: {error}") from None
        finally:
            seats.release()

    @app.post("/v1/checks", tags=["rewards"])
    async def checks(request: CheckRequest) -> CheckAnswer:
        """Judge a program, such as one that a person wrote, by the same gate."""
        _take(seats)
        judge = functools.partial(gate.judge, request.program, request.task.schema_, request.kind)
        try:
            verdict = await anyio.to_thread.run_sync(judge)
        except SandboxError as error:
            raise HTTPException(503, f"programs cannot be tried just now: {error}") from None
        finally:
            seats.release()
        try:
            weights = read_weights(request.program)
        except ProgramError:
            weights = {}
        return CheckAnswer(verdict=verdict, weights=weights)


def _take(seats: anyio.Semaphore) -> None:
    try:
        seats.acquire_nowait()
    except anyio.WouldBlock:
        raise HTTPException(
            503, "too many requests are being answered; ask again later", {"Retry-After": "5"}
        ) from None
