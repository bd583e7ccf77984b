"""Seeded mutants of accepted programs: no crash, and what is accepted is provably closed.

WEBSIM_FUZZ_MUTANTS sets how many; the default keeps the suite quick.
"""

import ast
import os
import random
import re
import time
from pathlib import Path

import yaml

from websim.programs import ProgramError, ProgramSchema
from websim.programs.errors import REASONS
from websim.programs.regenerate import regenerate
from websim.programs.source import parse
from websim.programs.statements import check_program

NUM_MUTANTS = int(os.environ.get("WEBSIM_FUZZ_MUTANTS", "100000"))
SLOWEST_S = 0.25
SCHEMA = ProgramSchema(
    {"obs": 17, "previous_obs": 17, "previous_action": 6, "time_s": 0, "x_velocity": 0},
    6,
    {"weight": 0.5, "masses": (1.0, 2.0, 3.0)},
)
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


def test_mutants_never_crash_and_accepted_ones_are_closed():
    table = yaml.safe_load(OWN_TABLE.read_text(encoding="ascii"))
    sources = [TOKEN.findall(case["code"]) for case in table if case["expected"] == "ok"]
    chooser = random.Random(20)
    accepted = 0
    slowest_s = 0.0
    for _ in range(NUM_MUTANTS):
        mutant = make_mutant(chooser, sources)
        start_s = time.thread_time()
        accepted += judge(mutant)
        slowest_s = max(slowest_s, time.thread_time() - start_s)
    assert slowest_s < SLOWEST_S
    assert accepted > NUM_MUTANTS // 200
