"""A person at the wheel of a running learner: goals, rewards, answers to what waits for a yes."""

import json
import math
import os
from pathlib import Path
from typing import Any

from websim.client.knobs import read_knobs, refuse_both
from websim.local.flags import LEARNER_URL
from websim.local.learner_api import LearnerApi, LearnerUnreachableError
from websim.local.next_steps import to_type
from websim.programs.command import printable
from websim.programs.files import FileRefusedError, read_regular
from websim.service.adaptation_log import LOG_NAME, Row, read_log
from websim.service.errors import UserError
from websim.service.tokens import load_token

MAX_PROGRAM_BYTES = 65536
"""Of a file that is read as a program."""


class Steer:
    """Commands and questions to a running learner; each method returns an exit code."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        """Prepare; nothing is sent yet."""
        token = load_token(token_file) if token_file is not None else ""
        self._api = LearnerApi(url.rstrip("/"), token)
        self._url = url
        flags = [] if url == LEARNER_URL else ["--learner", url]
        flags += [] if token_file is None else ["--token-file", str(token_file)]
        self._flags = flags
        """What the next command for the same learner needs, too."""

    def command(self, kind: str, **values: object) -> int:
        """Give a command and say what came of it."""
        try:
            applied = self._api.command(kind, **values)
        except LearnerUnreachableError as error:
            raise self._unreachable(error) from None
        detail = f": {applied['detail']}" if applied.get("detail") else ""
        _say(f"{kind} took effect at update {applied['update']}{detail}")
        return 0

    def show_goal(self) -> int:
        """Print what the run is for and what waits for a yes."""
        view = self._get("/v1/goal")
        goal = view["goal"]
        _say(f"goal      {goal['description'] or 'the task as it is'}")
        own = "the task's own"
        _say(f"fitness   {goal['fitness_description'] or own}")
        if goal.get("not_understood"):
            _say(f"left out  {_quoted(goal['not_understood'])}: not understood")
        for failure in goal.get("failures", ()):
            _say(f"note      {failure}")
        if goal["target"] is not None:
            _say(f"target    {goal['target']:g} {goal['unit']}".rstrip())
        _say(f"adapt     {view['mode']}")
        for label, text in (("now", view["adapting"]), ("problem", view["banner"])):
            if text:
                _say(f"{label:<9} {text}")
        for waiting in view["pending"]:
            number = waiting["adaptation"]
            _say(f"waits     {waiting['sentence']}")
            for answer in ("approve", "reject"):
                _say(f"          {to_type('websim', answer, number, *self._flags)}")
            for name in waiting["names"]:
                _say(f"          candidate {name!r}")
        return 0

    def set_goal(
        self,
        text: str,
        fitness: Path | None,
        accumulate: str,
        per_horizon: bool,
        target: float | None,
    ) -> int:
        """Set another goal."""
        measure: dict[str, object] | None = None
        if fitness is not None:
            measure = {
                "program": _program(fitness),
                "accumulate": accumulate,
                "per_horizon": per_horizon,
            }
        code = self.command("set_goal", description=text, fitness=measure, target=target)
        if self._mode == "off":
            _say("the run only measures it, and changes nothing, until `websim adapt auto`")
        return code

    def ask(self, reason: str) -> int:
        """Have candidates written now."""
        self._require_adapting()
        return self.command("ask", reason=reason)

    def show_mode(self) -> int:
        """Print whether the run adapts its own training."""
        _say(self._mode)
        return 0

    def rewards(self, action: str, what: str | None, *, force: bool) -> int:
        """Carry out `websim rewards ACTION`."""
        match action:
            case "list":
                return self._list()
            case "rollback":
                return self.command("rollback", **({"reward": what} if what else {}))
            case "show" | "try" | "adopt" if what is None:
                needs = {"show": "an id", "try": "a file"}.get(action, "an id or a file")
                raise UserError(
                    f"rewards {action} needs {needs}", "`websim rewards list` lists the ids."
                )
            case "show":
                return self._show(str(what))
            case "try":
                path = Path(str(what))
                source = _program(path)
                self._require_adapting()
                return self.command("try_reward", source=source, name=path.stem)
            case "adopt":
                path = Path(str(what))
                # A program's text, typed in the place of an id, is too long for pathlib.
                if os.path.isfile(path):
                    adopt = {"reward": _program(path), "name": path.stem}
                else:
                    adopt = {"reward": str(what)}
                return self.command("adopt_reward", **adopt, force=force)
            case _:
                raise UserError(
                    f"there is no action {action}", "Choose list, show, try, adopt or rollback."
                )

    def knobs(self, pairs: list[str], difficulty: float | None) -> int:
        """Show the knobs, or turn them: all to a difficulty, or some to ranges."""
        refuse_both(pairs, difficulty)
        if difficulty is not None:
            return self.command("set_difficulty", difficulty=difficulty)
        if pairs:
            return self.command("set_knobs", knobs=read_knobs(pairs))
        view = self._get("/v1/goal")
        _say(f"difficulty {view['difficulty']:g}")
        for name, (low, high) in view["knobs"].items():
            _say(f"{name:<20} {low:g} to {high:g}")
        if not view["knobs"]:
            _say("no knob was turned")
        return 0

    def show_envs(self) -> int:
        """Print how many environments are trained on."""
        _say(f"{self._get('/v1/run')['num_envs']:,} environments")
        return 0

    def show_task(self) -> int:
        """Print what is trained on."""
        run = self._get("/v1/run")
        others = run.get("others", [])
        own = run["num_envs"] - sum(each["num_envs"] for each in others)
        _say(run["task"] + (f"  {own:,} environments" if others else ""))
        for each in others:
            _say(f"{each['task']}  {each['num_envs']:,} environments")
        return 0

    def show_speed(self) -> int:
        """Print the speed that was set and the one that is reached."""
        run = self._get("/v1/run")
        asked = "max" if run["speed"] is None else f"{run['speed']:g}"
        _say(f"{asked}, reached {run['real_time_factor']:.3g} times real time")
        return 0

    def set_speed(self, text: str) -> int:
        """Set another speed: a factor of real time, or max."""
        speed: float | None = None
        if text != "max":
            try:
                speed = float(text)
            except ValueError:
                raise UserError(f"{text} is no speed", "Write max, 1, 0.25, ...") from None
            if not (math.isfinite(speed) and speed > 0.0):
                raise UserError(f"{text} is no speed", "Write max, 1, 0.25, ...")
        return self.command("set_speed", speed=speed)

    def rows(self) -> list[Row]:
        """Return all rows of the log of adaptations."""
        rows: list[Row] = []
        while more := self._get(f"/v1/adaptations?after={len(rows)}"):
            rows += more
        return rows

    @staticmethod
    def show_rows(rows: list[Row], *, as_json: bool) -> int:
        """Print rows of the log, one line each.

        Raises:
            UserError: a row does not hold what its kind tells.
        """
        for row in rows:
            if text := json.dumps(row) if as_json else _told(row):
                _say(text)
        if not rows and not as_json:
            _say("nothing was adapted so far")
        return 0

    def _list(self) -> int:
        view = self._get("/v1/rewards")
        _say(f"{'id':<20} {'outcome':<12} {'by':<8} {'gain':>9}  name")
        for each in view["rewards"]:
            gain = each["fitness_gain"]
            shown = "" if gain is None else f"{float(gain):+.3g}"
            _say(
                f"{each['id']:<20.20} {each['outcome']:<12} {each['origin']:<8} {shown:>9}  "
                f"{each['name']}"
            )
        return 0

    def _show(self, reward_id: str) -> int:
        for each in self._get("/v1/rewards")["rewards"]:
            if each["id"] == reward_id:
                _say(f"{each['id']}  {each['name']}  {each['outcome']}  by {each['origin']}")
                for label in ("hypothesis", "reason"):
                    if each[label]:
                        _say(f"{label}: {each[label]}")
                _say()
                source = (each["source"] or "the task's own reward").replace("\r\n", "\n")
                print(printable(source, keep="\n\t"))
                return 0
        raise UserError(f"there is no reward {reward_id}", "`websim rewards list` lists them.")

    @property
    def _mode(self) -> str:
        """Whether the run adapts: auto, approve or off."""
        return str(self._get("/v1/goal")["mode"])

    def _require_adapting(self) -> None:
        # The learner refuses too, but in words of its HTTP API: who types has a command for it.
        if self._mode == "off":
            raise UserError(
                "this run does not adapt",
                "Turn it on by `websim adapt auto`, or `websim adapt approve` to be asked first.",
            )

    def _get(self, path: str) -> Any:  # noqa: ANN401 (whatever JSON the learner answers)
        try:
            return self._api.get(path)
        except LearnerUnreachableError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: LearnerUnreachableError) -> UserError:
        return UserError(
            f"no learner answers at {self._url} ({error})",
            "Start one by `websim up`, or name another by --learner.",
        )


def rows_of(run: Path) -> list[Row]:
    """Return the rows of a run's log of adaptations.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = run / LOG_NAME
    if not (run / "config.json").is_file():
        raise UserError(f"{run} is not a run directory: it has no config.json")
    if not path.exists():
        return []
    return read_log(path)[0]


def _told(row: Row) -> str:
    """Return what a row says to a person; empty for what is for machines."""
    try:
        return in_a_line(row)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        raise UserError(
            f"{LOG_NAME}: row {row['n']} does not hold what a row of its kind tells",
            "Show the rows by --json, or by the version of MuJoCo WebSim that wrote them.",
        ) from None


def in_a_line(row: Row) -> str:
    """Return what a row says to a person; empty for what is for machines."""
    values = row["values"]
    head = f"{row['env_steps']:>10,} steps  #{row['adaptation']:<2} {row['kind']:<12}"
    match row["kind"]:
        case "goal":
            words = values["description"] or "the task as it is"
            text = f"{words}: {values['fitness_description']}{_left_out(values)}"
        case "trigger":
            trigger = values["trigger"]
            text = f"{trigger['kind']}: {trigger['sentence']}" if trigger else ""
        case "answer":
            names = [each["name"] for each in values["candidates"]]
            text = f"{values['diagnosis']} -> {', '.join(names) or values['reason']}"
            refused = [each["name"] for each in values.get("refused", ())]
            text += f"; refused when written: {', '.join(refused)}" if refused else ""
            text += _left_out(values)
        case "unanswered":
            text = values["message"]
        case "verdict":
            passed = "passed the gate"
            text = f"{values['name']}: {passed if values['accepted'] else values['reason']}"
        case "round":
            text = f"round {values['round']}, stay: {', '.join(values['stay']) or 'nobody'}"
        case "decision":
            text = values["decision"]["sentence"]
        case "knobs":
            turned = values["ranges"].items()
            ranges = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in turned)
            hard = values["difficulty"]
            text = ranges if hard is None else f"difficulty {hard:g}"
            text += f": {values['why']}"
        case "difficulty":
            reached = ", ".join(f"{float(value):.4g}" for value in values["values"])
            text = f"{values['advice']}: of {values['asked']:g} asked, it reached {reached}"
        case "environment":
            count, kept = len(values["levels"]), values["kept"]
            text = f"measured in {count} harder environments, the policy follows {kept}"
        case "tasks":
            others = [f"{count:,} of {task}" for task, count in values["others"].items()]
            text = f"other tasks: {', '.join(others) or 'none'}: {values['why']}"
        case "adopted" | "rolled_back" | "kept" | "failed":
            text = f"{values['reward_id']} is in force: {values['why']}"
        case "restored":
            text = f"the policy of {values['peak_env_steps']:,} steps is put back: {values['why']}"
        case "waiting":
            text = values["sentence"]
        case "rejected":
            text = f"#{values['adaptation']}: {values['why']}"
        case "resumed":
            text = f"the run went on from row {values['position']}"
        case _:
            return ""
    # Rows of earlier versions do not tell who decided.
    by = f" [{values['by']}]" if "by" in values else ""
    return f"{head} {text}{by}"


def _left_out(values: Row) -> str:
    """Return what a goal's measure or candidates leave out of its words; mostly nothing."""
    words = values.get("not_understood")
    return f"; not understood: {_quoted(words)}" if words else ""


def _quoted(words: list[str]) -> str:
    return ", ".join(f'"{each}"' for each in words)


def _program(path: Path) -> str:
    """Return the text of a program's file."""
    try:
        content = read_regular(path, MAX_PROGRAM_BYTES)
    except FileRefusedError as error:
        raise UserError(f"cannot read {path}: {error}", "Name a text file.") from None
    if len(content) > MAX_PROGRAM_BYTES:
        raise UserError(f"{path} is larger than {MAX_PROGRAM_BYTES} bytes; no program is")
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise UserError(f"cannot read {path}: it is not UTF-8", "Name a text file.") from None


def _say(text: str = "") -> None:
    """Print a line; what a model or a person wrote in it cannot act on the terminal."""
    print(printable(text))
