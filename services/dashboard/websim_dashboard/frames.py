"""Binary frames for pages, made of the orchestrator's telemetry; pure.

A frame is made once for all who watch the same; docs/dashboard.md has the layout.
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from websim.wire.codec import Envelope
from websim.wire.messages import Figures, Pose
from websim_dashboard.binary import FIGURES, HEADER, MAGIC, POSE, VERSION

MAX_ENVS = 65_536
"""Environments in a picture at most; an orchestrator has no larger sessions."""

Array = NDArray[Any]

NO_CONTACTS: Array = np.empty((0, 4), "<f4")


class FiguresBoard:
    """The last figures of each shard of a session, which together are one picture."""

    def __init__(self, num_envs: int = 0) -> None:
        """Begin with nothing; `num_envs` are the session's, as far as is known."""
        self._num_envs = num_envs
        self._shards: dict[int, Envelope[Figures]] = {}

    def put(self, envelope: Envelope[Figures]) -> None:
        """Take in a shard's figures; shards that lay where it lies now are gone."""
        message = envelope.message
        last = message.first_env_id + _num_envs(envelope)
        for shard, other in list(self._shards.items()):
            first = other.message.first_env_id
            overlaps = first < last and message.first_env_id < first + _num_envs(other)
            if shard != message.shard and overlaps:
                del self._shards[shard]
        self._shards[message.shard] = envelope

    def resize(self, num_envs: int) -> None:
        """Note how many environments the session has; what lies beyond them is forgotten."""
        self._num_envs = num_envs
        for shard, envelope in list(self._shards.items()):
            if envelope.message.first_env_id + _num_envs(envelope) > num_envs:
                del self._shards[shard]

    def encode(self, seq: int, time_ms: float) -> bytes | None:
        """Return the picture as a frame; None while there is nothing to show.

        Environments of which nothing has arrived have a root_x of NaN.
        """
        shards = list(self._shards.values())
        if not shards:
            return None
        newest = shards[-1]
        points = newest.arrays()["points"]
        k, scale_m = points.shape[1], newest.message.scale_m
        # Where a task has changed its shape, shards of the old one are not drawn with the new.
        fitting = [each for each in shards if each.arrays()["points"].shape[1] == k]
        ends = (each.message.first_env_id + _num_envs(each) for each in fitting)
        n = max(self._num_envs, *ends)
        columns: dict[str, Array] = {
            "root_x": np.full(n, np.nan, "<f4"),
            "episode_return": np.zeros(n, "<f4"),
            "episode_length": np.zeros(n, "<u4"),
            "points": np.zeros((n, k, 2), "<i2"),
            "outcome": np.zeros(n, "u1"),
        }
        for each in fitting:
            first, arrays = each.message.first_env_id, each.arrays()
            for name, column in columns.items():
                column[first : first + _num_envs(each)] = arrays[name]
        head = struct.pack(
            HEADER,
            MAGIC,
            VERSION,
            FIGURES,
            0,
            seq,
            time_ms,
            newest.message.session,
            n,
            k,
            0,
            scale_m,
            0,
            n,
        )
        return b"".join([head, *(column.tobytes() for column in columns.values())])


def encode_pose(envelope: Envelope[Pose], seq: int, time_ms: float) -> bytes:
    """Return an environment's pose as a frame."""
    arrays, message = envelope.arrays(), envelope.message
    position, quaternion = arrays["geom_xpos"], arrays["geom_xquat"]
    contacts = arrays.get("contacts", NO_CONTACTS)
    body = (part.astype("<f4").tobytes() for part in (position, quaternion, contacts))
    head = struct.pack(
        HEADER,
        *(MAGIC, VERSION, POSE, 0, seq, time_ms, message.session, message.env_id),
        *(len(position), len(contacts), 1.0, 0, 0),
    )
    return b"".join([head, *body])


def reward_of(envelope: Envelope[Pose]) -> tuple[float | None, dict[str, float]]:
    """Return the reward of the environment's last step and its components, where it had one."""
    arrays = envelope.arrays()
    if "reward" not in arrays:
        return None, {}
    parts = {
        name.removeprefix("component:"): _finite(array)
        for name, array in arrays.items()
        if name.startswith("component:")
    }
    return _finite(arrays["reward"]), {name: v for name, v in parts.items() if v is not None}


def is_sound(envelope: Envelope[Figures | Pose]) -> bool:
    """Return whether a message has the arrays that its frame is made of, in fitting shapes."""
    arrays = envelope.arrays()
    shapes = {name: array.shape for name, array in arrays.items()}
    match envelope.message:
        case Figures():
            return _fit_figures(shapes, envelope.message.first_env_id)
        case Pose():
            g = shapes.get("geom_xpos", (0,))[0]
            wanted = {"geom_xpos": (g, 3), "geom_xquat": (g, 4)}
            contacts = shapes.get("contacts", NO_CONTACTS.shape)
            fits = all(shapes.get(name) == shape for name, shape in wanted.items())
            return fits and len(contacts) == 2 and contacts[1] == 4 and max(g, contacts[0]) < 2**16
    return False


def _fit_figures(shapes: Mapping[str, tuple[int, ...]], first_env_id: int) -> bool:
    points = shapes.get("points", ())
    if len(points) != 3 or points[2] != 2 or points[1] >= 2**16:
        return False
    n = points[0]
    rest = ("root_x", "episode_return", "episode_length", "outcome")
    within = first_env_id >= 0 and first_env_id + n <= MAX_ENVS
    return within and all(shapes.get(name) == (n,) for name in rest)


def _num_envs(envelope: Envelope[Figures]) -> int:
    spec = next(each for each in envelope.message.arrays if each.name == "points")
    return int(spec.shape[0])


def _finite(value: Array) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
