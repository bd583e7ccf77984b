"""Seeded mutants of programs, honest and hostile.

None crashes the check, and what is accepted is provably closed; run in a confined child it ends in
a verdict or in the child's failure, never in the parent's. They are made of our own table and,
where it is there, of the shared corpus. WEBSIM_FUZZ_MUTANTS sets how many; the default keeps the
suite quick.
"""

import ast
import heapq
import json
import os
import random
import re
import statistics
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from websim.programs import ProgramError, ProgramSchema, compile_program
from websim.programs.dryrun import dry_run
from websim.programs.errors import REASONS
from websim.programs.regenerate import regenerate
from websim.programs.sandbox import Sandbox, SandboxedProgram, SandboxError
from websim.programs.source import parse
from websim.programs.statements import check_program

NUM_MUTANTS = int(os.environ.get("WEBSIM_FUZZ_MUTANTS", "100000"))
SLOWEST = 1000.0
"""Times the median of all mutants: an honest long one takes some 60 times that."""
NUM_TIMED_AGAIN = 20
SCHEMA = ProgramSchema(
    {"obs": 17, "previous_obs": 17, "previous_action": 6, "time_s": 0, "x_velocity": 0},
    6,
    {"weight": 0.5, "masses": (1.0, 2.0, 3.0)},
)
SHARED_CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "reward_programs.json"
LONGEST = 1000
"""Characters of a source: longer ones are bombs, of whose mutants only the length is seen."""
NUM_CONFINED = 24
NUM_ROWS = 8
OWN_TABLE = Path(__file__).parent / "data" / "program_cases.yaml"
TOKEN = re.compile(r"[A-Za-z_][A-Za-z_0-9.]*|[0-9][0-9.e]*|\*\*|[<>=!]=|\n *|.")
HOSTILE_WORDS = """
( ) [ ] { } : , . = + - * / % & | ^ ~ < > @ ; # ' " \\ ... := -> ** // << >> += **= == !=
if else for in while lambda def class import from return yield await not and or is None True False
0 1 -1 17 1e9 1e999 0.5 9**9 1j 0x7f f'{x}' b'x' 'a' *x **x lambda:0 axis=1 axis=0 out=action
np state action obs state.obs np.exp np.load np.linalg.norm np.random.rand eval __import__ open
state.obs.T state.__class__ [:,0] [0] [:,None] [::2] [...] (1,) {'a':1} weight masses masses[0]
"""
CLOSED_NODE_NAMES = """
Module FunctionDef arguments arg Assign Return Tuple Name Load Store Constant Call Subscript Slice
UnaryOp UAdd USub Invert BinOp Add Sub Mult Div Mod Pow BitAnd BitOr BitXor Compare Lt LtE Gt GtE
Eq NotEq
"""
HOSTILE = ["\n", "\n    ", *HOSTILE_WORDS.split()]
CLOSED_NODES = frozenset(CLOSED_NODE_NAMES.split())


def make_mutant(chooser: random.Random, sources: list[list[str]]) -> str:
    """Return one source with some tokens dropped, doubled, swapped, replaced or spliced in."""
    tokens = list(chooser.choice(sources))
    for _ in range(chooser.choice((1, 1, 2, 3, 8))):
        where = chooser.randrange(len(tokens))
        other = chooser.randrange(len(tokens))
        match chooser.randrange(7):
            case 0:
                del tokens[where : where + chooser.randint(1, 3)]
            case 1:
                tokens.insert(where, chooser.choice(HOSTILE))
            case 2:
                tokens[where] = chooser.choice(HOSTILE)
            case 3:
                tokens[where], tokens[other] = tokens[other], tokens[where]
            case 4:
                tokens[where:where] = tokens[other : other + chooser.randint(1, 12)]
            case 5:
                donor = chooser.choice(sources)
                start = chooser.randrange(len(donor))
                tokens[where:where] = donor[start : start + chooser.randint(1, 12)]
            case 6:
                tokens[where] = chr(chooser.choice((0, 9, 12, 13, 127, 160, 0x430, 0x202E)))
        if not tokens:
            return ""
    return "".join(tokens)


def assert_closed(tree: ast.Module) -> None:
    """Hold the regenerated syntax to the promise, apart from the code that makes it."""
    for node in ast.walk(tree):
        assert type(node).__name__ in CLOSED_NODES
        if isinstance(node, ast.Name):
            assert node.id.startswith(("v_", "f_"))
        if isinstance(node, ast.FunctionDef):
            assert node.name.startswith("f_")
            assert not node.decorator_list
            assert node.returns is None
        if isinstance(node, ast.arguments):
            assert all(argument.arg.startswith("v_") for argument in node.args)
            assert not any((node.defaults, node.kwonlyargs, node.vararg, node.kwarg))
        if isinstance(node, ast.Constant):
            assert type(node.value) in (int, float)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            assert node.func.id.startswith("f_")
            assert not node.keywords


def judge(mutant: str) -> bool:
    """Return whether `mutant` is accepted, once its refusal or its closed form is as promised."""
    try:
        checked = check_program(parse(mutant), SCHEMA, "reward")
    except ProgramError as error:
        refusal = error
    else:
        assert_closed(regenerate(checked, "reward").tree)
        return True
    assert refusal.issues[0].reason in REASONS
    assert str(refusal).isprintable()
    return False


def load_sources() -> list[list[str]]:
    """Return the tokens of all programs there are, of accepted ones about as often as of others."""
    cases = yaml.safe_load(OWN_TABLE.read_text(encoding="ascii"))
    if SHARED_CORPUS.exists():
        cases += json.loads(SHARED_CORPUS.read_text(encoding="utf-8"))["cases"]
    kept = [case for case in cases if 0 < len(case["code"]) <= LONGEST]
    honest = [TOKEN.findall(case["code"]) for case in kept if case["expected"] == "ok"]
    hostile = [TOKEN.findall(case["code"]) for case in kept if case["expected"] != "ok"]
    return hostile + honest * (len(hostile) // len(honest))


@pytest.fixture(scope="module")
def accepted() -> list[str]:
    """Return the mutants that are accepted; all have been judged by then."""
    sources = load_sources()
    assert len(sources) > 50
    chooser = random.Random(20)
    mutants = []
    times_s = []
    for _ in range(NUM_MUTANTS):
        mutant = make_mutant(chooser, sources)
        was_accepted, took_s = timed(mutant)
        times_s.append((took_s, mutant))
        if was_accepted:
            mutants.append(mutant)
    usual_s = statistics.median(took_s for took_s, _ in times_s)
    for _, mutant in heapq.nlargest(NUM_TIMED_AGAIN, times_s):
        # Once may be the machine's doing: a collection of garbage, another's turn.
        assert min(timed(mutant)[1] for _ in range(3)) < SLOWEST * usual_s, mutant
    return mutants


def timed(mutant: str) -> tuple[bool, float]:
    """Judge a mutant; return whether it is accepted, and the thread's seconds that it took."""
    start_s = time.thread_time()
    was_accepted = judge(mutant)
    return was_accepted, time.thread_time() - start_s


def test_mutants_never_crash_and_accepted_ones_are_closed(accepted):
    assert len(accepted) > NUM_MUTANTS // 200


def end_of(mutant: str, sandbox: Sandbox) -> str:
    """Return what a confined trial ends in: a verdict, or what befell the child."""
    program = compile_program(mutant, SCHEMA)
    with SandboxedProgram(program, sandbox, num_rows=NUM_ROWS) as confined:
        try:
            trial = dry_run(confined, num_rows=NUM_ROWS)
        except SandboxError as error:
            return error.problem
    assert all(issue.reason in REASONS for issue in trial.issues)
    return "verdict"


def test_accepted_mutants_are_contained_by_the_sandbox(accepted):
    """Each has the sandbox's own deadline; after all of them it still runs an honest program."""
    distinct = sorted(set(accepted))
    sample = random.Random(21).sample(distinct, min(NUM_CONFINED, len(distinct)))
    with Sandbox() as sandbox:
        ends = Counter(end_of(mutant, sandbox) for mutant in sample)
        honest = compile_program("def reward(state, action):\n    return state.time_s\n", SCHEMA)
        with SandboxedProgram(honest, sandbox, num_rows=NUM_ROWS) as confined:
            assert dry_run(confined, num_rows=NUM_ROWS).issues == ()
    assert set(ends) <= {"verdict", "deadline", "crashed", "error", "quarantined"}
    assert ends["verdict"] > len(sample) // 2
