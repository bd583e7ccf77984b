"""Adoption and rollback on the toy: reward, policy and optimiser in one step."""

from pathlib import Path

import pytest
from adapting_toy import CENTRE, FAR, rows
from staging import STEPS, Killed, die, sends

from websim.service.adaptation_log import LOG_NAME
from websim.service.errors import UserError
from websim_learner.adaptation.chain import AdaptationLog, read_rows
from websim_learner.branch import Branch
from websim_learner.control import AdoptReward, Rollback, SetAdapt, TryReward


def test_a_reward_outside_the_language_is_refused_and_nothing_changes(adapting):
    h = adapting(total_steps=12 * STEPS)
    h.at = {2: [sends(TryReward(kind="try_reward", source="import os", name="evil"))]}
    h.go()
    assert isinstance(h.answers[0], UserError)
    assert "refused" in str(h.answers[0])
    assert h.branch.reward.id == "task"


def test_an_adoption_is_taken_back_with_reward_policy_and_optimiser_in_one_step(adapting):
    h = adapting(total_steps=12 * STEPS)
    digests = {}

    def note(name):
        return lambda h: digests.setdefault(name, h.digest())

    h.at = {
        4: [note("before"), sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))],
        7: [note("learned"), sends(Rollback(kind="rollback"))],
    }
    original = h.run._trainer._between_updates

    def watched():
        original()
        if h.branch.updates == 7:
            note("after")(h)

    h.run._trainer._between_updates = watched
    h.go()
    assert digests["learned"] != digests["before"]
    assert digests["after"] == digests["before"]
    assert h.branch.reward.id == "task"
    decided = [(row["kind"], row["values"]["by"]) for row in rows(h) if row["kind"] != "trigger"]
    assert decided == [("adopted", "person"), ("rolled_back", "person")]


GONE = "the reward program cannot be run: the sandbox is gone"


@pytest.fixture
def sandbox(monkeypatch):
    """A place to run rewards, which may be gone."""
    make, there = Branch.make_reward, {"is": True}

    def make_if_there(branch, source):
        if source == CENTRE and not there["is"]:
            raise UserError(GONE)
        return make(branch, source)

    monkeypatch.setattr(Branch, "make_reward", make_if_there)
    return there


def test_a_reward_that_cannot_be_run_is_in_no_journal(adapting, sandbox, tmp_path):
    h = adapting(tmp_path / "run", total_steps=8 * STEPS)
    sandbox["is"] = False
    h.at = {3: [sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))]}
    h.go()
    assert str(h.answers[0]) == GONE
    assert h.branch.reward.id == "task"
    assert [entry.kind for entry in h.run_dir.journal()] == ["start"]


def test_a_reward_that_cannot_be_gone_back_to_is_kept_for_later(adapting, sandbox):
    h = adapting(total_steps=10 * STEPS)

    def turn(is_there):
        return lambda h: sandbox.update({"is": is_there})

    h.at = {
        3: [sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))],
        4: [sends(AdoptReward(kind="adopt_reward", reward=FAR, force=True))],
        5: [turn(False), sends(Rollback(kind="rollback"))],
        7: [turn(True), sends(Rollback(kind="rollback"))],
    }
    h.go()
    assert str(h.answers[2]) == GONE
    assert h.branch.reward.source == CENTRE
    assert [entry.kind for entry in h.run_dir.journal()] == ["start", "adopt", "adopt", "rollback"]


def write_anew(path):
    """Change what a log says, and make its chain hold again."""
    rows = read_rows(path)
    path.unlink()
    log = AdaptationLog(path)
    for row in rows:
        values = row["values"] | {"why": "it pleased me"}
        log.append(row["kind"], row["update"], row["env_steps"], row["adaptation"], values)
    log.close()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (Path.unlink, "has 0 rows, the checkpoint counts 1"),
        (write_anew, "not those that the checkpoint counts"),
    ],
    ids=["gone", "written anew"],
)
def test_no_life_goes_on_with_another_log_than_its_checkpoint_counts(
    adapting, harm, says, tmp_path
):
    directory = tmp_path / "run"
    h = adapting(directory, total_steps=12 * STEPS)
    h.at = {3: [sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))], 9: [die]}
    with pytest.raises(Killed):
        h.go()
    harm(directory / LOG_NAME)
    later = adapting(directory, total_steps=12 * STEPS)
    with pytest.raises(UserError, match=says):
        later.go()


def test_a_reward_is_known_by_the_name_it_was_adopted_under(adapting, tmp_path):
    def names(h):
        return [entry.name for entry in h.run.adaptation.rewards if entry.origin == "person"]

    def run(directory, command, later=None):
        h = adapting(directory, total_steps=8 * STEPS)
        h.at = {4: [sends(command)]}
        if later is not None:
            h.at[4] = [lambda h: h.run._adapter.replay("adopt", later)]
        h.go()
        return h

    adopt = {"kind": "adopt_reward", "reward": CENTRE, "force": True}
    named = run(tmp_path / "named", AdoptReward(**adopt, name="to the centre"))
    assert names(named) == ["to the centre"]
    (journaled,) = [entry.values for entry in named.run_dir.journal() if entry.kind == "adopt"]
    assert journaled["name"] == "to the centre"
    # A later life calls it so, too; in an older journal there is no name.
    again = run(tmp_path / "again", AdoptReward(**adopt), later=journaled)
    assert names(again) == ["to the centre"]
    del journaled["name"]
    older = run(tmp_path / "older", AdoptReward(**adopt), later=journaled)
    assert names(older) == ["by hand"]
    assert names(run(tmp_path / "unnamed", AdoptReward(**adopt))) == ["by hand"]


def test_who_takes_back_what_is_taken_back_already_is_told_so(adapting):
    h = adapting(total_steps=12 * STEPS)
    back = sends(Rollback(kind="rollback"))
    h.at = {
        2: [back],
        4: [sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))],
        5: [back],
        6: [back],
    }
    h.go()
    assert "No reward was adopted so far." in str(h.answers[0])
    assert "has been taken back" in str(h.answers[3])


def test_a_person_takes_back_what_they_saw_in_force_or_nothing(adapting):
    h = adapting(total_steps=12 * STEPS)
    h.at = {
        4: [sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))],
        5: [sends(Rollback(kind="rollback", reward="p_another"))],
        6: [lambda h: h.send(Rollback(kind="rollback", reward=h.branch.reward.id))],
    }
    h.go()
    adopted, refused, back = h.answers
    assert str(refused).startswith(f"p_another is not in force, {adopted.detail} is")
    assert back.detail == h.branch.reward.id == "task"


def test_a_reward_that_prefers_worse_behaviour_loses_fitness_and_is_taken_back(adapting):
    fast = {"learning_rate": 1e-2}
    h = adapting(total_steps=50 * STEPS, eval_every_updates=2, ppo=fast)
    h.at = {20: [sends(AdoptReward(kind="adopt_reward", reward=FAR, force=True))]}
    h.go()
    back = next(row for row in rows(h) if row["kind"] == "rolled_back")
    assert (back["values"]["reward_id"], back["values"]["by"]) == ("task", "guard")
    assert back["values"]["why"].startswith("Since the adoption fitness changed by -")
    assert back["env_steps"] - 20 * STEPS <= 300_000
    assert h.branch.reward.id == "task"
    # It was known for suspect, and is no longer.
    triggers = [row["values"] for row in rows(h) if row["kind"] == "trigger"]
    (lost,) = [each for each in triggers if each["trigger"]["what"] == "fitness_lost"]
    assert lost["state"]["overruled"]
    assert not h.run.adaptation.triggers.overruled


def test_a_run_that_has_only_begun_to_adapt_judges_a_reward_by_how_it_moves_now(adapting):
    h = adapting(adapt="off", total_steps=24 * STEPS, eval_every_updates_adapting=100)
    ends_early = "def reward(state, action):\n    return np.abs(state.x) - 3.0\n"
    adopt = AdoptReward(kind="adopt_reward", reward=ends_early, force=False)
    h.at = {20: [sends(SetAdapt(kind="set_adapt", mode="auto")), sends(adopt)]}
    h.go()
    assert "Ranks" in str(h.answers[1])
    assert '"best of' in str(h.answers[1])
    # What was looked at for that is no part of the run: only what is adopted is.
    assert not h.run._adapter.bank.has_own


def test_a_reward_adopted_by_force_stays_while_no_fitness_is_lost(adapting, tmp_path):
    # So small steps that nothing changes, and too few evaluations for a trend.
    options = {"total_steps": 36 * STEPS, "ppo": {"learning_rate": 1e-9}}

    def run(directory, force, later=None):
        h = adapting(directory, **options)
        h.at = {20: [sends(AdoptReward(kind="adopt_reward", reward=FAR, force=force))]}
        if later is not None:
            h.at[20] = [lambda h: h.run._adapter.replay("adopt", later)]
        h.go()
        return h

    refused = run(tmp_path / "refused", force=False)
    assert "Ranks" in str(refused.answers[0])
    forced = run(tmp_path / "forced", force=True)
    assert forced.branch.reward.id == forced.answers[0].detail
    (adopt,) = [entry.values for entry in forced.run_dir.journal() if entry.kind == "adopt"]
    assert adopt == {"source": FAR, "forced": True}
    # A later life does the same; in an older journal what was overruled speaks once more.
    again = run(tmp_path / "again", force=True, later=adopt)
    assert again.digest() == forced.digest()
    assert again.branch.reward.id == forced.branch.reward.id
    # All its looks are whole ones.
    assert forced.run.adaptation.triggers.overruled
    assert forced.run._adapter.look_episodes is None
    older = run(tmp_path / "older", force=True, later={"source": FAR})
    assert older.branch.reward.id == "task"
