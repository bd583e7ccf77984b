"""Claude as a provider: the question, the answer checked for form, and nothing taken on trust."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from websim_reward_gen.answers import EnvChange, Exchange, ProviderKind
from websim_reward_gen.bodies import Knob
from websim_reward_gen.claude.client import ClaudeClient, Reply
from websim_reward_gen.claude.prompt import make_goal_question, make_question
from websim_reward_gen.claude.schema import AnswerPart, CandidatePart, EnvChangePart, GoalPart
from websim_reward_gen.proposal import (
    Ask,
    Draft,
    GoalAsk,
    GoalProposal,
    Proposal,
    ProviderFailure,
)

PartT = TypeVar("PartT", bound=BaseModel)


class ClaudeProvider:
    """Asks Claude for candidates."""

    name: ProviderKind = "claude"
    corrects = True

    def __init__(self, client: ClaudeClient) -> None:
        """Ask through a client."""
        self._client = client

    async def propose(self, ask: Ask) -> Proposal:
        """Return what Claude proposes.

        Raises:
            ProviderFailure: there is no usable answer.
        """
        question = make_question(ask)
        reply = await self._client.ask(ask.request.run, question, ask.since_s)
        said = (self._client.exchange(question, reply.text, reply.stop_reason),)
        answer = _parse(AnswerPart, reply, said)
        return Proposal(
            diagnosis=answer.diagnosis,
            action=answer.action,
            drafts=tuple(map(_draft, answer.candidates)),
            env_changes=tuple(_within(answer.env_changes, ask.request.knobs)),
            not_understood=answer.not_understood,
            model=self._client.model,
            message_id=reply.message_id,
            usage=reply.usage,
            exchanges=said,
        )

    async def measure(self, ask: GoalAsk) -> GoalProposal:
        """Return how Claude would measure a goal.

        Raises:
            ProviderFailure: there is no usable answer.
        """
        question = make_goal_question(ask)
        reply = await self._client.ask(ask.request.run, question, ask.since_s)
        said = (self._client.exchange(question, reply.text, reply.stop_reason),)
        answer = _parse(GoalPart, reply, said)
        return GoalProposal(
            kind=answer.kind,
            description=answer.description,
            program=answer.program,
            accumulate=answer.accumulate,
            per_horizon=answer.per_horizon and answer.accumulate == "sum",
            unit=answer.unit,
            not_understood=answer.not_understood,
            usage=reply.usage,
            exchanges=said,
        )


def _parse(part: type[PartT], reply: Reply, said: tuple[Exchange, ...]) -> PartT:
    try:
        return part.model_validate_json(reply.text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "answer"
        raise ProviderFailure(
            "invalid",
            f"the answer is not of the form asked: {place}: {first['msg']}",
            reply.usage,
            said,
        ) from None


def _draft(part: CandidatePart) -> Draft:
    weights = {weight.name: weight.value for weight in part.weights}
    return Draft(part.name, part.hypothesis, part.program, weights, part.expected_failure)


def _within(changes: Iterable[EnvChangePart], knobs: Sequence[Knob]) -> Iterable[EnvChange]:
    """Yield the changes of knobs that there are, cut to what is allowed."""
    by_name = {knob.name: knob for knob in knobs}
    for change in changes:
        knob = by_name.get(change.name)
        if knob is not None:
            low = min(max(change.low, knob.low), knob.high)
            high = min(max(change.high, low), knob.high)
            yield EnvChange(name=knob.name, low=low, high=high, reason=change.reason)
