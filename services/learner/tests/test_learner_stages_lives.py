"""Other envs and other tasks come out the same in every life of a run."""

import shutil

import pytest
from staging import LAZY, STEPS, Killed, die, envs, kinds, rows, sends, task, unless_done

from websim_learner.control import SetReward, TakeCheckpoint

CHANGES = {
    2: [SetReward(kind="set_reward", source=LAZY)],
    3: [envs(48)],
    5: [task("Pair-v0")],
    7: [envs(10), task("Heavy-v0")],
    9: [task("Toy-v0"), envs(24)],
}


def changed(harness, directory, kill=None, **options):
    run = harness(directory, total_steps=14 * STEPS, **options)
    run.at = {update: [unless_done(c) for c in commands] for update, commands in CHANGES.items()}
    if kill is not None:
        run.at.setdefault(kill, []).insert(0, die)
    return run


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_lives_that_die_around_changes_end_like_the_undisturbed_one(harness, tmp_path, overlap):
    options = {"ppo": {"overlap": overlap}}
    alone = changed(harness, tmp_path / "alone", **options)
    alone.go()
    for kill in (3, 4, 5, 6, 6, 8, 8, 10, 12):
        life = changed(harness, tmp_path / "killed", kill, **options)
        with pytest.raises(Killed):
            life.go()
    killed = changed(harness, tmp_path / "killed", client={"shuffle": 3}, **options)
    assert killed.go() == "finished"
    assert rows(killed) == rows(alone)
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert killed.result()["eval_return_mean"] == alone.result()["eval_return_mean"]
    done = [k for k in kinds(killed) if k != "resume"]
    assert sorted(done) == sorted(kinds(alone))


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_configuration_seed_and_journal_are_enough(harness, tmp_path, overlap):
    options = {"ppo": {"overlap": overlap}}
    live = changed(harness, tmp_path / "live", **options)
    live.go()
    again = tmp_path / "again"
    again.mkdir()
    for name in ("config.json", "journal.jsonl"):
        shutil.copy(tmp_path / "live" / name, again / name)
    replayed = harness(again, total_steps=14 * STEPS, **options)
    assert replayed.go() == "finished"
    assert replayed.result()["weights_sha256"] == live.result()["weights_sha256"]
    assert rows(replayed) == rows(live)


@pytest.mark.parametrize("command", [envs(48), task("Pair-v0")], ids=["envs", "task"])
def test_a_checkpoint_at_the_update_of_a_change_is_taken_after_it(harness, tmp_path, command):
    """Whatever was due at that update was done before: the next life does it no second time."""
    options = {"adapt": "auto", "eval_every_updates": 2, "total_steps": 12 * STEPS}
    at = {4: [sends(command), sends(TakeCheckpoint(kind="checkpoint"))]}
    alone = harness(tmp_path / "alone", **options)
    alone.at = at
    alone.go()
    first = harness(tmp_path / "killed", **options)
    first.at = at | {5: [die]}
    with pytest.raises(Killed):
        first.go()
    again = harness(tmp_path / "killed", **options)
    assert again.branch.updates == 4
    again.go()
    assert again.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert again.run.adaptation.points == alone.run.adaptation.points


def test_envs_that_are_lost_after_a_change_come_back_as_they_were(harness, tmp_path):
    options = {"total_steps": 14 * STEPS}
    alone = harness(tmp_path / "alone", **options)
    alone.at = {4: [sends(envs(48))]}
    alone.go()
    run = harness(tmp_path / "lost", **options)
    lose = [lambda h: setattr(h.clients[-1], "lost", True)]
    run.at = {4: [unless_done(envs(48))], 5: [lambda h: lose and lose.pop()(h)]}
    assert run.go() == "finished"
    assert run.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert rows(run) == rows(alone)
