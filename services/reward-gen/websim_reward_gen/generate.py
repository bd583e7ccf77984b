"""From a request to judged candidates: ask a provider, judge, send refusals back once, fall back.

A provider that fails, or none of whose candidates passes, is followed by the library, and the
answer says so. The gate runs in threads beside the event loop.

Whoever gets no answer asks again, and a question may cost something: nobody is asked while nothing
can be tried, and what was paid for is answered whatever becomes of the trials.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import anyio.to_thread

from websim.programs import ProgramError
from websim.programs.sandbox import SandboxError
from websim_reward_gen.answers import (
    Candidate,
    Exchange,
    Failure,
    Provenance,
    RewardAnswer,
    Usage,
    Verdict,
    add_usage,
)
from websim_reward_gen.bodies import RewardRequest
from websim_reward_gen.counts import Counts
from websim_reward_gen.gate import Gate, program_ids, refused_by_schema, untried
from websim_reward_gen.proposal import Ask, Draft, Proposal, Provider, ProviderFailure, Refusal
from websim_reward_gen.weights import read_weights, with_weights


@dataclass
class _Result:
    """What one provider brought."""

    proposal: Proposal
    candidates: list[Candidate]
    usage: Usage
    exchanges: tuple[Exchange, ...]

    @property
    def accepted(self) -> int:
        return sum(each.verdict.accepted for each in self.candidates)


class Generator:
    """Answers requests with the providers there are."""

    def __init__(
        self, gate: Gate, providers: Mapping[str, Provider], default: str, counts: Counts
    ) -> None:
        """Answer requests.

        Args:
            gate: judges what providers write.
            providers: by name; "library" is always among them.
            default: who is asked when a request says `auto`.
            counts: what /metrics reports.
        """
        self._gate = gate
        self._providers = providers
        self._default = default
        self._counts = counts

    async def rewards(self, request: RewardRequest) -> RewardAnswer:
        """Return judged candidates.

        Raises:
            LookupError: the provider that is asked for is not set up here.
            SandboxError: programs cannot be tried just now; nothing was paid for.
        """
        wanted = self._default if request.provider == "auto" else request.provider
        provider_named(self._providers, wanted)
        await anyio.to_thread.run_sync(self._gate.require_ready)
        ask = Ask(request)
        sources = [each.program for each in request.memory if each.program]
        sources += [request.current_program] if request.current_program else []
        known = program_ids(sources, request.task.schema_)
        failures: list[Failure] = []
        refused: list[Candidate] = []
        spent = Usage()
        exchanges: tuple[Exchange, ...] = ()
        for name in dict.fromkeys([wanted, "library"]):
            provider = self._providers[name]
            try:
                result = await self._ask(provider, ask, known, paid=spent.attempts > 0)
            except ProviderFailure as failure:
                self._counts.failures[provider.name, failure.kind] += 1
                spent = add_usage(spent, failure.usage)
                exchanges += failure.exchanges
                failures.append(failure_view(provider, failure))
                continue
            spent = add_usage(spent, result.usage)
            exchanges += result.exchanges
            if result.candidates and not result.accepted and name != "library":
                self._counts.failures[provider.name, "invalid"] += 1
                reason = ProviderFailure("invalid", "none of its candidates passed the gate")
                failures.append(failure_view(provider, reason))
                refused += result.candidates
                continue
            break
        self._counts.requests[provider.name] += 1
        for each in (*result.candidates, *refused):
            verdict = "accepted" if each.verdict.accepted else each.verdict.issues[0].reason
            self._counts.candidates[each.provenance.provider, verdict] += 1
        return RewardAnswer(
            request_sha256=ask.sha256,
            provider=provider.name,
            diagnosis=result.proposal.diagnosis,
            action=result.proposal.action,
            candidates=_chosen([*result.candidates, *refused], request.num_candidates),
            env_changes=result.proposal.env_changes,
            understood=result.proposal.understood,
            not_understood=result.proposal.not_understood,
            failures=tuple(failures),
            usage=spent,
            exchanges=exchanges,
        )

    async def _ask(
        self, provider: Provider, ask: Ask, known: Collection[str], *, paid: bool
    ) -> _Result:
        """Ask a provider, judge what it wrote, and let it correct what was refused, once."""
        proposal = await provider.propose(ask)
        paid = paid or proposal.usage.attempts > 0
        candidates = await self._judge(provider, ask, proposal, 0, known, paid=paid)
        usage, exchanges = proposal.usage, proposal.exchanges
        refusals = tuple(
            Refusal(each.name, each.program, each.verdict.message)
            for each in candidates
            if not (each.verdict.accepted or each.verdict.is_untried)
        )
        if refusals and provider.corrects:
            again = replace(ask, refusals=refusals)
            try:
                corrected = await provider.propose(again)
            except ProviderFailure as failure:
                # What was accepted stands without the corrections.
                self._counts.failures[provider.name, failure.kind] += 1
                usage = add_usage(usage, failure.usage)
                exchanges += failure.exchanges
            else:
                usage = add_usage(usage, corrected.usage)
                exchanges += corrected.exchanges
                taken = {*known, *_ids(candidates)}
                candidates += await self._judge(provider, again, corrected, 1, taken, paid=paid)
        return _Result(proposal, candidates, usage, exchanges)

    async def _judge(
        self,
        provider: Provider,
        ask: Ask,
        proposal: Proposal,
        round_: int,
        known: Collection[str],
        *,
        paid: bool,
    ) -> list[Candidate]:
        """Judge drafts in order until as many as wanted are accepted."""
        request = ask.request
        taken = set(known)
        candidates: list[Candidate] = []
        for draft in proposal.drafts:
            if sum(each.verdict.accepted for each in candidates) == request.num_candidates:
                break
            source, problem = _source(draft, request.current_program)
            verdict = refused_by_schema(problem)
            if not problem:
                judge = functools.partial(
                    self._gate.judge, source, request.task.schema_, "reward", taken
                )
                try:
                    verdict = await anyio.to_thread.run_sync(judge)
                except SandboxError as error:
                    if not paid:
                        raise
                    verdict = untried(error)
            taken |= {verdict.program_id} if verdict.program_id else set()
            provenance = Provenance(
                provider=provider.name,
                model=proposal.model,
                round=round_,
                request_sha256=ask.sha256,
                message_id=proposal.message_id,
            )
            candidates.append(_candidate(draft, source, verdict, provenance))
        return candidates


def provider_named(providers: Mapping[str, Provider], name: str) -> Provider:
    """Return a provider; raise LookupError saying which there are when it is not among them."""
    if name not in providers:
        there = ", ".join(sorted(providers))
        raise LookupError(f"provider {name} is not set up here; there is: {there}")
    return providers[name]


def _source(draft: Draft, current: str | None) -> tuple[str, str]:
    """Return the program that a draft stands for, and why it stands for none (else empty)."""
    program = draft.program or current or ""
    if not program:
        return "", "the candidate has no program, and there is no current one to reweight"
    if not draft.weights:
        return program, ""
    try:
        return with_weights(program, draft.weights), ""
    except ProgramError:
        return program, ""
    except ValueError as error:
        return program, str(error)


def _candidate(draft: Draft, source: str, verdict: Verdict, provenance: Provenance) -> Candidate:
    try:
        weights = read_weights(source)
    except ProgramError:
        weights = {}
    return Candidate(
        name=draft.name,
        hypothesis=draft.hypothesis,
        expected_failure=draft.expected_failure,
        program=source,
        weights=weights,
        verdict=verdict,
        provenance=provenance,
    )


def _chosen(candidates: Sequence[Candidate], wanted: int) -> tuple[Candidate, ...]:
    accepted = [each for each in candidates if each.verdict.accepted][:wanted]
    return (*accepted, *(each for each in candidates if not each.verdict.accepted))


def _ids(candidates: Sequence[Candidate]) -> list[str]:
    return [each.verdict.program_id for each in candidates if each.verdict.program_id]


def failure_view(provider: Provider, failure: ProviderFailure) -> Failure:
    """Return a failure as it is told."""
    return Failure(provider=provider.name, kind=failure.kind, message=str(failure))
