"""`replay-decisions`: make every decision of a run again from its log, and compare.

A log that passes holds what was decided and why, unchanged, no decision that its own numbers do
not lead to, and no adoption by a trial that did not decide for it.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from websim.programs import Program, ProgramError, ProgramSchema, compile_program
from websim.programs.command import printable
from websim.service.adaptation_log import LOG_NAME, Row
from websim.service.errors import UserError
from websim_learner.adaptation.chain import RESUMED, read_rows, verify
from websim_learner.adaptation.curriculum import advice, followed
from websim_learner.adaptation.preference import judge
from websim_learner.adaptation.rows import (
    LANGUAGE,
    PREFERENCE,
    DecisionValues,
    DifficultyValues,
    EnvironmentValues,
    RoundValues,
    TriggerValues,
    VerdictValues,
    YesValues,
    from_values,
    plain,
)
from websim_learner.adaptation.triggers import find_trigger
from websim_learner.adaptation.verdicts import TrialSettings, decide, goes_on, halve, is_clear

TOLERANCE = 1e-9
"""Relative: the last digits of atan and sqrt differ between machines."""

BROKEN = (ValueError, LookupError, ArithmeticError, RecursionError)
"""What comes of numbers and names that no decision is made of."""


class Replayed(NamedTuple):
    """One decision, made again."""

    row: Row
    decided: str
    """As the log has it, for people."""
    again: str
    """As it comes out now, for people."""
    same: bool


def replay_decisions(run_dir: Path) -> int:
    """Make the decisions of a run again and print how they compare; return the exit code.

    Args:
        run_dir: directory of the run.

    Raises:
        UserError: there is no log, or it was changed.
    """
    rows = read_rows(run_dir / LOG_NAME)
    replayed = decide_again(rows)
    print(f"{'row':>5}  {'adaptation':>10}  {'kind':<9} {'same':<4} decided")
    for item in replayed:
        print(
            f"{item.row['n']:>5}  {item.row['adaptation'] or '-':>10}  {item.row['kind']:<9} "
            f"{'yes' if item.same else 'NO':<4} {printable(item.decided)}"
        )
    same = sum(item.same for item in replayed)
    print(f"{same} of {len(replayed)} decisions reproduced; the chain of {len(rows)} rows holds")
    for item in replayed:
        if not item.same:
            again = printable(item.again)
            print(f"row {item.row['n']} differs first: {item.row['kind']} comes out as {again}")
            return 1
    return 0


def decide_again(rows: Sequence[Row], until_s: float = math.inf) -> list[Replayed]:
    """Return the decisions of a log, made again, in order.

    Args:
        rows: all of the log.
        until_s: when to give up, by the monotonic clock.

    Raises:
        UserError: the log was changed, a row cannot be read, or there is no time.
    """
    verify(rows)
    replayed = []
    trials = _Trials()
    for row in rows:
        if time.monotonic() > until_s:
            raise UserError(
                f"there was time for {row['n'] - 1:,} of {len(rows):,} rows",
                "`websim replay-decisions RUN` takes its time.",
            )
        if (again := _replay(row, trials)) is not None:
            replayed.append(again)
    return replayed


class _Trials:
    """What the trials of a log decided, against which their adoptions are held."""

    def __init__(self) -> None:
        self._programs: dict[tuple[int, str], str | None] = {}
        """Ids of candidates, by adaptation and name."""
        self._won: dict[int, str] = {}
        """Names of those that take over, by adaptation, until they have."""

    def follow(self, row: Row) -> Replayed | None:
        """Take note of a row; return an adoption that follows from no decision before it."""
        if row["kind"] == RESUMED:
            # A trial's decision takes effect at once: no life begins between the two.
            self._won.clear()
        match row["kind"]:
            case "verdict":
                verdict = from_values(row["values"], VerdictValues)
                self._programs[row["adaptation"], verdict.name] = verdict.program_id
            case "decision":
                decision = from_values(row["values"], DecisionValues).decision
                self._won.pop(row["adaptation"], None)
                if decision.promote and decision.winner is not None:
                    self._won[row["adaptation"]] = decision.winner
            case "adopted" if row["values"].get("by") == "trial":
                return self._adopted(row)
        return None

    def _adopted(self, row: Row) -> Replayed | None:
        winner = self._won.pop(row["adaptation"], None)
        due = None if winner is None else self._programs.get((row["adaptation"], winner))
        adopted = row["values"].get("reward_id")
        if due is not None and adopted == due:
            return None
        again = "no trial lets a reward take over here"
        if winner is not None:
            again = f"{winner}, {due or 'whose program no row tells'}, takes over"
        return Replayed(row, f"{adopted} takes over", again, same=False)


def _replay(row: Row, trials: _Trials) -> Replayed | None:
    """Return a row's decision made again; None for a row that holds none."""
    make = _KINDS.get(row["kind"])
    try:
        unfounded = trials.follow(row)
        return unfounded if make is None else make(row)
    except (msgspec.ValidationError, *BROKEN) as error:
        raise UserError(
            f"{LOG_NAME}: row {row['n']} does not hold a {row['kind']}: {error}",
            "replay it with the version of MuJoCo WebSim that wrote it",
        ) from None


def _trigger(row: Row) -> Replayed | None:
    values = from_values(row["values"], TriggerValues)
    if values.trigger is not None and values.trigger.kind == "manual":
        return None  # A person asked; nothing leads to that.
    again = find_trigger(
        values.points,
        values.baseline,
        values.target,
        values.preference,
        values.state,
        values.settings,
        values.env_steps,
    )
    return Replayed(
        row,
        values.trigger.sentence if values.trigger else "no trigger",
        again.sentence if again else "no trigger",
        _same({"trigger": values.trigger}, {"trigger": again}),
    )


def _round(row: Row) -> Replayed:
    values = from_values(row["values"], RoundValues)
    again = halve(values.results, values.keep, values.control)
    keep, clear = values.keep, values.clear
    if values.settings is not None:
        keep, clear = _ending(values, values.settings)
    count = len(values.results)
    return Replayed(
        row,
        f"round {values.round}: {_stay(values.stay, count, values.clear)}",
        _stay(again, count, clear),
        (again, keep, clear) == (values.stay, values.keep, values.clear),
    )


def _stay(names: list[str], count: int, clear: bool | None) -> str:
    told = f"{', '.join(names) or 'nobody'} of {count} stay"
    return f"{told}, and no further round is needed" if clear else told


def _ending(values: RoundValues, settings: TrialSettings) -> tuple[int, bool]:
    """Return how many may stay after a round, and whether the trial ends before its last one."""
    control = values.results[values.control]
    if control is None or values.round >= len(settings.round_env_steps):
        return len(values.results), False
    finalists = {name: each for name, each in values.results.items() if name != values.control}
    clear = is_clear(control, decide(control, finalists, settings), settings)
    return (len(values.results) if clear else settings.finalists), clear


def _difficulty(row: Row) -> Replayed:
    values = from_values(row["values"], DifficultyValues)
    again = advice(values.values, values.asked)
    decided = f"the environment is to become {values.advice}"
    return Replayed(row, decided, again or "no change", again == values.advice)


def _decision(row: Row) -> Replayed:
    values = from_values(row["values"], DecisionValues)
    again = decide(values.control, values.finalists, values.settings)
    same = _same({"decision": values.decision}, {"decision": again})
    return Replayed(row, values.decision.sentence, again.sentence, same)


def _yes(row: Row) -> Replayed:
    values = from_values(row["values"], YesValues)
    again = goes_on(values.present, values.tried, values.confidence)
    told = {True: "the present policy goes on", False: "the trial's policy takes over"}
    decided = f"{values.name}: {told[values.goes_on]}"
    return Replayed(row, decided, told[again], again == values.goes_on)


def _verdict(row: Row) -> Replayed:
    values = from_values(row["values"], VerdictValues)
    schema = ProgramSchema(values.schema.fields, values.schema.action_dim, values.schema.constants)
    name = values.name or "candidate"
    told = "accepted" if values.accepted else f"refused by {values.refused_by or 'the gate'}"
    decided = f"{name}: {told}"
    try:
        program: Program | None = compile_program(values.source, schema, values.kind)
        again = f"{name}: compiles"
    except ProgramError as error:
        program = None
        again = f"{name}: refused by {LANGUAGE}: {error}"
    if program is None:
        same = not values.accepted and values.refused_by in ("", LANGUAGE)
        return Replayed(row, decided, again, same)
    # What a dry run finds depends on what was run there, which the row does not hold.
    same = values.refused_by != LANGUAGE and values.program_id == program.id
    again += f" as {program.id}"
    if values.judged is not None:
        preferred = judge(values.judged.ranked)
        again += f". {preferred.sentence}"
        same &= _same({"it": values.judged.preference}, {"it": preferred})
        same &= preferred.passed == (values.refused_by != PREFERENCE)
        same &= values.accepted == (values.refused_by == "")
    return Replayed(row, decided, again, same)


def _environment(row: Row) -> Replayed:
    values = from_values(row["values"], EnvironmentValues)
    again = followed([level.value or 0.0 for level in values.levels], values.asked)
    decided = f"the policy follows {values.kept} of {len(values.levels)} harder environments"
    return Replayed(row, decided, f"{again} of {len(values.levels)}", again == values.kept)


_KINDS: dict[str, Callable[[Row], Replayed | None]] = {
    "trigger": _trigger,
    "round": _round,
    "decision": _decision,
    "yes": _yes,
    "verdict": _verdict,
    "environment": _environment,
    "difficulty": _difficulty,
}


def _same(logged: Mapping[str, Any], again: Mapping[str, Any]) -> bool:
    return _equal(plain(logged), plain(again))


def _equal(a: object, b: object) -> bool:
    """Tell whether plain values are equal, floats but for rounding."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return a == b
