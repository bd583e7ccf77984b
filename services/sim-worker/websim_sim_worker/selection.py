"""Turn 'qpos of joint rootx' into columns of an array, with names for people.

Called when a task is compiled. A selection is a tuple of column indices of an MjData array seen as
(n, columns), each with a label.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from websim.tasks.document import ObjectKind, Objects, Source, Value
from websim.tasks.errors import TaskError

CENTER_OF_MASS = "center_of_mass"
"""Built-in array: mass-weighted mean of the bodies' centres, world frame, m."""

Rows = list[tuple[str, list[int]]]
"""For each object its name and the columns it owns."""

_BODY_WIDTH = {
    "xpos": 3,
    "xquat": 4,
    "xmat": 9,
    "xipos": 3,
    "subtree_com": 3,
    "cvel": 6,
    "cinert": 10,
    "cfrc_ext": 6,
}
_OTHER_WIDTH: dict[str, tuple[ObjectKind, int]] = {
    "geom_xpos": ("geom", 3),
    "site_xpos": ("site", 3),
    "site_xmat": ("site", 9),
    "ten_length": ("tendon", 1),
    "ten_velocity": ("tendon", 1),
    "ctrl": ("actuator", 1),
    "actuator_force": ("actuator", 1),
    "actuator_length": ("actuator", 1),
    "actuator_velocity": ("actuator", 1),
}
_DOF_ARRAYS = frozenset({"qvel", "qacc", "qfrc_actuator", "qfrc_constraint", "qfrc_passive"})
_OBJ = {
    "joint": mujoco.mjtObj.mjOBJ_JOINT,
    "body": mujoco.mjtObj.mjOBJ_BODY,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    "site": mujoco.mjtObj.mjOBJ_SITE,
    "tendon": mujoco.mjtObj.mjOBJ_TENDON,
    "actuator": mujoco.mjtObj.mjOBJ_ACTUATOR,
    "sensor": mujoco.mjtObj.mjOBJ_SENSOR,
    "camera": mujoco.mjtObj.mjOBJ_CAMERA,
}
_RANGE = re.compile(r"(-?[0-9]+)?:(-?[0-9]+)?")
_QPOS_WIDTH = {0: 7, 1: 4, 2: 1, 3: 1}
_DOF_WIDTH = {0: 6, 1: 3, 2: 1, 3: 1}


@dataclass(frozen=True)
class Selection:
    """Columns of one array. `scalar`: the one column is read as (n,), not as (n, 1)."""

    array: str
    index: tuple[int, ...]
    scalar: bool
    labels: tuple[str, ...]

    @property
    def columns(self) -> int:
        """0 for shape (n,), else the number of columns."""
        return 0 if self.scalar else len(self.index)

    @property
    def span(self) -> slice | None:
        """The columns as a slice when they are consecutive."""
        start, stop = self.index[0], self.index[-1] + 1
        return slice(start, stop) if self.index == tuple(range(start, stop)) else None


def select(
    source: Source, model: mujoco.MjModel, parameters: Mapping[str, Value], where: str
) -> Selection:
    """Resolve `source` against `model`.

    Raises:
        TaskError: A name is unknown, an index is out of range, or nothing is selected.
    """
    kind, rows = _rows(source.array, model)
    if source.kind is None:
        return _columns_of_all(source, rows, where)
    if source.kind != kind:
        by = f"by {kind}" if kind else "by columns only"
        raise TaskError(f"{source.array} is selected {by}, not by {source.kind}", where=where)
    chosen, single = _objects(source, rows, parameters, model, where)
    picked = [_pick(columns, name, source, where) for name, columns in chosen]
    index = tuple(column for columns, _ in picked for column in columns)
    labels = tuple(label for _, names in picked for label in names)
    several = not isinstance(source.columns, int) and source.columns is not None
    scalar = single and len(index) == 1 and not several
    return Selection(source.array, index, scalar, labels)


def select_joint(array: str, joint: str, model: mujoco.MjModel, where: str) -> list[int]:
    """Columns of qpos or qvel that belong to a joint."""
    return list(select(Source(array, "joint", joint), model, {}, where).index)


def select_objects(
    kind: ObjectKind,
    objects: Objects,
    model: mujoco.MjModel,
    parameters: Mapping[str, Value],
    where: str,
) -> list[int]:
    """Indices of a model's objects of one kind, as a task file names them."""
    count = {"joint": model.njnt, "body": model.nbody, "geom": model.ngeom, "actuator": model.nu}
    rows = _uniform(model, kind, count[kind], 1)
    chosen, _ = _objects(Source("", kind, objects), rows, parameters, model, where)
    return [columns[0] for _, columns in chosen]


def array_width(array: str, model: mujoco.MjModel) -> int:
    """Number of columns of an MjData array seen as (n, columns)."""
    return sum(len(columns) for _, columns in _rows(array, model)[1])


def object_name(model: mujoco.MjModel, kind: str, index: int) -> str:
    """Name of a model object, or its kind and index when it has none."""
    return mujoco.mj_id2name(model, _OBJ[kind], index) or f"{kind}{index}"


def _rows(array: str, model: mujoco.MjModel) -> tuple[ObjectKind | None, Rows]:
    """What can be selected from an array: the kind of object and each one's columns."""
    if array == "time":
        return None, [("time", [0])]
    if array == CENTER_OF_MASS:
        return None, [(CENTER_OF_MASS, [0, 1, 2])]
    if array == "qpos":
        widths = [_QPOS_WIDTH[int(t)] for t in model.jnt_type]
        return "joint", _spans(model, "joint", model.jnt_qposadr, widths)
    if array in _DOF_ARRAYS:
        widths = [_DOF_WIDTH[int(t)] for t in model.jnt_type]
        return "joint", _spans(model, "joint", model.jnt_dofadr, widths)
    if array == "sensordata":
        return "sensor", _spans(model, "sensor", model.sensor_adr, list(model.sensor_dim))
    if array == "act":
        return "actuator", _spans(
            model, "actuator", model.actuator_actadr, list(model.actuator_actnum)
        )
    if array in _BODY_WIDTH:
        return "body", _uniform(model, "body", model.nbody, _BODY_WIDTH[array])
    kind, width = _OTHER_WIDTH[array]
    counts = {
        "geom": model.ngeom,
        "site": model.nsite,
        "tendon": model.ntendon,
        "actuator": model.nu,
    }
    return kind, _uniform(model, kind, counts[kind], width)


def _spans(model: mujoco.MjModel, kind: str, starts: np.ndarray, widths: list[int]) -> Rows:
    return [
        (object_name(model, kind, i), list(range(int(start), int(start) + int(width))))
        for i, (start, width) in enumerate(zip(starts, widths, strict=True))
    ]


def _uniform(model: mujoco.MjModel, kind: str, count: int, width: int) -> Rows:
    return [
        (object_name(model, kind, i), list(range(i * width, (i + 1) * width))) for i in range(count)
    ]


def _objects(
    source: Source,
    rows: Rows,
    parameters: Mapping[str, Value],
    model: mujoco.MjModel,
    where: str,
) -> tuple[Rows, bool]:
    """The chosen objects, and whether they were chosen as a single one."""
    objects: object = source.objects
    if isinstance(objects, str) and objects.startswith("$"):
        objects = parameters[objects[1:]]
    if isinstance(objects, bool):
        raise TaskError(f"{objects} does not name a {source.kind}", where=where)
    names = [name for name, _ in rows]
    if isinstance(objects, str) and objects not in names and _is_range(objects):
        chosen = rows[_range(objects)]
        if not chosen:
            raise TaskError(f"{source.kind} {objects!r} selects nothing", where=where)
        return chosen, False
    if isinstance(objects, int):
        if not 0 <= objects < len(rows):
            raise TaskError(
                f"there is no {source.kind} {objects}; the model has {len(rows)}", where=where
            )
        return [rows[objects]], True
    if isinstance(objects, str):
        return [_named(objects, rows, names, source, where)], True
    if isinstance(objects, tuple):
        return [_named(str(name), rows, names, source, where) for name in objects], False
    raise TaskError(f"{objects!r} does not name a {source.kind}", where=where)


def _named(
    name: str, rows: Rows, names: list[str], source: Source, where: str
) -> tuple[str, list[int]]:
    if name in names:
        return rows[names.index(name)]
    close = difflib.get_close_matches(name, names, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(names[:30])}"
    raise TaskError(f"the model has no {source.kind} {name!r}", where=where, remedy=remedy)


def _columns_of_all(source: Source, rows: Rows, where: str) -> Selection:
    """No object named: the columns of the whole array, flattened in C order."""
    labels = [
        label + (f"[{j}]" if len(columns) > 1 else "")
        for name, columns in rows
        for label in [name if name == source.array else f"{source.array}.{name}"]
        for j in range(len(columns))
    ]
    if source.array == "time":
        return Selection("time", (0,), True, ("time",))
    index, _ = _pick(list(range(len(labels))), source.array, source, where)
    picked = tuple(labels[column] for column in index)
    return Selection(source.array, tuple(index), isinstance(source.columns, int), picked)


def _pick(columns: list[int], name: str, source: Source, where: str) -> tuple[list[int], list[str]]:
    """Of one object's columns those that `source.columns` asks for, with labels."""
    wanted = source.columns
    count = len(columns)
    if wanted is None:
        order = list(range(count))
    elif isinstance(wanted, str):
        if not _is_range(wanted):
            raise TaskError(f"{wanted!r} is no range of columns; write 'a:b'", where=where)
        order = list(range(count))[_range(wanted)]
    else:
        order = [wanted] if isinstance(wanted, int) else list(wanted)
        for column in order:
            if not -count <= column < count:
                raise TaskError(
                    f"there is no column {column}; {source.array} has {count} here", where=where
                )
        order = [column % count for column in order]
    if not order:
        raise TaskError(f"no column of {source.array} is selected ({count} there)", where=where)
    label = f"{source.array}.{name}"
    return [columns[i] for i in order], [label if count == 1 else f"{label}[{i}]" for i in order]


def _is_range(text: str) -> bool:
    return _RANGE.fullmatch(text) is not None


def _range(text: str) -> slice:
    start, _, stop = text.partition(":")
    return slice(int(start) if start else None, int(stop) if stop else None)
