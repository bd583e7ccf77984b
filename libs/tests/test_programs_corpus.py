"""Every program of the shared corpus, of our own table and of generated bombs is judged as said.

Judged means: compiled, then tried on made-up inputs, in this process and quickly.
"""

import json
import time
from pathlib import Path

import pytest
import yaml

from websim.programs import ProgramError, ProgramSchema, compile_program
from websim.programs.dryrun import dry_run

ROOT = Path(__file__).resolve().parents[2]
SHARED_CORPUS = ROOT.parent / "shared" / "corpora" / "reward_programs.json"
OWN_TABLE = Path(__file__).parent / "data" / "program_cases.yaml"
SCHEMA = ProgramSchema(
    {"obs": 17, "previous_obs": 17, "previous_action": 6, "time_s": 0, "x_velocity": 0}, 6
)
TIME_LIMIT_S = 0.25


def returning(expression: str, *before: str) -> str:
    lines = [*before, f"return {expression}"]
    return "def reward(state, action):\n" + "".join(f"    {line}\n" for line in lines)


def make_bombs() -> dict[str, str]:
    """Return sources that are all refused for their size, some of them only after parsing."""
    many = "".join(f"    a{i} = state.x_velocity + 1.0 * 2.0 - 3.0\n" for i in range(60))
    short = "".join(f"    a{i} = 1.0\n" for i in range(64))
    return {
        "many_nodes": f"def reward(state, action):\n{many}    return a0\n",
        "many_statements": f"def reward(state, action):\n{short}    return state.time_s\n",
        "many_spaces": returning("state.x_velocity" + " " * 8192),
        "many_newlines": returning("state.x_velocity") + "\n" * 8192,
        "invert_chain": returning("~ " * 2000 + "state.x_velocity"),
        "not_chain": returning("not " * 1500 + "state.x_velocity"),
        "mixed_prefix_chain": returning("-not ~" * 600 + "state.x_velocity"),
        "power_chain": returning("1**" * 1500 + "1"),
        "plus_chain": returning("state.time_s+" * 600 + "1"),
        "comparison_chain": returning("1<" * 2000 + "1"),
        "and_chain": returning("1 and " * 1300 + "1"),
        "subscript_chain": returning("state.obs" + "[0]" * 1500),
        "call_chain": returning("state" + "()" * 2000),
        "attribute_chain": returning("state" + ".a" * 2000),
        "ternary_chain": returning("1 if 1 else " * 300 + "1"),
        "lambda_chain": returning("lambda: " * 600 + "1"),
        "dict_chain": returning("{1:" * 49 + "1" + "}" * 49),
        "slice_chain": returning("state.obs[:" * 49 + "1" + "]" * 49),
        "semicolons": "def reward(state, action):\n    " + ";".join(["x=1"] * 1500),
        "assignment_chain": "def reward(state, action):\n    " + "x=" * 2000 + "1",
    }


def make_long_words() -> dict[str, tuple[str, str]]:
    """Return sources of one long word, with the class of their refusal.

    Python prints no integer of more than 4,300 digits, and says so with an error; what looks for
    the name that was meant compares each with each.
    """
    digits = "0x" + "f" * 4000
    name = "a" * 190
    known = [f"{name}{i} = state.x_velocity" for i in range(19)]
    meant = [f"b{i} = {name}x" for i in range(19)]
    return {
        "index": (returning(f"state.obs[:, {digits}]"), "index"),
        "negative_index": (returning(f"state.obs[:, -{digits}]"), "index"),
        "bound": (returning(f"np.sum(state.obs[:, 0:{digits}], axis=1)"), "index"),
        "number": (returning(f"state.x_velocity * {digits}"), "constant"),
        "exponent": (returning(f"state.x_velocity ** {digits}"), "constant"),
        "axis": (returning(f"np.sum(state.obs, axis={digits})"), "batch"),
        "names_alike": (returning("b0", *known, *meant), "name"),
        "field": (returning("state." + "x_velocity" * 700), "attribute"),
        "function": (returning("np." + "arctan" * 1200 + "(state.obs)"), "call"),
    }


def load_cases() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return name, code and the acceptable outcomes of every case there is."""
    own = yaml.safe_load(OWN_TABLE.read_text(encoding="ascii"))
    cases = [(case["name"], case["code"], (case["expected"],)) for case in own]
    cases += [(f"bomb_{name}", code, ("size",)) for name, code in make_bombs().items()]
    cases += [(f"long_{name}", code, (why,)) for name, (code, why) in make_long_words().items()]
    if SHARED_CORPUS.exists():
        corpus = json.loads(SHARED_CORPUS.read_text(encoding="utf-8"))["cases"]
        for case in corpus:
            why = case["why"] if isinstance(case["why"], list) else [case["why"]]
            outcomes = ("ok",) if case["expected"] == "ok" else tuple(why)
            cases.append((f"shared_{case['name']}", case["code"], outcomes))
    return cases


CASES = load_cases()


def judge(code: str) -> tuple[str, str]:
    """Return ok or the class of the first reason, and what is said."""
    try:
        program = compile_program(code, SCHEMA)
    except ProgramError as error:
        return error.issues[0].reason, str(error)
    issues = dry_run(program).issues
    return (issues[0].reason, str(issues[0])) if issues else ("ok", "")


@pytest.mark.parametrize(
    ("code", "outcomes"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_case_is_judged_as_said(code, outcomes):
    outcome, message = judge(code)
    assert outcome in outcomes, message


def test_every_verdict_is_quick():
    for name, code, _ in CASES:
        best_s = min(_time(code) for _ in range(2))
        assert best_s < TIME_LIMIT_S, name


def test_every_refusal_is_one_line_with_a_remedy():
    for name, code, outcomes in CASES:
        if outcomes == ("ok",):
            continue
        _, message = judge(code)
        assert "\n" not in message, name
        assert message.isprintable(), name
        assert ";" in message, f"{name}: {message}"


def test_shared_corpus_has_not_shrunk():
    shared = [name for name, _, _ in CASES if name.startswith("shared_")]
    assert len(shared) >= 120 or not SHARED_CORPUS.exists()
    assert len(CASES) - len(shared) >= 350


def _time(code: str) -> float:
    """Return the processor time of one verdict: others may keep the machine busy."""
    start_s = time.thread_time()
    judge(code)
    return time.thread_time() - start_s
