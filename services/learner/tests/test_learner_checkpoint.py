import json
import os
import shutil

import numpy as np
import pytest

from websim_learner.checkpoint import (
    FORMAT,
    KEEP,
    Checkpoint,
    DamagedCheckpoint,
    arrays_sha256,
    checkpoint_paths,
    newest_checkpoint,
    read_checkpoint,
    remove_unfinished,
    write_checkpoint,
)


def make_checkpoint(update=7):
    rng = np.random.default_rng(update)
    arrays = {
        "branch-0.weights": {"w": rng.standard_normal((5, 3)).astype(np.float32)},
        "branch-0.normalizers": {"count": np.array(update), "mean": rng.standard_normal(3)},
    }
    return Checkpoint(update, {"journal": 2, "wall_s": 1.5, "text": "naïve"}, arrays)


def assert_same(first, second):
    assert first.update == second.update
    assert first.counters == second.counters
    assert arrays_sha256(first.arrays) == arrays_sha256(second.arrays)
    for part, arrays in first.arrays.items():
        for name, array in arrays.items():
            assert second.arrays[part][name].dtype == array.dtype
            assert np.array_equal(second.arrays[part][name], array)


def test_a_checkpoint_comes_back_whole(tmp_path):
    checkpoint = make_checkpoint()
    path = write_checkpoint(tmp_path, checkpoint)
    assert path.name == "update-00000007"
    assert_same(read_checkpoint(path), checkpoint)
    assert_same(newest_checkpoint(tmp_path, pytest.fail), checkpoint)


def test_only_the_newest_are_kept(tmp_path):
    for update in (9, 10, 11, 100, 101):
        write_checkpoint(tmp_path, make_checkpoint(update))
    names = [path.name for path in checkpoint_paths(tmp_path)]
    assert names == ["update-00000101", "update-00000100", "update-00000011"]
    assert len(names) == KEEP
    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_arrays_come_back_whatever_their_memory_looks_like(tmp_path):
    table = np.arange(24.0).reshape(4, 6)
    arrays = {
        "strided": table[:, ::2],
        "turned": table.T,
        "fortran": np.asfortranarray(table),
        "empty": np.zeros((0, 3), np.float32),
        "number": np.array(7),
        "flags": table > 5,
        "bytes": np.arange(5, dtype=np.uint8),
    }
    write_checkpoint(tmp_path, Checkpoint(0, {}, {"branch-0.fleet": arrays, "branch-0.none": {}}))
    found = newest_checkpoint(tmp_path, pytest.fail)
    assert found.arrays["branch-0.none"] == {}
    for name, array in arrays.items():
        again = found.arrays["branch-0.fleet"][name]
        assert (again.dtype, again.shape) == (array.dtype, array.shape)
        assert np.array_equal(again, array)


def test_a_checkpoint_of_the_same_update_is_replaced(tmp_path):
    write_checkpoint(tmp_path, make_checkpoint())
    changed = Checkpoint(7, {"journal": 3, "wall_s": 9.0}, make_checkpoint().arrays)
    write_checkpoint(tmp_path, changed)
    assert_same(newest_checkpoint(tmp_path, pytest.fail), changed)


def test_a_thousand_flipped_bits_are_a_thousand_times_noticed(tmp_path, harness):
    """Over all files of a run's checkpoint, each the same number of times, at random places."""
    run = harness(ppo={"overlap": True}, checkpoint_every_updates=1, total_steps=3 * 24 * 8)
    run.go()
    shutil.copytree(run.run_dir.checkpoints / "update-00000001", tmp_path / "update-00000001")
    path = tmp_path / "update-00000002"
    shutil.copytree(run.run_dir.checkpoints / path.name, path)
    files = sorted(path.iterdir())
    assert len(files) == 11
    rng = np.random.default_rng(0)
    for flip in range(1000):
        file = files[flip % len(files)]
        data = file.read_bytes()
        place = int(rng.integers(len(data) * 8))
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        file.write_bytes(broken)
        reports = []
        found = newest_checkpoint(tmp_path, reports.append)
        assert found.update == 1, f"bit {place} of {file.name}"
        assert len(reports) == 1
        assert path.name in reports[0]
        file.write_bytes(data)
    assert newest_checkpoint(tmp_path, pytest.fail).update == 2


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_cut_off_and_missing_files_are_noticed(tmp_path, keep):
    path = write_checkpoint(tmp_path, make_checkpoint())
    for file in sorted(path.iterdir()):
        data = file.read_bytes()
        file.write_bytes(data[:keep])
        with pytest.raises(DamagedCheckpoint):
            read_checkpoint(path)
        file.unlink()
        with pytest.raises(DamagedCheckpoint):
            read_checkpoint(path)
        file.write_bytes(data)
    assert read_checkpoint(path).update == 7


def test_a_later_format_is_refused_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("websim_learner.checkpoint.FORMAT", FORMAT + 1)
    monkeypatch.setattr("websim_learner.checkpoint.read_checkpoint", lambda path: None)
    path = write_checkpoint(tmp_path, make_checkpoint())
    monkeypatch.undo()
    with pytest.raises(DamagedCheckpoint, match=f"format {FORMAT + 1}"):
        read_checkpoint(path)


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


def test_a_kill_at_any_moment_leaves_the_previous_checkpoint_or_the_new_one(tmp_path, monkeypatch):
    """Die at each call that touches the disk, in turn, as a killed process would."""
    calls = 0
    deadline = None

    def counted(function):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == deadline:
                raise Killed
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(os, "rename", counted(os.rename))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    previous, following = make_checkpoint(6), make_checkpoint(7)
    write_checkpoint(tmp_path / "whole", previous)
    calls = 0
    write_checkpoint(tmp_path / "whole", following)
    outcomes = []
    for moment in range(1, calls + 1):
        directory = tmp_path / str(moment)
        deadline = None
        write_checkpoint(directory, previous)
        calls, deadline = 0, moment
        with pytest.raises(Killed):
            write_checkpoint(directory, following)
        found = newest_checkpoint(directory, pytest.fail)
        assert_same(found, previous if found.update == 6 else following)
        outcomes.append(found.update)
        deadline = None
        remove_unfinished(directory)
        assert not [name for name in os.listdir(directory) if name.startswith(".")]
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {6, 7}


def test_there_may_be_none(tmp_path):
    assert newest_checkpoint(tmp_path, pytest.fail) is None
    assert newest_checkpoint(tmp_path / "nowhere", pytest.fail) is None


def test_the_digest_covers_names_shapes_and_bits():
    array = np.arange(6.0, dtype=np.float32)
    digests = {
        arrays_sha256({"a": {"w": array}}),
        arrays_sha256({"b": {"w": array}}),
        arrays_sha256({"a": {"v": array}}),
        arrays_sha256({"a": {"w": array.reshape(2, 3)}}),
        arrays_sha256({"a": {"w": array.astype(np.float64)}}),
        arrays_sha256({"a": {"w": np.nextafter(array, 9, dtype=np.float32)}}),
    }
    assert len(digests) == 6
    parts = {"a": {"w": array, "v": array}, "b": {"w": array}}
    turned = {"b": {"w": array}, "a": {"v": array, "w": array}}
    assert arrays_sha256(parts) == arrays_sha256(turned)


def test_the_manifest_says_what_is_there(tmp_path):
    path = write_checkpoint(tmp_path, make_checkpoint())
    manifest = json.loads((path / "manifest.json").read_text())["manifest"]
    files = {file.name for file in path.iterdir()} - {"manifest.json"}
    assert set(manifest["parts"]) == files
    assert all((path / name).stat().st_size == p["bytes"] for name, p in manifest["parts"].items())
