"""Fourth layer: a trial on made-up inputs, before a program judges anything real.

The static check proves form; this looks at numbers: finite on ordinary inputs, the same on every
call, each environment judged on its own. It runs wherever the program runs, best in the child.
"""

from dataclasses import dataclass

import numpy as np

from websim.programs.errors import Issue, Reason
from websim.programs.evaluator import Evaluator
from websim.programs.risks import has_condition, riskiest
from websim.programs.schema import ProgramSchema
from websim.programs.values import Array

ROWS = 64
"""Environments of the trial."""

STEP = 0.1
"""Spread of `previous_obs` around `obs`: one step apart, so that progress has a usual size."""

EPISODE_S = 50.0
"""Length of an episode: 1000 steps of 50 ms."""

_CORNERS = ((1.0, 1.0), (-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0))
"""Of actions at their bounds, where a policy that is sure of itself is: even and odd columns."""

_INDEPENDENCE_RTOL = 1e-6
"""Rows alone and in a batch may differ by rounding on processors with other vector units."""

_ROUNDING_RTOL = 1e-9
"""What varies by no more of its size, as the sum of a sine's and a cosine's square, is constant."""

_FINITE_ON = {
    "normal": "for {bad} of {rows} ordinary inputs",
    "zero": "where all fields and the action are zero",
}
"""Inputs on which every result has to be finite, and how that is said of those where it is not."""


@dataclass(frozen=True)
class Scale:
    """Size of one result over ordinary inputs."""

    minimum: float
    maximum: float
    mean: float
    std: float

    def is_within(self, limit: float) -> bool:
        """Tell whether mean and spread are up to `limit`; sums beyond all numbers are not."""
        return abs(self.mean) <= limit and self.std <= limit


@dataclass(frozen=True)
class DryRun:
    """What a trial found."""

    issues: tuple[Issue, ...]
    """Why the program is refused; empty when it may be used."""
    scales: dict[str, Scale]
    """Of the total (named "total") and of each component, over finite ordinary inputs."""
    constant: bool
    """True when the total does not depend on the inputs: of a reward nothing can be learned."""
    nonfinite_share: dict[str, float]
    """Share of rows that are not finite, by kind of input: normal, zero, nan, ..."""
    num_rows: int
    """Made-up inputs of each kind."""
    conditional: bool
    """True when it reads something and decides by it: elsewhere a constant total may vary."""

    @property
    def unchanging(self) -> str:
        """What is wrong with a total that is constant, for its author."""
        total = f"the total is {self.scales['total'].mean:.4g}"
        if self.conditional:
            return (
                f"{total} for all {self.num_rows} made-up inputs: its condition is met by none of "
                "them, or by all; add a smooth term, as in np.exp(-np.square(x - 5.0))"
            )
        return (
            f"{total} whatever the state and the action are, "
            "so nothing can be learned from it; let it depend on a field"
        )


@dataclass(frozen=True)
class Inputs:
    """One batch of made-up inputs."""

    fields: dict[str, Array]
    action: Array

    def rows(self, index: slice | Array) -> "Inputs":
        """Return the chosen rows."""
        chosen = {name: array[index] for name, array in self.fields.items()}
        return Inputs(chosen, self.action[index])


def dry_run(program: Evaluator, *, num_rows: int = ROWS, seed: int = 0) -> DryRun:
    """Try `program` on normal, zero, NaN, huge and constant inputs of `num_rows` environments.

    Whatever the program's evaluation raises is raised on: SandboxError from the child.
    """
    families = make_inputs(program.schema, num_rows, seed)
    results = {name: _evaluate(program, inputs) for name, inputs in families.items()}
    normal = results["normal"]
    issues = _shape_issues(normal, num_rows)
    if not issues:
        issues += _repeat_issues(program, families, results)
        issues += _independence_issues(program, families["normal"], normal)
        issues += _nonfinite_issues(program, results)
    return DryRun(
        tuple(issues),
        {name: scale_of(array) for name, array in normal.items()},
        is_constant(normal["total"]),
        {name: _nonfinite_share(result) for name, result in results.items()},
        num_rows,
        has_condition(program.source),
    )


def make_inputs(schema: ProgramSchema, num_rows: int, seed: int) -> dict[str, Inputs]:
    """Return made-up batches by name; "normal" is what a result has to be finite on."""
    generator = np.random.Generator(np.random.Philox(seed))
    shapes = {
        name: (num_rows, columns) if columns else (num_rows,)
        for name, columns in schema.fields.items()
    }
    normal = {name: generator.standard_normal(shape) for name, shape in shapes.items()}
    if {"obs", "previous_obs"} <= normal.keys():
        normal["previous_obs"] = normal["obs"] + STEP * normal["previous_obs"]
    if "time_s" in normal:
        normal["time_s"] = _times(normal["time_s"])
    action_shape = (num_rows, schema.action_dim)
    action = generator.uniform(-1.0, 1.0, action_shape).astype(np.float32)
    saturated = _saturated(num_rows, schema.action_dim)
    for array in (action, normal.get("previous_action")):
        if array is not None and array.shape == action_shape:
            array[num_rows - len(saturated) :] = saturated

    def filled(value: float) -> Inputs:
        fields = {name: np.full(shape, value) for name, shape in shapes.items()}
        return Inputs(fields, np.full(action_shape, value, dtype=np.float32))

    same = {name: np.broadcast_to(array[:1], array.shape).copy() for name, array in normal.items()}
    return {
        "normal": Inputs(normal, action),
        "constant": Inputs(same, np.broadcast_to(action[:1], action_shape).copy()),
        "zero": filled(0.0),
        "nan": filled(np.nan),
        "huge": filled(1e30),
        "negative_huge": filled(-1e30),
    }


def _times(order: Array) -> Array:
    """Return times of an episode in the order of the numbers given, more of them early: (N,)."""
    share = (np.argsort(np.argsort(order)) + 0.5) / len(order)
    times: Array = EPISODE_S * share**3
    return times


def _saturated(num_rows: int, action_dim: int) -> Array:
    """Return actions at their bounds, for the last rows of a batch: at most half of them."""
    even = np.arange(action_dim) % 2 == 0
    corners = [np.where(even, *corner) for corner in _CORNERS[: num_rows // 2]]
    return np.array(corners).reshape(-1, action_dim)


def scale_of(array: Array) -> Scale:
    """Return the size of a result over those of its rows that are finite."""
    finite = array[np.isfinite(array)].astype(np.float64)
    if finite.size == 0:
        return Scale(np.nan, np.nan, np.nan, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        return Scale(
            float(finite.min()), float(finite.max()), float(finite.mean()), float(finite.std())
        )


def is_constant(total: Array) -> bool:
    """Tell whether a result is one number in all rows, rounding aside."""
    values = total.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.abs(values - values[:1])
        return bool((spread <= _ROUNDING_RTOL * np.abs(values[:1])).all())


def _evaluate(program: Evaluator, inputs: Inputs) -> dict[str, Array]:
    total, components = program.with_components(inputs.fields, inputs.action)
    return {"total": total, **{f"component {name}": part for name, part in components.items()}}


def _shape_issues(result: dict[str, Array], num_rows: int) -> list[Issue]:
    return [
        _issue("shape", f"the {name} has shape {array.shape}, not ({num_rows},)")
        for name, array in result.items()
        if array.shape != (num_rows,)
    ]


def _repeat_issues(
    program: Evaluator, families: dict[str, Inputs], results: dict[str, dict[str, Array]]
) -> list[Issue]:
    for name, inputs in families.items():
        again = program(inputs.fields, inputs.action)
        if not np.array_equal(again, results[name]["total"], equal_nan=True):
            return [_issue("batch", "two calls with the same inputs give different results")]
    return []


def _independence_issues(
    program: Evaluator, inputs: Inputs, result: dict[str, Array]
) -> list[Issue]:
    total = result["total"]
    order = np.arange(len(total))[::-1]
    permuted = inputs.rows(order)
    alone = np.concatenate(
        [
            program(row.fields, row.action)
            for row in (inputs.rows(slice(i, i + 1)) for i in range(len(total)))
        ]
    )
    for other in (alone, program(permuted.fields, permuted.action)[order]):
        if not np.allclose(other, total, rtol=_INDEPENDENCE_RTOL, atol=1e-12, equal_nan=True):
            return [_issue("batch", "an environment's result depends on the other environments")]
    return []


def _nonfinite_issues(program: Evaluator, results: dict[str, dict[str, Array]]) -> list[Issue]:
    for family, where in _FINITE_ON.items():
        for name, array in results[family].items():
            bad = int((~np.isfinite(array)).sum())
            if bad:
                line, column, remedy = riskiest(program.source)
                place = where.format(bad=bad, rows=len(array))
                message = f"the {name} is NaN or infinite {place}; {remedy}"
                return [Issue("nonfinite", message, line, column)]
    return []


def _nonfinite_share(result: dict[str, Array]) -> float:
    return float((~np.isfinite(result["total"])).mean())


def _issue(reason: Reason, message: str) -> Issue:
    return Issue(reason, message, 0, 0)
