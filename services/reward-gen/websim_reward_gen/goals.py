"""How a goal is measured: the library where it understands the words, else whoever writes here.

A fitness that is refused goes back once; what is still refused gives way to the library's answer.
As with rewards nothing is paid for while nothing can be tried, and what was paid for is answered.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace

import anyio.to_thread

from websim.programs.sandbox import SandboxError
from websim_reward_gen.answers import Failure, GoalAnswer, Verdict, add_usage
from websim_reward_gen.bodies import GoalRequest
from websim_reward_gen.counts import Counts
from websim_reward_gen.gate import Gate, untried
from websim_reward_gen.generate import failure_view, provider_named
from websim_reward_gen.proposal import (
    GoalAsk,
    GoalProposal,
    Provider,
    ProviderFailure,
    Refusal,
)


class Goals:
    """Answers how goals are measured."""

    def __init__(
        self, gate: Gate, providers: Mapping[str, Provider], default: str, counts: Counts
    ) -> None:
        """Answer with the providers there are; see Generator."""
        self._gate = gate
        self._providers = providers
        self._default = default
        self._counts = counts

    async def measure(self, request: GoalRequest) -> GoalAnswer:
        """Return how a goal is measured.

        Raises:
            LookupError: the provider that is asked for is not set up here.
            SandboxError: programs cannot be tried just now; nothing was paid for.
        """
        library = self._providers["library"]
        proposal = await library.measure(GoalAsk(request))
        wanted: str = request.provider
        if wanted == "auto":
            complete = proposal.kind != "none" and not proposal.not_understood
            wanted = "library" if complete or self._default == "library" else self._default
        provider = provider_named(self._providers, wanted)
        failures: tuple[Failure, ...] = ()
        if provider is not library:
            await anyio.to_thread.run_sync(self._gate.require_ready)
            try:
                return await self._ask(provider, request)
            except ProviderFailure as failure:
                self._counts.failures[provider.name, failure.kind] += 1
                failures = (failure_view(provider, failure),)
                proposal = replace(proposal, usage=failure.usage, exchanges=failure.exchanges)
        verdict = await self._judge(proposal, request)
        if verdict is not None and not verdict.accepted:
            description = f"the measure of it is refused: {verdict.message}; a person judges"
            proposal = replace(proposal, kind="none", description=description)
        return _answer(library, proposal, verdict, failures)

    async def _ask(self, provider: Provider, request: GoalRequest) -> GoalAnswer:
        ask = GoalAsk(request)
        proposal = await provider.measure(ask)
        verdict = await self._judge(proposal, request)
        if (
            verdict is not None
            and not verdict.accepted
            and provider.corrects
            and not verdict.is_untried
        ):
            first = proposal
            refusal = Refusal("fitness", proposal.program, verdict.message)
            try:
                proposal = await provider.measure(replace(ask, refusals=(refusal,)))
            except ProviderFailure as failure:
                spent = add_usage(first.usage, failure.usage)
                message = f"{failure}; its fitness was refused: {verdict.message}"
                said = first.exchanges + failure.exchanges
                raise ProviderFailure(failure.kind, message, spent, said) from None
            verdict = await self._judge(proposal, request)
            proposal = replace(
                proposal,
                usage=add_usage(first.usage, proposal.usage),
                exchanges=first.exchanges + proposal.exchanges,
            )
        if verdict is not None and not verdict.accepted:
            message = f"its fitness is refused: {verdict.message}"
            raise ProviderFailure("invalid", message, proposal.usage, proposal.exchanges)
        return _answer(provider, proposal, verdict, ())

    async def _judge(self, proposal: GoalProposal, request: GoalRequest) -> Verdict | None:
        """Return the verdict on a proposed program; None when there is none.

        Raises:
            SandboxError: it cannot be tried, and nothing was paid for.
        """
        if proposal.kind != "program":
            return None
        judge = functools.partial(
            self._gate.judge, proposal.program, request.task.schema_, "fitness"
        )
        try:
            return await anyio.to_thread.run_sync(judge)
        except SandboxError as error:
            if not proposal.usage.attempts:
                raise
            return untried(error)


def _answer(
    provider: Provider,
    proposal: GoalProposal,
    verdict: Verdict | None,
    failures: tuple[Failure, ...],
) -> GoalAnswer:
    is_program = proposal.kind == "program"
    return GoalAnswer(
        kind=proposal.kind,
        program=proposal.program if is_program else None,
        program_id=verdict.program_id if verdict and is_program else None,
        accumulate=proposal.accumulate if is_program else None,
        per_horizon=proposal.per_horizon and is_program,
        unit=proposal.unit if proposal.kind != "none" else "",
        description=proposal.description,
        understood=proposal.understood,
        not_understood=proposal.not_understood,
        provider=provider.name,
        failures=failures,
        usage=proposal.usage,
        exchanges=proposal.exchanges,
    )
