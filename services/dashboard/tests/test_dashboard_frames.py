"""Binary frames, read by a reader written from docs/dashboard.md."""

import struct

import msgspec
import numpy as np
import pytest
from dashboard_samples import make_figures, make_pose

from websim.wire.codec import Envelope
from websim_dashboard.frames import FiguresBoard, encode_pose, is_sound, reward_of
from websim_dashboard.turns import cut


def read_header(data):
    names = (
        "magic",
        "version",
        "kind",
        "zero",
        "seq",
        "time_ms",
        "session",
        "n",
        "k",
        "c",
        "scale",
        "first",
        "count",
    )
    return dict(zip(names, struct.unpack_from("<BBBBIdIIHHfII", data), strict=True))


def read_figures(data):
    head = read_header(data)
    n, k = head["count"], head["k"]
    at, columns = 40, {}
    layout = {"root_x": "<f4", "return": "<f4", "length": "<u4", "points": "<i2", "outcome": "u1"}
    for name, dtype in layout.items():
        shape = (n, k, 2) if name == "points" else (n,)
        count = int(np.prod(shape))
        columns[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += columns[name].nbytes
    assert at == len(data)
    return head, columns


def test_a_picture_is_put_together_from_all_shards():
    board = FiguresBoard()
    board.put(make_figures(shard=1, first_env_id=2, n=3, fill=100))
    board.put(make_figures(shard=0, first_env_id=0, n=2))
    head, columns = read_figures(board.encode(9, 1234.5))
    assert head == {
        "magic": 0x57, "version": 2, "kind": 1, "zero": 0, "seq": 9, "time_ms": 1234.5,
        "session": 7, "n": 5, "k": 3, "c": 0, "scale": pytest.approx(0.001),
        "first": 0, "count": 5,
    }  # fmt: skip
    assert columns["root_x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert columns["return"].tolist() == [1.5, 1.5, 101.5, 101.5, 101.5]
    assert columns["length"].tolist() == [9] * 5
    assert columns["outcome"].tolist() == [2] * 5
    assert columns["points"][1].ravel().tolist() == [6, 7, 8, 9, 10, 11]
    assert columns["points"][2].ravel().tolist() == [100, 101, 102, 103, 104, 105]


def test_a_part_of_a_picture_has_the_columns_of_its_environments():
    board = FiguresBoard()
    board.put(make_figures(shard=1, first_env_id=2, n=3, fill=100))
    board.put(make_figures(shard=0, first_env_id=0, n=2))
    head, columns = read_figures(cut(board.encode(9, 1234.5), range(1, 3), 12, 2000.0))
    assert head == {
        "magic": 0x57, "version": 2, "kind": 1, "zero": 0, "seq": 12, "time_ms": 2000.0,
        "session": 7, "n": 5, "k": 3, "c": 0, "scale": pytest.approx(0.001),
        "first": 1, "count": 2,
    }  # fmt: skip
    assert columns["root_x"].tolist() == [1.0, 2.0]
    assert columns["return"].tolist() == [1.5, 101.5]
    assert columns["length"].tolist() == [9, 9]
    assert columns["points"][0].ravel().tolist() == [6, 7, 8, 9, 10, 11]
    assert columns["points"][1].ravel().tolist() == [100, 101, 102, 103, 104, 105]
    assert columns["outcome"].tolist() == [2, 2]


def test_an_environment_nothing_is_known_of_has_no_place():
    board = FiguresBoard()
    assert board.encode(1, 0.0) is None
    board.put(make_figures(shard=3, first_env_id=2, n=2))
    _, columns = read_figures(board.encode(1, 0.0))
    assert np.isnan(columns["root_x"][:2]).all()
    assert columns["root_x"][2:].tolist() == [2.0, 3.0]
    board.resize(6)
    _, columns = read_figures(board.encode(1, 0.0))
    assert np.isnan(columns["root_x"]).tolist() == [True, True, False, False, True, True]


def test_the_newest_of_a_shard_counts():
    board = FiguresBoard()
    board.put(make_figures(fill=0))
    board.put(make_figures(fill=50))
    _, columns = read_figures(board.encode(1, 0.0))
    assert columns["points"][0, 0].tolist() == [50, 51]


def test_a_session_that_becomes_smaller_or_is_cut_anew_leaves_nothing_behind():
    board = FiguresBoard()
    for shard in range(4):
        board.put(make_figures(shard=shard, first_env_id=2 * shard, n=2))
    board.resize(4)
    assert read_header(board.encode(1, 0.0))["n"] == 4
    board.resize(3)
    board.put(make_figures(shard=0, first_env_id=0, n=3))
    _, columns = read_figures(board.encode(1, 0.0))
    assert len(columns["root_x"]) == 3


def test_another_tasks_figures_are_not_drawn_with_the_old_ones():
    board = FiguresBoard()
    board.put(make_figures(shard=0, first_env_id=0, n=2, k=3))
    board.put(make_figures(shard=1, first_env_id=2, n=2, k=5))
    head, columns = read_figures(board.encode(1, 0.0))
    assert head["k"] == 5
    assert np.isnan(columns["root_x"][:2]).all()


def test_a_pose_carries_geoms_and_contacts():
    data = encode_pose(make_pose(g=2, c=1), 3, 99.0)
    head = read_header(data)
    assert (head["kind"], head["session"], head["n"], head["k"], head["c"]) == (2, 7, 5, 2, 1)
    assert (head["first"], head["count"]) == (0, 0)
    numbers = np.frombuffer(data, "<f4", offset=40)
    assert numbers.tolist() == [0, 1, 2, 3, 4, 5, *[1.0] * 8, *[2.5] * 4]


def test_a_pose_in_the_air_has_no_contacts():
    envelope = make_pose(c=0)
    message = msgspec.structs.replace(envelope.message, arrays=envelope.message.arrays[:2])
    apart = Envelope(message, envelope.frames[:2])
    assert is_sound(apart)
    assert read_header(encode_pose(apart, 3, 99.0))["c"] == 0


def test_the_reward_of_a_step_and_its_parts_are_read():
    envelope = make_pose(**{"reward": 2.0, "component:forward": 3.0, "component:bad": np.nan})
    assert reward_of(envelope) == (2.0, {"forward": 3.0})
    assert reward_of(make_pose()) == (None, {})


def test_messages_whose_arrays_do_not_fit_are_noticed():
    assert is_sound(make_figures())
    assert is_sound(make_pose())
    assert is_sound(make_pose(c=0))
    assert not is_sound(make_figures(first_env_id=65_535))
    assert not is_sound(make_figures(first_env_id=-1))
    whole = make_figures()
    message = msgspec.structs.replace(whole.message, arrays=whole.message.arrays[1:])
    assert not is_sound(Envelope(message, whole.frames[1:]))
