"""The gate: language, then dry run, cheapest first; a typed verdict that an author can act on.

All checks are those of websim.programs. Whoever executes an accepted program checks it again.
"""

import math
import time
from collections.abc import Collection, Iterable, Sequence

from websim.programs import Issue, Program, ProgramError, ProgramSchema, compile_program
from websim.programs.dryrun import ROWS, DryRun, dry_run
from websim.programs.guard import REWARD_LIMIT
from websim.programs.limits import MAX_ISSUES
from websim.programs.sandbox import SandboxedProgram, SandboxError, default_sandbox
from websim.programs.schema import BOOLEAN_KINDS, ProgramKind
from websim_reward_gen.answers import GateReason, IssueView, ScaleView, Tier, Verdict

MAX_ISSUE_TEXT = 500


class Gate:
    """Judges programs; its trials run in confined children."""

    def __init__(self) -> None:
        """Start the sandbox, which is started anew wherever it has ended.

        Raises:
            SandboxError: programs cannot be confined on this system.
        """
        default_sandbox()

    def ready(self) -> str | None:
        """Return why programs cannot be tried just now; None when they can."""
        try:
            self.require_ready()
        except SandboxError as error:
            return f"programs cannot be tried: {error}"
        return None

    def require_ready(self) -> None:
        """Start the sandbox anew where it has ended.

        Raises:
            SandboxError: programs cannot be tried just now.
        """
        default_sandbox()

    def close(self) -> None:
        """End the sandbox."""
        default_sandbox().close()

    def judge(
        self,
        source: str,
        schema: ProgramSchema,
        kind: ProgramKind = "reward",
        known_ids: Collection[str] = (),
    ) -> Verdict:
        """Return the verdict on a program.

        Args:
            source: its text, from anyone.
            schema: what it may read.
            kind: what it has to be.
            known_ids: programs that are in force or were tried before; their like is refused.

        Raises:
            SandboxError: with problem "unavailable" when nothing can be tried.
        """
        started_s = time.perf_counter()
        try:
            program = compile_program(source, schema, kind)
        except ProgramError as error:
            return _verdict("language", _views(error.issues), started_s)
        if program.id in known_ids:
            message = "this program is in force or was tried already; change what it computes"
            return _verdict("language", [_issue("repeated", message)], started_s, program)
        try:
            with SandboxedProgram(program, num_rows=ROWS) as confined:
                trial = dry_run(confined)
        except SandboxError as error:
            if error.problem == "unavailable":
                raise
            message = f"the trial gave no result ({error.problem}); make the program simpler"
            return _verdict("dry_run", [_issue("time", message)], started_s, program)
        issues = _views(trial.issues) or list(_number_issues(program, trial))
        if issues:
            return _verdict("dry_run", issues, started_s, program, trial)
        return _verdict("dry_run", (), started_s, program, trial)


def refused_by_schema(message: str) -> Verdict:
    """Return the verdict on a candidate that lacks what every candidate must have."""
    return Verdict(accepted=False, tier="schema", issues=(_issue("schema", message),))


def untried(error: SandboxError) -> Verdict:
    """Return the verdict on a program that was paid for before the sandbox was found to be gone."""
    message = f"it could not be tried: {error}"
    return Verdict(accepted=False, tier="dry_run", issues=(_issue("untried", message),))


def program_ids(sources: Iterable[str], schema: ProgramSchema) -> frozenset[str]:
    """Return the ids of those sources that are rewards in the language."""
    ids = set()
    for source in sources:
        try:
            ids.add(compile_program(source, schema).id)
        except ProgramError:
            continue
    return frozenset(ids)


def _number_issues(program: Program, trial: DryRun) -> Iterable[IssueView]:
    """Yield what is wrong with finite results.

    A condition that made-up states rarely meet may judge, as a fitness or an end; as a reward it
    would teach nothing.
    """
    scale = trial.scales["total"]
    reads = bool(program.fields) or program.reads_action
    if trial.constant and (program.kind == "reward" or not reads):
        yield _issue("unchanging", trial.unchanging)
    elif program.kind not in BOOLEAN_KINDS and not scale.is_within(REWARD_LIMIT):
        yield _issue(
            "scale",
            f"the total goes from {scale.minimum:.3g} to {scale.maximum:.3g} on ordinary inputs, "
            f"mean or spread beyond {REWARD_LIMIT:g}, where it is cut off; scale or clip its terms",
        )


def _verdict(
    tier: Tier,
    issues: Sequence[IssueView],
    started_s: float,
    program: Program | None = None,
    trial: DryRun | None = None,
) -> Verdict:
    scales = {
        name: ScaleView(minimum=each.minimum, maximum=each.maximum, mean=each.mean, std=each.std)
        for name, each in (trial.scales if trial else {}).items()
        # JSON knows no NaN; sums of huge finite numbers may be infinite.
        if all(map(math.isfinite, (each.minimum, each.maximum, each.mean, each.std)))
    }
    return Verdict(
        accepted=not issues,
        tier=tier,
        issues=tuple(issues),
        program_id=program.id if program else None,
        fields=program.fields if program else (),
        components=program.components if program else (),
        scales=scales,
        elapsed_ms=round(1000.0 * (time.perf_counter() - started_s), 3),
    )


def _views(issues: Iterable[Issue]) -> list[IssueView]:
    return [
        _issue(issue.reason, issue.message, issue.line, issue.column)
        for issue in list(issues)[:MAX_ISSUES]
    ]


def _issue(reason: GateReason, message: str, line: int = 0, column: int = 0) -> IssueView:
    return IssueView(reason=reason, message=message[:MAX_ISSUE_TEXT], line=line, column=column)
