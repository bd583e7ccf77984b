"""An accepted program gives, bit for bit, what numpy gives for the same text as plain Python."""

import ast
import random
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from websim.programs import Program, ProgramError, ProgramSchema, compile_program
from websim.programs.dryrun import Inputs, make_inputs

SCHEMA = ProgramSchema(
    {"obs": 17, "previous_obs": 17, "previous_action": 6, "time_s": 0, "x_velocity": 0},
    6,
    {"weight": 0.5, "masses": tuple(0.25 * (i + 1) for i in range(17))},
)
NUM_PROGRAMS = 400
OWN_TABLE = Path(__file__).parent / "data" / "program_cases.yaml"


class RowNorm:
    """Stands in for np.linalg: the one function that the language defines otherwise."""

    @staticmethod
    def norm(x, axis):
        return np.sqrt(np.vecdot(x, x, axis=axis))


class PlainNumpy:
    """numpy itself, except for np.linalg."""

    linalg = RowNorm

    def __getattr__(self, name):
        return getattr(np, name)


class Definitions(ast.NodeTransformer):
    """Rewrites what the language defines otherwise: r += x is r = r + x, c[0] is a plain number."""

    def visit_Subscript(self, node):
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in SCHEMA.constants:
            return ast.Constant(SCHEMA.constants[node.value.id][node.slice.value])
        return node

    def visit_AugAssign(self, node):
        self.generic_visit(node)
        left = ast.Name(node.target.id, ast.Load())
        return ast.Assign([node.target], ast.BinOp(left, node.op, node.value))


def run_plainly(source: str, inputs: Inputs):
    """Return what Python makes of `source` when it is simply executed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.fix_missing_locations(Definitions().visit(ast.parse(source)))
    constants = {name: value for name, value in SCHEMA.constants.items()}
    constants["masses"] = np.array(constants["masses"])
    namespace = {"np": PlainNumpy(), **constants}
    exec(compile(tree, "<plain>", "exec"), namespace)
    with np.errstate(all="ignore"):
        return namespace["reward"](SimpleNamespace(**inputs.fields), inputs.action)


def assert_same_bits(program: Program, inputs: Inputs) -> None:
    plain = run_plainly(program.source, inputs)
    total, components = plain if isinstance(plain, tuple) else (plain, {})
    ours, ours_components = program.with_components(inputs.fields, inputs.action)
    assert tuple(ours_components) == tuple(components)
    pairs = [(ours, total), (program(inputs.fields, inputs.action), total)]
    pairs += [(ours_components[name], components[name]) for name in components]
    for mine, theirs in pairs:
        if theirs.dtype.kind != "f":
            theirs = theirs.astype(np.float64)
        assert mine.dtype == theirs.dtype
        assert mine.tobytes() == theirs.tobytes(), program.source
    assert ours.dtype == program.dtype


class Author:
    """Writes random programs of the language, most of which are accepted."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.columns = ["state.x_velocity", "state.time_s"]
        self.matrices = ["state.obs", "state.previous_obs"]

    def write(self) -> str:
        lines = []
        for index in range(self.random.randint(0, 5)):
            name = f"a{index}"
            if self.random.random() < 0.7:
                lines.append(f"{name} = {self.column(3)}")
                self.columns.append(name)
            else:
                lines.append(f"{name} = {self.matrix(2)}")
                self.matrices.append(name)
            if self.random.random() < 0.3:
                lines.append(f"{name} {self.pick('+= -= *=')} {self.number()}")
        total = self.column(3)
        if self.random.random() < 0.4:
            total += f", {{'one': {self.column(2)}, 'two': {self.column(1)}}}"
        lines.append(f"return {total}")
        return "def reward(state, action):\n" + "".join(f"    {line}\n" for line in lines)

    def pick(self, words: str) -> str:
        return self.random.choice(words.split())

    def number(self) -> str:
        return self.pick("0.1 2.0 3 -1.5 1e-3 weight masses[2] np.pi 10 np.exp(-1.0) (2.0-0.5)")

    def column(self, depth: int) -> str:
        if depth == 0:
            i = self.random.randrange(-17, 17)
            return self.random.choice([*self.columns, f"state.obs[:, {i}]", "action[:, 2]"])
        left, right = self.column(depth - 1), self.column(depth - 1)
        matrix, number = self.matrix(depth - 1), self.number()
        return self.random.choice(
            [
                f"({left} {self.pick('+ - * / %')} {right})",
                f"({number} {self.pick('+ - * /')} {left})",
                f"({left} {self.pick('+ - * / %')} {number})",
                f"(-{left})",
                f"({left} ** {self.pick('2 2.0 3 0.5 -1 1')})",
                f"np.{self.pick('exp tanh sin sqrt square abs log sign floor arctan')}({left})",
                f"np.{self.pick('minimum maximum arctan2 hypot divide')}({left}, {right})",
                f"np.clip({left}, -1.0, {right})",
                f"np.where({self.condition(depth - 1)}, {left}, {self.pick('1.0 0 -2.5')})",
                f"({self.condition(depth - 1)} * {number})",
                f"np.{self.pick('sum mean max min std prod')}({matrix}, axis={self.pick('1 -1')})",
                f"np.linalg.norm({matrix}, axis=1)",
                f"np.vecdot({matrix}, {self.pick('state.obs state.previous_obs masses')})",
                "np.sum(np.square(action), axis=1)",
                f"np.sum({matrix} * masses, axis=1) / np.sum(masses)",
                f"np.float_power({left}, {self.pick('2.0 3.0')})",
                f"np.full_like({left}, {number})",
            ]
        )

    def matrix(self, depth: int) -> str:
        if depth == 0:
            return self.random.choice(self.matrices)
        left, right = self.matrix(depth - 1), self.matrix(depth - 1)
        return self.random.choice(
            [
                left,
                f"({left} {self.pick('+ - *')} {right})",
                f"({left} * {self.number()})",
                f"({left} * state.obs[:, 3:4])",
                f"np.{self.pick('square abs clip_')}({left})".replace("clip_(", "negative("),
                f"np.clip({left}, -1.0, 1.0)",
                f"np.where({left} > {right}, {left}, 0.0)",
                f"np.minimum({left}, masses)",
            ]
        )

    def condition(self, depth: int) -> str:
        left, right = self.column(depth), self.column(0)
        return self.random.choice(
            [
                f"({left} {self.pick('< <= > >= == !=')} {right})",
                f"(({left} > {self.number()}) {self.pick('& | ^')} ~({right} < 0.5))",
                f"np.all(np.isfinite({self.matrix(1)}), axis=1)",
                f"np.any({self.matrix(1)} > 1.0, axis=1)",
                f"np.logical_or({left} > 0.0, {right} > 0.0)",
            ]
        )


def write_programs() -> list[Program]:
    programs, refusals = [], set()
    for seed in range(NUM_PROGRAMS):
        try:
            programs.append(compile_program(Author(seed).write(), SCHEMA))
        except ProgramError as error:
            refusals.add(error.issues[0].reason)
    # Sums of many costly parts, and numbers that are no longer finite, are refused.
    assert refusals <= {"cost", "size", "nonfinite"}
    return programs


def test_random_programs_have_the_bits_of_plain_numpy():
    programs = write_programs()
    assert len(programs) > 0.8 * NUM_PROGRAMS
    families = make_inputs(SCHEMA, 33, seed=3)
    for program in programs:
        for name in ("normal", "zero", "nan", "huge"):
            assert_same_bits(program, families[name])


@pytest.mark.parametrize("num_rows", [0, 1, 1024])
def test_table_programs_have_the_bits_of_plain_numpy(num_rows):
    inputs = make_inputs(SCHEMA, max(num_rows, 1), seed=4)["normal"].rows(slice(0, num_rows))
    table = yaml.safe_load(OWN_TABLE.read_text(encoding="ascii"))
    for case in table:
        if case["expected"] == "ok":
            assert_same_bits(compile_program(case["code"], SCHEMA), inputs)


def test_square_is_numpys_square():
    inputs = make_inputs(SCHEMA, 1000, seed=5)["normal"]
    column = inputs.fields["obs"][:, 4]
    for text in ("state.obs[:, 4] ** 2", "state.obs[:, 4] ** 2.0", "np.square(state.obs[:, 4])"):
        program = compile_program(f"def reward(state, action):\n    return {text}", SCHEMA)
        assert np.array_equal(program(inputs.fields, inputs.action), np.square(column))


def test_action_cost_stays_float32_like_gymnasiums():
    inputs = make_inputs(SCHEMA, 1000, seed=6)["normal"]
    source = "def reward(state, action):\n    return 0.1 * np.sum(np.square(action), axis=1)"
    result = compile_program(source, SCHEMA)(inputs.fields, inputs.action)
    assert result.dtype == np.float32
    per_env = [0.1 * np.sum(np.square(row)) for row in inputs.action]
    assert np.array_equal(result, np.array(per_env))


def test_norm_is_the_norm_taken_per_environment():
    inputs = make_inputs(SCHEMA, 1000, seed=7)["normal"]
    source = "def reward(state, action):\n    return np.linalg.norm(state.obs[:, 0:3], axis=1)"
    result = compile_program(source, SCHEMA)(inputs.fields, inputs.action)
    per_env = [np.linalg.norm(row[:3]) for row in inputs.fields["obs"]]
    assert np.array_equal(result, np.array(per_env))
