"""The library's programs on every bundled task: accepted, and paying for what is wished.

What is paid for is tried on made-up states: one that fits the words and one that does not.
"""

import asyncio
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_gen_samples import bundled_tasks, make_request, make_task
from test_reward_gen_sentences import CASES

from websim.programs import compile_program
from websim.programs.dryrun import dry_run
from websim_reward_gen.bodies import GoalRequest
from websim_reward_gen.library.provider import LibraryProvider, compose_request, measure_goal
from websim_reward_gen.library.vocabulary import PHRASES
from websim_reward_gen.proposal import Ask

TASKS = """
    Ant-v5 AntFast-v0 HalfCheetah-v5 Hopper-v5 Humanoid-v5 HumanoidFast-v0 HumanoidStandup-v5
    InvertedDoublePendulum-v5 InvertedPendulum-v5 NLinkSwimmer-v0 Pusher-v5 Reacher-v5 Swimmer-v5
    Walker2d-v5
"""

PAID = [
    # task, words, a state that fits, one that does not
    ("HalfCheetah-v5", "run forward", {"x_velocity": 2.0}, {"x_velocity": 1.0}),
    ("HalfCheetah-v5", "run backwards", {"x_velocity": -2.0}, {"x_velocity": 2.0}),
    ("HalfCheetah-v5", "run at 2 m/s", {"x_velocity": 2.0}, {"x_velocity": 6.0}),
    ("HalfCheetah-v5", "run at 2 m/s", {"x_velocity": 2.0}, {"x_velocity": 0.0}),
    ("HalfCheetah-v5", "run backward at 1 m/s", {"x_velocity": -1.0}, {"x_velocity": 1.0}),
    ("HalfCheetah-v5", "run at no more than 2 m/s", {"x_velocity": 2.0}, {"x_velocity": 3.0}),
    ("HalfCheetah-v5", "run at at least 2 m/s", {"x_velocity": 2.0}, {"x_velocity": 1.0}),
    ("HalfCheetah-v5", "do not run backwards", {"x_velocity": 0.0}, {"x_velocity": -1.0}),
    ("HalfCheetah-v5", "stand still", {"x_velocity": 0.0}, {"x_velocity": -1.0}),
    ("HalfCheetah-v5", "walk on its hind legs", {"pitch": -1.2}, {"pitch": 1.2}),
    (
        "HalfCheetah-v5",
        "run on its hind legs",
        {"pitch": -1.2, "x_velocity": 5.0},
        {"pitch": -1.2, "x_velocity": 0.0},
    ),
    ("HalfCheetah-v5", "lie on its back", {"pitch": np.pi}, {"pitch": 0.0}),
    ("HalfCheetah-v5", "do a backflip", {"pitch_velocity": -3.0}, {"pitch_velocity": 3.0}),
    ("HalfCheetah-v5", "jump", {"torso_height": 1.2}, {"torso_height": 0.6}),
    ("HalfCheetah-v5", "run without leaning beyond 20 deg", {"pitch": 0.3}, {"pitch": 0.8}),
    ("HalfCheetah-v5", "run without leaning beyond 20 deg", {"pitch": 0.0}, {"pitch": -0.8}),
    ("HalfCheetah-v5", "never lean back beyond 20 deg", {"pitch": 0.8}, {"pitch": -0.8}),
    ("HalfCheetah-v5", "lean forward at least 20 deg", {"pitch": 0.5}, {"pitch": 0.1}),
    ("HalfCheetah-v5", "run without leaning forward", {"pitch": 0.0}, {"pitch": 0.3}),
    ("HalfCheetah-v5", "run without leaning", {"pitch": 0.0}, {"pitch": np.pi}),
    ("HalfCheetah-v5", "flip at most 2 rad/s", {"pitch_velocity": 2.0}, {"pitch_velocity": 4.0}),
    ("HalfCheetah-v5", "flip at least 2 rad/s", {"pitch_velocity": 2.0}, {"pitch_velocity": 1.0}),
    ("Ant-v5", "do not spin at 2 rad/s", {"torso_rotation": 0}, {"torso_rotation": (0, 0, 2)}),
    (
        "Ant-v5",
        "walk without spinning faster than 2 rad/s",
        {"torso_rotation": (0, 0, 1)},
        {"torso_rotation": (0, 0, -3)},
    ),
    ("HalfCheetah-v5", "crouch", {"torso_height": 0.3}, {"torso_height": 0.7}),
    ("Ant-v5", "spin clockwise", {"torso_rotation": (0, 0, -2)}, {"torso_rotation": (0, 0, 2)}),
    ("Ant-v5", "sidestep to the left", {"y_velocity": 1.0}, {"y_velocity": -1.0}),
    ("Ant-v5", "walk in a straight line", {"y_velocity": 0.0}, {"y_velocity": -1.0}),
    ("Ant-v5", "tread softly", {"contact_forces": 0.0}, {"contact_forces": 1.0}),
    (
        "Humanoid-v5",
        "stay upright",
        {"torso_orientation": (1, 0, 0, 0)},
        {"torso_orientation": (0, 1, 0, 0)},
    ),
    ("Humanoid-v5", "do not fall", {"healthy": 1.0}, {"healthy": 0.0}),
    ("Hopper-v5", "never jump", {"velocities": 0.0}, {"velocities": (0, 2, 0, 0, 0, 0)}),
    ("Hopper-v5", "jump 0.5 m high", {"torso_rise": 0.5}, {"torso_rise": 0.3}),
    ("Hopper-v5", "jump at most 0.5 m high", {"torso_rise": 0.5}, {"torso_rise": 0.9}),
    ("Hopper-v5", "never jump higher than 0.5 m", {"torso_rise": 0.0}, {"torso_rise": 0.6}),
    (
        "Ant-v5",
        "run in circles",
        {"torso_rotation": (0, 0, 1), "y_velocity": -2.0},
        {"torso_rotation": (0, 0, 1), "y_velocity": 0.0},
    ),
    (
        "Ant-v5",
        "run in circles",
        {"torso_rotation": (0, 0, 1), "y_velocity": -2.0},
        {"torso_rotation": (0, 0, 0), "y_velocity": -2.0},
    ),
    ("Ant-v5", "walk near the start", {"x_velocity": -1.0}, {"x_velocity": 0.0}),
    (
        "Ant-v5",
        "walk near the start",
        {"x_velocity": 1.0, "x_position": 0.5},
        {"x_velocity": 1.0, "x_position": 9.0},
    ),
    (
        "Walker2d-v5",
        "keep the torso at a height of 1.1 m",
        {"torso_height": 1.1},
        {"torso_height": 1.4},
    ),
    (
        "Ant-v5",
        "walk forward at 2 m/s and to the left at 1 m/s",
        {"x_velocity": 2.0, "y_velocity": 1.0},
        {"x_velocity": 2.0, "y_velocity": 0.0},
    ),
    (
        "Humanoid-v5",
        "keep the torso no lower than 1.2 m height",
        {"torso_height": 1.3},
        {"torso_height": 1.0},
    ),
    ("InvertedPendulum-v5", "move left", {"cart_velocity": -1.0}, {"cart_velocity": 1.0}),
    ("InvertedPendulum-v5", "stay near the center", {"cart_position": 0.0}, {"cart_position": 0.8}),
    ("Ant-v5", "stay at least 2 m from the start", {"x_position": 2.0}, {"x_position": 1.0}),
    ("Ant-v5", "stay 2 m away from the start", {"y_position": 2.0}, {"y_position": 0.0}),
    ("Ant-v5", "stay 2 m away from the start", {"y_position": 2.0}, {"y_position": 4.0}),
    ("Ant-v5", "never go beyond 2 m from the start", {"x_position": 2.0}, {"x_position": 3.0}),
    ("Ant-v5", "go away from the start", {"x_position": 2.0}, {"x_position": 1.0}),
    ("Ant-v5", "never leave the start", {"x_position": 0.0}, {"x_position": 1.0}),
    ("Reacher-v5", "reach the target", {"distance": 0.01}, {"distance": 0.2}),
    ("Reacher-v5", "never touch the target", {"distance": 0.2}, {"distance": 0.01}),
    (
        "Pusher-v5",
        "push the object away from the goal",
        {"goal_distance": 0.5},
        {"goal_distance": 0},
    ),
    ("Pusher-v5", "keep it away from the goal", {"goal_distance": 0.5}, {"goal_distance": 0.1}),
    ("Pusher-v5", "reach the goal", {"goal_distance": 0.1}, {"goal_distance": 0.5}),
    ("Pusher-v5", "don't push the object", {"object_distance": 0.5}, {"object_distance": 0.1}),
    ("HumanoidStandup-v5", "do not stand up", {"torso_height": 0.1}, {"torso_height": 1.0}),
    ("Pusher-v5", "push the cylinder to the goal", {"goal_distance": 0.1}, {"goal_distance": 0.5}),
    ("HalfCheetah-v5", "run between 1 and 2 m/s", {"x_velocity": 2.0}, {"x_velocity": 0.5}),
    ("HalfCheetah-v5", "run between 1 and 2 m/s", {"x_velocity": 2.0}, {"x_velocity": 4.0}),
    ("Hopper-v5", "keep it from falling", {"healthy": 1.0}, {"healthy": 0.0}),
    ("Ant-v5", "spin slowly", {"torso_rotation": (0, 0, 0.5)}, {"torso_rotation": (0, 0, 3)}),
    ("Reacher-v5", "stay 5 cm from the target", {"distance": 0.05}, {"distance": 0.0}),
    ("Reacher-v5", "stay 5 cm from the target", {"distance": 0.05}, {"distance": 0.2}),
    ("Reacher-v5", "keep at least 10 cm from the target", {"distance": 0.1}, {"distance": 0.05}),
    ("Reacher-v5", "get within 1 cm of the target", {"distance": 0.01}, {"distance": 0.05}),
    ("InvertedPendulum-v5", "keep the pole within 5 degrees", {"angle": 0.05}, {"angle": 0.15}),
    (
        "Walker2d-v5",
        "keep its torso between 0.8 m and 1.2 m",
        {"torso_height": 1.2},
        {"torso_height": 1.4},
    ),
]

STEP = {"joint_velocities": (3, 0, 0, -3, 0, 0)}
"""Two legs that swing against each other; both thighs come first of three joints."""
HOP = {"joint_velocities": (3, 0, 0, 3, 0, 0)}
ANT_TROT = {"joint_velocities": (-3, 0, 3, 0, 3, 0, -3, 0)}
"""Hips come first of two joints; clockwise is forward on the left, counterclockwise on the right.
Legs 1 and 3, at opposite corners, swing forward, and 2 and 4 back."""
ANT_PACE = {"joint_velocities": (-3, 0, -3, 0, 3, 0, 3, 0)}
UP = {"torso_rise": 0.2}
SPARED, EVEN = (0.0,) * 3 + (3.0,) * 3, (3.0,) * 6
HUMAN_SPARED = (3.0,) * 3 + (0.0,) * 4 + (3.0,) * 10

GAITS = [
    # gait, task, a state that shows it, one that does not
    ("trot", "HalfCheetah-v5", STEP, HOP),
    ("trot", "Walker2d-v5", STEP, HOP),
    ("trot", "Ant-v5", ANT_TROT, ANT_PACE),
    (
        "trot",
        "Humanoid-v5",
        {"joint_velocities": (*(0,) * 5, 3, 0, 0, 0, -3, *(0,) * 7)},
        {"joint_velocities": (*(0,) * 5, 3, 0, 0, 0, 3, *(0,) * 7)},
    ),
    ("gallop", "HalfCheetah-v5", {"pitch_velocity": -2.0}, {"pitch_velocity": 0.5}),
    ("gallop", "Hopper-v5", {"pitch_velocity": 2.0}, {"pitch_velocity": 0.5}),
    ("gallop", "Walker2d-v5", {"pitch_velocity": 2.0}, {"pitch_velocity": 0.5}),
    ("gallop", "Ant-v5", {"torso_rotation": (0, 2, 0)}, {"torso_rotation": (2, 0, 2)}),
    ("gallop", "Humanoid-v5", {"torso_rotation": (0, 2, 0)}, {"torso_rotation": (2, 0, 2)}),
    *[
        ("skip", task, UP, {"torso_rise": -0.1})
        for task in ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5")
    ],
    ("march", "Walker2d-v5", {"joint_angles": (0, 0, 0, -1, 0, 0)}, {"joint_angles": -0.5}),
    (
        "march",
        "Humanoid-v5",
        {"joint_angles": (*(0,) * 5, -1, 0, 0, 0, 0, *(0,) * 7)},
        {"joint_angles": -0.5},
    ),
    ("limp", "HalfCheetah-v5", {"joint_velocities": SPARED[::-1]}, {"joint_velocities": EVEN}),
    ("limp", "Walker2d-v5", {"joint_velocities": SPARED}, {"joint_velocities": EVEN}),
    ("limp", "Ant-v5", {"joint_velocities": (0, 0, *(3,) * 6)}, {"joint_velocities": (3,) * 8}),
    ("limp", "Humanoid-v5", {"joint_velocities": HUMAN_SPARED}, {"joint_velocities": (3,) * 17}),
]

MEASURES = [
    # task, words, kind, accumulate; then a state that measures more than another
    ("HalfCheetah-v5", "run forward as fast as possible", "task", "", None, None),
    ("Ant-v5", "walk forward without falling", "task", "", None, None),
    ("InvertedPendulum-v5", "keep the pole upright", "task", "", None, None),
    ("HumanoidStandup-v5", "get up", "task", "", None, None),
    ("Reacher-v5", "reach the target", "task", "", None, None),
    (
        "HalfCheetah-v5",
        "run backwards",
        "program",
        "sum",
        {"x_velocity": -1.0},
        {"x_velocity": 1.0},
    ),
    (
        "HalfCheetah-v5",
        "jump as high as possible",
        "program",
        "max",
        {"torso_height": 1.0},
        {"torso_height": 0.5},
    ),
    ("HalfCheetah-v5", "hold 2 m/s", "program", "sum", {"x_velocity": 2.0}, {"x_velocity": 2.5}),
    ("HalfCheetah-v5", "hold 2 m/s", "program", "sum", {"x_velocity": 1.5}, {"x_velocity": 0.0}),
    ("HalfCheetah-v5", "stand still", "program", "sum", {"x_velocity": 0.0}, {"x_velocity": 0.4}),
    (
        "HalfCheetah-v5",
        "run at no more than 2 m/s",
        "program",
        "sum",
        {"x_velocity": 2.0},
        {"x_velocity": 4.0},
    ),
    (
        "HalfCheetah-v5",
        "run backwards on its hind leg",
        "program",
        "sum",
        {"x_velocity": -1.0, "pitch": -1.2},
        {"x_velocity": -1.0, "pitch": 0.0},
    ),
    (
        "HalfCheetah-v5",
        "walk with its nose up",
        "program",
        "sum",
        {"x_velocity": 1.0, "pitch": -0.3},
        {"x_velocity": 0.0, "pitch": -0.3},
    ),
    (
        "Ant-v5",
        "spin clockwise",
        "program",
        "sum",
        {"torso_rotation": (0, 0, -2)},
        {"torso_rotation": (0, 0, 2)},
    ),
    (
        "Ant-v5",
        "spin at most 2 rad/s",
        "program",
        "sum",
        {"torso_rotation": (0, 0, 2)},
        {"torso_rotation": (0, 0, 4)},
    ),
    (
        "Ant-v5",
        "never spin faster than 2 rad/s",
        "program",
        "sum",
        {"torso_rotation": (0, 0, 0)},
        {"torso_rotation": (0, 0, -4)},
    ),
    (
        "HalfCheetah-v5",
        "run without leaning beyond 20 deg",
        "program",
        "sum",
        {"x_velocity": 1.0, "pitch": -0.2},
        {"x_velocity": 1.0, "pitch": -0.8},
    ),
    (
        "HalfCheetah-v5",
        "lean forward at least 20 deg",
        "program",
        "sum",
        {"pitch": 1.5},
        {"pitch": 0.1},
    ),
    ("Hopper-v5", "don't fall", "program", "sum", {"healthy": 1.0}, {"healthy": 0.0}),
    (
        "Pusher-v5",
        "touch the object",
        "program",
        "last",
        {"object_distance": 0.1},
        {"object_distance": 0.5},
    ),
    (
        "Walker2d-v5",
        "keep its height below 1 m",
        "program",
        "sum",
        {"torso_height": 0.9},
        {"torso_height": 1.2},
    ),
    (
        "Humanoid-v5",
        "keep the torso no lower than 1.2 m height",
        "program",
        "sum",
        {"torso_height": 1.3},
        {"torso_height": 1.0},
    ),
    (
        "Walker2d-v5",
        "walk forward and keep its height below 1 m",
        "program",
        "sum",
        {"x_velocity": 1.0, "torso_height": 0.9},
        {"x_velocity": 1.0, "torso_height": 1.2},
    ),
    (
        "Ant-v5",
        "stay at least 2 m from the start",
        "program",
        "sum",
        {"y_position": 3.0},
        {"y_position": 1.0},
    ),
    (
        "Ant-v5",
        "stay within 2 m of the start",
        "program",
        "sum",
        {"y_position": 1.0},
        {"y_position": 3.0},
    ),
    (
        "Ant-v5",
        "run forward and stay within 2 m of the start",
        "program",
        "sum",
        {"x_velocity": 1.0, "y_position": 1.0},
        {"x_velocity": 1.0, "y_position": 3.0},
    ),
    (
        "Pusher-v5",
        "move the cylinder away from the goal",
        "program",
        "last",
        {"goal_distance": 0.5},
        {"goal_distance": 0.1},
    ),
    ("Pusher-v5", "don't push the object", "none", "", None, None),
    ("Pusher-v5", "bring it to the goal", "task", "", None, None),
    (
        "HumanoidStandup-v5",
        "do not stand up",
        "program",
        "sum",
        {"torso_height": 0.1},
        {"torso_height": 1.0},
    ),
    ("HalfCheetah-v5", "walk like a zombie", "none", "", None, None),
    ("HalfCheetah-v5", "dance the tango", "none", "", None, None),
    ("Reacher-v5", "run forward", "none", "", None, None),
    ("HalfCheetah-v5", "run smoothly", "task", "", None, None),
    ("HalfCheetah-v5", "move smoothly and save energy", "task", "", None, None),
]


def evaluate(program, task, state):
    """The program's value of one environment in a state; what is not said is 0."""
    fields = {
        name: np.zeros((1, columns) if columns else 1) for name, columns in task.columns.items()
    }
    for name, value in state.items():
        fields[name][0] = value
    return float(program(fields, np.zeros((1, task.action_dim), np.float32))[0])


def one_sentence_per_kind_of_wish():
    """Sentences that together hold every kind of wish of the cases, numbers aside."""
    seen, chosen = set(), []
    for _, sentence, wishes, _ in CASES:
        shapes = {re.sub(r"[\d.]+", "#", wish) for wish in wishes}
        if shapes - seen:
            chosen.append(sentence)
            seen |= shapes
    return chosen


@pytest.mark.parametrize("name", TASKS.split())
def test_every_program_for_every_task_passes_the_gate(name):
    # In this process and on few rows: the confined child is tried with the gate itself.
    task = bundled_tasks()[name]
    programs = {}
    for number, sentence in enumerate([task.description, *one_sentence_per_kind_of_wish()]):
        drafts = compose_request(task, sentence)[0].drafts
        # The plain one of every sentence, and the others in turn.
        for draft in drafts[:1] + drafts[number % 8 : number % 8 + 1]:
            programs[draft.program] = "reward"
        measure, _ = measure_goal(GoalRequest(task=task, description=sentence))
        if measure and not measure.is_the_tasks:
            programs[measure.program] = "fitness"
    compiled = [compile_program(text, task.schema_, kind) for text, kind in programs.items()]

    assert len(compiled) > 12
    for program in compiled[::5]:
        trial = dry_run(program, num_rows=8)
        assert trial.issues == (), program.source


@pytest.mark.parametrize("name", TASKS.split())
def test_a_tasks_own_description_gives_rewards_and_the_tasks_fitness(name):
    task = bundled_tasks()[name]

    composition, _ = compose_request(task, task.description)
    measure, _ = measure_goal(GoalRequest(task=task, description=task.description))

    assert len(composition.drafts) >= 4
    assert measure.is_the_tasks


@pytest.mark.parametrize(
    ("name", "words", "better", "worse"), PAID, ids=[f"{c[1]}-{c[2]}" for c in PAID]
)
def test_rewards_pay_for_what_is_wished(name, words, better, worse):
    task = bundled_tasks()[name]
    composition, _ = compose_request(task, words)

    assert composition.drafts
    for draft in composition.drafts:
        program = compile_program(draft.program, task.schema_)
        # A robot that stands and is well, apart from what the case is about.
        well = {
            n: v
            for n, v in {"healthy": 1.0, "torso_orientation": (1, 0, 0, 0)}.items()
            if n in task.columns
        }
        assert evaluate(program, task, well | better) > evaluate(program, task, well | worse), draft


@pytest.mark.parametrize(
    ("name", "words", "kind", "accumulate", "more", "less"), MEASURES, ids=[c[1] for c in MEASURES]
)
def test_a_goal_is_measured_by(name, words, kind, accumulate, more, less):
    task = bundled_tasks()[name]

    measure, _ = measure_goal(GoalRequest(task=task, description=words))

    if kind == "none":
        assert measure is None
        return
    assert measure.is_the_tasks == (kind == "task")
    if measure.is_the_tasks:
        return
    assert measure.accumulate == accumulate
    program = compile_program(measure.program, task.schema_, "fitness")
    assert evaluate(program, task, more) > evaluate(program, task, less)


@pytest.mark.parametrize(
    ("gait", "name", "shown", "plain"), GAITS, ids=[f"{c[0]}-{c[1]}" for c in GAITS]
)
def test_a_gait_is_rewarded_measured_and_avoided_and_passes_the_gate(gait, name, shown, plain):
    """At 1 m/s: the whole of it is a gain while the gait is seen, and nothing while it is not."""
    task = bundled_tasks()[name]
    well = {"x_velocity": 1.0}
    for names, value in {"healthy": 1.0, "torso_orientation": (1, 0, 0, 0)}.items():
        well |= {names: value} if names in task.columns else {}
    wanted, _ = compose_request(task, f"{gait} forward")
    avoided, _ = compose_request(task, f"run forward, never {gait}")
    measure, seen = measure_goal(GoalRequest(task=task, description=f"{gait} forward"))

    assert (wanted.missing, avoided.missing, seen.not_understood) == ((), (), ())
    assert len(wanted.drafts) >= 4
    for draft in wanted.drafts:
        program = compile_program(draft.program, task.schema_)
        assert dry_run(program, num_rows=8).issues == ()
        assert evaluate(program, task, well | shown) > evaluate(program, task, well | plain)
    for draft in avoided.drafts:
        program = compile_program(draft.program, task.schema_)
        assert evaluate(program, task, well | shown) < evaluate(program, task, well | plain)
    fitness = compile_program(measure.program, task.schema_, "fitness")
    assert evaluate(fitness, task, well | shown) == 1.0
    assert evaluate(fitness, task, well | plain) == 0.0


def test_legs_are_known_by_the_task_and_not_guessed_from_a_number_of_joints():
    mine = bundled_tasks()["HalfCheetah-v5"].model_copy(update={"id": "my-cheetah"})

    assert compose_request(mine, "trot forward")[0].missing == (
        "trot (this task has no field for the swing of two legs)",
    )


def test_no_lens_pays_for_falling_over_where_a_term_is_a_loss():
    task = bundled_tasks()["Ant-v5"]
    drafts = compose_request(task, "walk forward without spinning")[0].drafts
    spinning = {"torso_rotation": (0, 0, 4), "healthy": 1.0}
    upright = spinning | {"torso_orientation": (1, 0, 0, 0)}
    fallen = spinning | {"torso_orientation": (0, 1, 0, 0)}

    for draft in drafts:
        program = compile_program(draft.program, task.schema_)
        assert evaluate(program, task, upright) >= evaluate(program, task, fallen), draft


def test_the_same_question_has_the_same_answer():
    answers = [
        asyncio.run(LibraryProvider().propose(Ask(make_request(description="run at 2 m/s"))))
        for _ in range(2)
    ]

    assert answers[0] == answers[1]


def test_candidates_differ_in_kind():
    task = bundled_tasks()["Hopper-v5"]

    drafts = compose_request(task, "run forward")[0].drafts

    ids = {compile_program(draft.program, task.schema_).id for draft in drafts}
    assert len(ids) == len(drafts) >= 6


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(TASKS.split()),
    phrases=st.lists(st.sampled_from(sorted(map(" ".join, PHRASES))), min_size=1, max_size=25),
    joint=st.sampled_from([" ", ", ", " not ", " 2 m/s and ", " 3 rad/s or "]),
)
def test_whatever_is_said_the_programs_are_in_the_language(name, phrases, joint):
    task = bundled_tasks()[name]
    sentence = joint.join(phrases)

    drafts = compose_request(task, sentence)[0].drafts
    measure, _ = measure_goal(GoalRequest(task=task, description=sentence))

    for draft in drafts:
        compile_program(draft.program, task.schema_)
    if measure and not measure.is_the_tasks:
        compile_program(measure.program, task.schema_, "fitness")


def test_words_never_reach_a_program():
    task = make_task()

    drafts = compose_request(task, 'run forward """ import os # pwned')[0].drafts

    assert drafts
    assert not any("pwned" in draft.program or draft.name == "os" for draft in drafts)
