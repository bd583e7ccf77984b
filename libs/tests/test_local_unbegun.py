"""Directories of runs: of what never began nothing is left, and of a person's nothing is lost."""

import os

import pytest
from local_run_samples import make_options

from websim.local.options import RunOptions
from websim.local.run import Run
from websim.local.supervisor import ChildFailedError
from websim.local.train import train
from websim.local.unbegun import forget_unbegun, hold, is_free
from websim.service.errors import UserError

pytestmark = pytest.mark.usefixtures("fake_learner")


def test_of_a_run_that_crashed_before_it_began_what_it_said_is_left(tmp_path):
    with pytest.raises(ChildFailedError, match="ValueError: no weights") as caught:
        train("Broken-v0", workers=1, run_dir=tmp_path / "run")

    assert [path.name for path in (tmp_path / "run").iterdir()] == ["logs"]
    assert str(tmp_path / "run" / "logs" / "learner.stderr") in str(caught.value)


def test_the_directory_of_a_run_that_crashed_before_it_began_is_taken_again(tmp_path):
    with pytest.raises(ChildFailedError, match="no weights"):
        train("Broken-v0", workers=1, run_dir=tmp_path / "run")

    with train("Known-v0", workers=1, run_dir=tmp_path / "run", total_steps=1000) as run:
        assert run.result(timeout_s=10.0)["env_steps"] == 1000
    assert "no weights" in (tmp_path / "run" / "logs" / "learner.stderr").read_text()


UNBEGUN = (
    "logs/learner.stderr",
    "logs/learner.jsonl",
    "logs/learner.jsonl.1",
    "logs/orchestrator.stderr",
    "logs/sim-worker-12.jsonl",
    "dashboard/history.sqlite",
    "dashboard/history.sqlite-wal",
    "reward-gen/ledger.jsonl",
    ".config.json.4711.tmp",
)


def make_files(directory, *names):
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)


def files_in(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_what_all_services_wrote_goes_with_a_run_that_never_began(tmp_path):
    make_files(tmp_path / "run", *UNBEGUN)
    (tmp_path / "run" / "checkpoints").mkdir()
    assert is_free(tmp_path / "run")

    forget_unbegun(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "mine",
    [
        "notes.txt",
        "logs/app.log",
        "logs/learner.stderr.old",
        "logs/old/learner.stderr",
        "dashboard/page.ts",
        "checkpoints/update-00000001/weights",
        "metrics.jsonl",
    ],
)
def test_what_is_a_persons_is_not_taken_and_not_removed(tmp_path, mine):
    make_files(tmp_path / "run", *UNBEGUN, mine)
    assert not is_free(tmp_path / "run")

    forget_unbegun(tmp_path / "run")
    assert files_in(tmp_path / "run") == {mine}


def test_books_and_history_of_services_started_by_hand_are_not_an_unbegun_runs(tmp_path):
    make_files(tmp_path, "runs/reward-gen/ledger.jsonl", "runs/dashboard/history.sqlite")

    with pytest.raises(UserError, match="runs is not empty"):
        RunOptions(run_dir=tmp_path / "runs").check()


def test_a_link_to_a_persons_directory_is_not_an_unbegun_runs(tmp_path):
    make_files(tmp_path / "elsewhere", "learner.stderr")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "logs").symlink_to(tmp_path / "elsewhere")
    assert not is_free(tmp_path / "run")

    forget_unbegun(tmp_path / "run")
    assert files_in(tmp_path / "elsewhere") == {"learner.stderr"}


def test_a_run_that_has_begun_is_not_forgotten(tmp_path):
    make_files(tmp_path, "config.json", *UNBEGUN)
    assert not is_free(tmp_path)

    forget_unbegun(tmp_path)
    assert files_in(tmp_path) == {"config.json", *UNBEGUN}


def test_two_runs_do_not_begin_in_the_same_directory(tmp_path):
    make_files(tmp_path / "run", "logs/learner.stderr")
    held = hold(tmp_path / "run", tmp_path / "run" / "logs")
    try:
        with pytest.raises(UserError, match="another run is about to begin in"):
            Run(make_options(tmp_path))
        assert files_in(tmp_path / "run") == {"logs/learner.stderr"}
    finally:
        os.close(held)


def test_a_run_directory_is_not_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")

    with pytest.raises(UserError, match=r"already holds a run.*--resume"):
        Run(make_options(tmp_path))


def test_a_directory_of_something_else_is_no_run_directory_and_loses_nothing(websim, tmp_path):
    mine = [tmp_path / "project" / name for name in ("logs/mine.txt", "dashboard/page.ts")]
    for path in mine:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    options = ["--task", "Unknown-v0", "--workers", "1", "--run-dir"]

    answer = websim("train", *options, "project")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: --run-dir project is not empty")
    assert [path.read_text() for path in mine] == ["mine", "mine"]

    answer = websim("train", *options, "project/logs/mine.txt")
    assert answer.stderr.startswith("error: cannot read project/logs/mine.txt: Not a directory")
