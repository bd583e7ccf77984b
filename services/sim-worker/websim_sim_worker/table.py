"""Evaluate fields and observations on live arrays, each once per step and only when needed.

Most fields are views of the engine's arrays: they cost nothing. The others own a buffer and a
refresh; `plan` lists the refreshes for a set of fields in the order they depend on one another.
Rates keep the value from before the step: it cannot be computed from the state afterwards, since
some arrays are a substep behind it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from websim.programs import Program
from websim.tasks.document import Difference, Elementwise, Rate
from websim_sim_worker.fields import Field, ObservationPiece
from websim_sim_worker.selection import Selection

Floats = npt.NDArray[np.float64]
Refresh = Callable[[], object]
Locate = Callable[[str], tuple[Floats, int]]
"""Array name -> (base, first column): live values of all envs as columns of an (n, m) array."""


@dataclass(frozen=True)
class RateKeeper:
    """What a rate needs across steps. Shapes as its base field's."""

    base: Floats
    before: Floats
    value: Floats
    dt_s: float
    clip: tuple[float, float] | None

    def refresh(self) -> None:
        """Compute the rate over the step just done and keep the new value for the next."""
        np.subtract(self.base, self.before, out=self.value)
        np.divide(self.value, self.dt_s, out=self.value)
        if self.clip is not None:
            # In place: where an episode begins, and in a snapshot, it is this array that counts.
            np.clip(self.value, *self.clip, out=self.value)
        np.copyto(self.before, self.base)

    def rest(self, rows: npt.NDArray[np.int32]) -> None:
        """Nothing has moved yet in `rows`: zero, or the end of the clip nearest to it."""
        self.value[rows] = 0.0 if self.clip is None else np.clip(0.0, *self.clip)


@dataclass(frozen=True)
class ComputedArray:
    """An array that the engine does not offer live; `refresh` computes `values` (n, columns).

    Where an episode begins it follows from the new state, or is zero if not `follows_reset`.
    """

    values: Floats
    refresh: Refresh
    follows_reset: bool = True


def center_of_mass(xipos: Floats, body_mass: Callable[[], Floats]) -> ComputedArray:
    """Mass-weighted mean of the bodies' centres; xipos (n, 3 nbody) -> (n, 3).

    `body_mass` tells the masses of the bodies, (nbody,) or (n, nbody).
    """
    points = xipos.reshape(len(xipos), -1, 3)
    out = np.empty((len(xipos), 3))

    def refresh() -> None:
        # In the order of Gymnasium's einsum("b,bj->j") per environment, bit for bit.
        mass = body_mass()
        np.einsum("b,nbj->nj" if mass.ndim == 1 else "nb,nbj->nj", mass, points, out=out)
        np.divide(out, mass.sum(axis=-1, keepdims=True), out=out)

    return ComputedArray(out, refresh)


class FieldTable:
    """The values of a compiled task's fields over `num_rows` environments.

    Attributes:
        values: Field name -> its array, (n,) or (n, columns) float64: a live view or a buffer.
        rates: The rate fields; all are kept from step to step, needed or not.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        *,
        num_rows: int,
        dt_s: float,
        locate: Locate,
        compute: Callable[[str], ComputedArray | None],
    ) -> None:
        self._fields = fields
        self._num_rows = num_rows
        self._dt_s = dt_s
        self._locate = locate
        self._compute = compute
        self._computed: dict[str, ComputedArray] = {}
        self._order: list[str] = []
        self._refreshes: dict[str, Refresh] = {}
        self.values: dict[str, Floats] = {}
        self.rates: dict[str, RateKeeper] = {}
        for name, field in fields.items():
            if isinstance(field.made_of, Rate):
                self.ensure(name)

    def add(self, name: str, values: Floats, refresh: Refresh | None = None) -> None:
        """Make an array readable as a field that someone else keeps up to date, or `refresh`."""
        self.values[name] = values
        if refresh is not None:
            self._refreshes[name] = refresh
            self._order.append(name)

    def ensure(self, name: str) -> None:
        """Make a field's array exist, with those it is made of."""
        if name in self.values:
            return
        field = self._fields[name]
        for other in field.reads:
            self.ensure(other)
        raw, refresh = self._node(field)
        if field.clip is not None and not isinstance(field.made_of, Rate):
            raw, refresh = _clipped(raw, refresh, field.clip)
        self.values[name] = raw
        if refresh is not None:
            self._refreshes[name] = refresh
            self._order.append(name)

    def plan(self, names: Iterable[str], *, after_reset: bool = False) -> tuple[Refresh, ...]:
        """List what to call after a step, so that `names` and all rates are up to date.

        After a reset of some rows: what follows from their new state; rates have their own begin.
        """
        wanted: set[str] = set()
        pending = [*names, *self.rates]
        while pending:
            name = pending.pop()
            if name in wanted:
                continue
            wanted.add(name)
            if (field := self._fields.get(name)) is not None:
                self.ensure(name)
                pending += field.reads
                if isinstance(field.made_of, Selection):
                    pending.append(_key(field.made_of.array))
        skip = set(self.rates) if after_reset else set()
        if after_reset:
            skip |= {_key(a) for a, array in self._computed.items() if not array.follows_reset}
        return tuple(self._refreshes[n] for n in self._order if n in wanted and n not in skip)

    def begin(self, rows: npt.NDArray[np.int32], after_reset: Iterable[Refresh]) -> None:
        """Start episodes in `rows`: bring all up to date with their new state; rates rest."""
        for array in self._computed.values():
            if not array.follows_reset:
                array.values[rows] = 0.0
        for keeper in self.rates.values():
            keeper.rest(rows)
        for refresh in after_reset:
            refresh()
        for keeper in self.rates.values():
            keeper.before[rows] = keeper.base[rows]

    def select(self, selection: Selection) -> tuple[Floats, Refresh | None]:
        """The selected columns as (n,) or (n, columns): a view, or a buffer with its refresh."""
        base, offset = self.place(selection.array)
        if selection.scalar:
            return base[:, offset + selection.index[0]], None
        if (span := selection.span) is not None:
            return base[:, offset + span.start : offset + span.stop], None
        index = np.array(selection.index, dtype=np.intp) + offset
        out = np.empty((self._num_rows, len(index)))
        # mode="clip" lets take() write into `out` unbuffered; the indices are in range.
        return out, lambda: np.take(base, index, axis=1, out=out, mode="clip")

    def place(self, array: str) -> tuple[Floats, int]:
        """Where an array's columns are: (base, first column)."""
        if array not in self._computed:
            computed = self._compute(array)
            if computed is None:
                return self._locate(array)
            self._computed[array] = computed
            self._refreshes[_key(array)] = computed.refresh
            self._order.append(_key(array))
        return self._computed[array].values, 0

    def _node(self, field: Field) -> tuple[Floats, Refresh | None]:
        match field.made_of:
            case Selection() as selection:
                return self.select(selection)
            case Rate(base):
                source = self.values[base]
                value = np.zeros(source.shape)
                keeper = RateKeeper(source, source.copy(), value, self._dt_s, field.clip)
                self.rates[field.name] = keeper
                return keeper.value, keeper.refresh
            case Elementwise(function, base):
                return _elementwise(function, self.values[base])
            case Difference(left, right):
                first, second = self.values[left], self.values[right]
                out = np.empty(first.shape)
                return out, lambda: np.subtract(first, second, out=out)
            case Program() as program:
                out = np.empty((self._num_rows,))
                no_action = np.zeros((self._num_rows, 1), dtype=np.float32)
                return out, lambda: np.copyto(out, program(self.values, no_action))


def _key(array: str) -> str:
    """Name of an array among the fields' names."""
    return "@" + array


def _elementwise(function: str, source: Floats) -> tuple[Floats, Refresh]:
    ufunc: Any = np.sin if function == "sin" else np.cos
    out = np.empty(source.shape)
    return out, lambda: ufunc(source, out=out)


def _clipped(
    source: Floats, refresh: Refresh | None, clip: tuple[float, float]
) -> tuple[Floats, Refresh]:
    out = np.empty(source.shape)
    low, high = clip

    def clip_source() -> None:
        if refresh is not None:
            refresh()
        np.clip(source, low, high, out=out)

    return out, clip_source


class Observer:
    """Writes observations straight into a buffer of the client's dtype."""

    def __init__(self, pieces: Iterable[ObservationPiece], table: FieldTable) -> None:
        self._copies: list[tuple[slice, Floats, tuple[float, float] | None]] = []
        self.reads: tuple[str, ...] = ()
        """What the table has to bring up to date before `write`."""
        self._gathers: list[Refresh] = []
        start = 0
        last: tuple[Floats, int] | None = None
        for piece in pieces:
            stop = start + piece.width
            here = slice(start, stop)
            base, column = self._source(piece, table)
            adjoins = last is not None and last[0] is base and last[1] == column
            if adjoins and piece.clip is None and column >= 0:
                # qpos and qvel lie side by side in the state: one copy for both.
                before, view, _ = self._copies.pop()
                here = slice(before.start, stop)
                column -= before.stop - before.start
            view = base[:, column : column + here.stop - here.start] if column >= 0 else base
            self._copies.append((here, view, piece.clip))
            last = (base, column + view.shape[1]) if piece.clip is None and column >= 0 else None
            start = stop
        self.width = start

    def _source(self, piece: ObservationPiece, table: FieldTable) -> tuple[Floats, int]:
        """(base, first column) of a piece, or (its own (n, width) array, -1)."""
        if isinstance(piece.what, Selection):
            self.reads += (_key(piece.what.array),)
            if (span := piece.what.span) is not None:
                base, offset = table.place(piece.what.array)
                return base, offset + span.start
            values, gather = table.select(piece.what)
            if gather is not None:
                self._gathers.append(gather)
        else:
            table.ensure(piece.what)
            self.reads += (piece.what,)
            values = table.values[piece.what]
        return (values if values.ndim == 2 else values[:, None]), -1

    def write(self, out: npt.NDArray[Any]) -> None:
        """Write all rows of `out` (n, width)."""
        for gather in self._gathers:
            gather()
        for columns, source, clip in self._copies:
            if clip is None:
                out[:, columns] = source
            else:
                np.clip(source, *clip, out=out[:, columns], casting="same_kind")

    def write_rows(self, out: npt.NDArray[Any], rows: npt.NDArray[np.int32]) -> None:
        """Write only `rows` of `out` (n, width)."""
        for gather in self._gathers:
            gather()
        for columns, source, clip in self._copies:
            values = source[rows]
            out[rows, columns] = values if clip is None else np.clip(values, *clip)
