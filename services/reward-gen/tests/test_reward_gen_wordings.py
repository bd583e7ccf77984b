"""Other ways of saying what the library knows: lists, amounts, signs, later directions, postures.

Written like the cases of test_reward_gen_sentences.py.
"""

import pytest
from reward_gen_samples import bundled_tasks
from test_reward_gen_measures import measure
from test_reward_gen_sentences import shown

from websim_reward_gen.library.sentence import understand

CASES = [
    # a negation of a whole list, and amounts of what has a name: distances, deviations, times
    (
        "HalfCheetah-v5",
        "run without jumping, flipping or falling",
        ["move +", "avoid jump +", "avoid flip +", "balance +"],
        [],
    ),
    (
        "Hopper-v5",
        "never jump, fall or go backwards",
        ["avoid jump +", "balance +", "avoid move -"],
        [],
    ),
    ("Hopper-v5", "don't fall, jump or stop", ["balance +", "avoid jump +", "move +"], []),
    (
        "Ant-v5",
        "avoid falling, flipping and spinning",
        ["balance +", "avoid flip +", "avoid spin +"],
        [],
    ),
    (
        "Ant-v5",
        "no spinning, flipping or falling",
        ["avoid spin +", "avoid flip +", "balance +"],
        [],
    ),
    ("Ant-v5", "walk without spinning and falling", ["move +", "avoid spin +", "balance +"], []),
    (
        "HalfCheetah-v5",
        "run without falling, flipping",
        ["move +", "balance +", "avoid flip +"],
        [],
    ),
    ("HalfCheetah-v5", "penalize falling and jumping", ["balance +", "avoid jump +"], []),
    ("HalfCheetah-v5", "forbid jumping and flipping", ["avoid jump +", "avoid flip +"], []),
    ("Humanoid-v5", "jumping and falling are forbidden", ["avoid jump +", "balance +"], []),
    (
        "HalfCheetah-v5",
        "run without falling, moving forward at 2 m/s",
        ["move + 2", "balance +"],
        [],
    ),
    (
        "Ant-v5",
        "walk without jumps, flips and falls",
        ["move +", "avoid jump +", "avoid flip +", "balance +"],
        [],
    ),
    ("Hopper-v5", "don't fall, run fast", ["balance +", "move +"], []),
    (
        "HalfCheetah-v5",
        "don't fall, go left or right",
        ["balance +", "sideways +"],
        ["go right (excludes: go left)"],
    ),
    ("Ant-v5", "avoid spinning and walk forward", ["avoid spin +", "move +"], []),
    (
        "Hopper-v5",
        "hop without falling and keep the torso high",
        ["jump +", "balance +", "height +"],
        [],
    ),
    ("Reacher-v5", "minimize the distance to the target", ["reach +"], []),
    ("Reacher-v5", "minimum distance to the target", ["reach +"], []),
    ("Reacher-v5", "reduce the distance to the target", ["reach +"], []),
    ("Reacher-v5", "minimize the error to the target", ["reach +"], []),
    ("Reacher-v5", "minimise the time to reach the target", ["reach +"], ["quickly"]),
    ("Reacher-v5", "maximize the distance to the target", ["reach -"], []),
    ("Reacher-v5", "increase the distance to the target", ["reach -"], []),
    ("Reacher-v5", "never leave the target", ["reach +"], []),
    (
        "Reacher-v5",
        "keep a minimum distance of 10 cm from the target",
        ["reach - >=0.1"],
        ["distance"],
    ),
    ("Pusher-v5", "minimize the distance to the goal", ["push +"], []),
    ("Pusher-v5", "reduce the distance from object to goal", ["push +"], []),
    ("Pusher-v5", "minimize the distance from the object to the goal", ["push +"], []),
    ("Pusher-v5", "minimize the distance between the object and the goal", ["push +"], []),
    ("Ant-v5", "maximize the distance from the start", ["center -"], []),
    ("Ant-v5", "minimize the distance from the start", ["center +"], []),
    ("Ant-v5", "minimize deviation from a straight line", ["straight +"], []),
    ("Hopper-v5", "minimize the loss of balance", ["balance +"], []),
    ("HalfCheetah-v5", "minimize the time needed to run", ["move +"], []),
    ("HalfCheetah-v5", "minimize the time to run forward 10 m", ["move +"], ["10 m"]),
    (
        "HalfCheetah-v5",
        "minimize unnecessary wobbling of the torso forward",
        [],
        ["minimize unnecessary wobbling of the torso forward"],
    ),
    # signs, efforts, speeds, units, tolerances and limits in other words; what is permitted
    (
        "Reacher-v5",
        "keep a minimum distance of 10 cm from the target",
        ["reach - >=0.1"],
        ["distance"],
    ),
    (
        "HalfCheetah-v5",
        "minimize unnecessary wobbling of the torso forward",
        [],
        ["minimize unnecessary wobbling of the torso forward"],
    ),
    ("HalfCheetah-v5", "run in -x direction", ["move -"], []),
    ("Ant-v5", "move in -y direction", ["sideways -"], []),
    ("HalfCheetah-v5", "move along -x", ["move -"], []),
    ("HalfCheetah-v5", "run in the negative x-direction", ["move -"], []),
    ("HalfCheetah-v5", "run at minus 2 m/s", ["move - 2"], []),
    ("HalfCheetah-v5", "run at negative 2 m/s", ["move - 2"], []),
    ("HalfCheetah-v5", "run backward at -2 m/s", ["move - 2"], []),
    ("HalfCheetah-v5", "backward speed of -2 m/s", ["move - 2"], []),
    ("Ant-v5", "rotate clockwise at -2 rad/s", ["spin - 2"], []),
    ("HalfCheetah-v5", "run between -2 and -1 m/s", ["move - <=2", "move - >=1"], []),
    ("Ant-v5", "spin counter clockwise", ["spin +"], []),
    ("Ant-v5", "spin anti clockwise", ["spin +"], []),
    ("Ant-v5", "spin cw", ["spin -"], []),
    ("HalfCheetah-v5", "don\u00b4t move", ["still +"], []),
    ("HalfCheetah-v5", "don`t move", ["still +"], []),
    ("Hopper-v5", "hop with out falling", ["jump +", "balance +"], []),
    ("Hopper-v5", "walk w/out falling", ["move +", "balance +"], []),
    ("HalfCheetah-v5", "run witout falling", ["move +"], ["witout falling"]),
    ("HalfCheetah-v5", "do'nt move", ["still +"], []),
    ("HalfCheetah-v5", "save a lot of energy", ["effort +"], []),
    ("HalfCheetah-v5", "save as much energy as possible", ["effort +"], []),
    ("HalfCheetah-v5", "run and save as much power as possible", ["move +", "effort +"], []),
    (
        "HalfCheetah-v5",
        "run and keep the energy consumption as low as possible",
        ["move +", "effort +"],
        [],
    ),
    ("HalfCheetah-v5", "keep energy low", ["effort +"], []),
    ("HalfCheetah-v5", "keep the torque low", ["effort +"], []),
    ("HalfCheetah-v5", "energy use should be low", ["effort +"], []),
    ("HalfCheetah-v5", "lowest possible energy", ["effort +"], []),
    ("HalfCheetah-v5", "run fast with energy as low as possible", ["effort +", "move +"], []),
    ("HalfCheetah-v5", "run at the highest possible speed", ["move +"], []),
    ("HalfCheetah-v5", "run with the highest possible velocity", ["move +"], []),
    ("HalfCheetah-v5", "run at a high pace", ["move +"], []),
    ("HalfCheetah-v5", "with low movement", [], ["low movement"]),
    ("HalfCheetah-v5", "get a high reward", [], ["high reward"]),
    ("HalfCheetah-v5", "get the highest reward", [], ["highest reward"]),
    ("HalfCheetah-v5", "maximize speed and minimize energy", ["move +", "effort +"], []),
    ("HalfCheetah-v5", "maximize speed", ["move +"], []),
    ("HalfCheetah-v5", "maximize velocity", ["move +"], []),
    ("HalfCheetah-v5", "maximize the forward velocity", ["move +"], []),
    ("HalfCheetah-v5", "run at 2 m s^-1", ["move + 2"], []),
    ("HalfCheetah-v5", "run at 2 m*s^-1", ["move + 2"], []),
    ("HalfCheetah-v5", "run backwards at 2 m s^-1", ["move - 2"], []),
    ("HalfCheetah-v5", "run at 2 ms-1", ["move + 2"], []),
    ("HalfCheetah-v5", "run at 2 m\u00b7s\u207b\u00b9", ["move + 2"], []),
    ("HalfCheetah-v5", "run at 2 \u00b1 0.2 m/s", ["move + 2"], ["\u00b1"]),
    ("HalfCheetah-v5", "run at 2 +- 0.2 m/s", ["move + 2"], ["\u00b1"]),
    ("HalfCheetah-v5", "run at 2 m/s \u00b1 0.2 m/s", ["move + 2"], ["\u00b1"]),
    ("HalfCheetah-v5", "run at 1'500 mm/s", ["move + 1.5"], []),
    ("HalfCheetah-v5", "run at 3 m/s or less", ["move + <=3"], []),
    ("HalfCheetah-v5", "run at 3 m/s or more", ["move + >=3"], []),
    ("HalfCheetah-v5", "run at 3 m/s or faster", ["move + >=3"], []),
    ("HalfCheetah-v5", "run at 3 m/s or slower", ["move + <=3"], []),
    ("HalfCheetah-v5", "run at max. 1 m/s", ["move + <=1"], []),
    ("HalfCheetah-v5", "run at min. 1 m/s", ["move + >=1"], []),
    ("HalfCheetah-v5", "speed 2", ["move + 2"], []),
    ("HalfCheetah-v5", "hold a speed of 2", ["move + 2"], []),
    ("HalfCheetah-v5", "hold speed at 2", ["move + 2"], []),
    ("HalfCheetah-v5", "target speed 2", ["move + 2"], []),
    ("HalfCheetah-v5", "velocity = -2", ["move - 2"], []),
    ("HalfCheetah-v5", "increase the speed by 1 m/s", ["move +"], ["increase", "1 m/s"]),
    ("HalfCheetah-v5", "go up to 3 m/s", ["move + <=3"], []),
    ("Humanoid-v5", "center of mass above 0.5 m", ["height + >=0.5"], []),
    ("Humanoid-v5", "keep the center of mass low", ["height -"], []),
    ("HalfCheetah-v5", "keep the body off the ground", ["height +"], []),
    ("Ant-v5", "keep the torso off the ground", ["height +"], []),
    ("Humanoid-v5", "walk, it may fall", ["move +"], ["may fall"]),
    ("Humanoid-v5", "walk, it can fall", ["move +"], ["can fall"]),
    ("Humanoid-v5", "walk, it is allowed to fall", ["move +"], ["allowed to fall"]),
    ("Humanoid-v5", "walk, it is not allowed to fall", ["move +", "balance +"], []),
    ("Ant-v5", "move the torso up", ["height +"], []),
    ("Ant-v5", "come back to the start", ["center +"], []),
    ("Ant-v5", "go back to the origin", ["center +"], []),
    ("InvertedPendulum-v5", "move the cart back to the middle", ["center +"], []),
    ("Walker2d-v5", "walk straight back", ["move -"], []),
    ("HalfCheetah-v5", "go straight back at 1 m/s", ["move - 1"], []),
    ("HalfCheetah-v5", "keep your back up", [], ["back up"]),
    ("HalfCheetah-v5", "run with a straight back", ["tilt + 0", "move +"], []),
    ("HalfCheetah-v5", "reduce noise", [], ["reduce noise"]),
    ("HalfCheetah-v5", "speed between 1 and 3", ["move + >=1", "move + <=3"], []),
    ("HalfCheetah-v5", "use only the back legs", [], ["back legs"]),
    ("Hopper-v5", "stay in the air as long as possible", ["jump +"], []),
    # a direction that is said later; leans; falls that are wanted
    ("HalfCheetah-v5", "run at 2 m/s, backwards", ["move - 2"], []),
    ("HalfCheetah-v5", "run fast, but backwards", ["move -"], []),
    ("HalfCheetah-v5", "run (backwards)", ["move -"], []),
    ("HalfCheetah-v5", "2 m/s (backward)", ["move - 2"], []),
    ("HalfCheetah-v5", "speed: 2 m/s, direction: backwards", ["move - 2"], []),
    ("HalfCheetah-v5", "sprint, in reverse", ["move -"], []),
    ("HalfCheetah-v5", "gallop, backwards", ["gallop +", "move -"], []),
    ("HalfCheetah-v5", "run as fast as you can, and backwards please", ["move -"], []),
    ("HalfCheetah-v5", "run...backwards", ["move -"], []),
    (
        "HalfCheetah-v5",
        "at least 1 m/s but at most 2 m/s backwards",
        ["move - >=1", "move - <=2"],
        [],
    ),
    ("Ant-v5", "walk, to the left", ["sideways +"], []),
    ("Ant-v5", "walk at 1 m/s, to the left", ["sideways + 1"], []),
    ("HalfCheetah-v5", "run backwards, at 2 m/s", ["move - 2"], []),
    (
        "HalfCheetah-v5",
        "run without falling, moving forward at 2 m/s",
        ["move + 2", "balance +"],
        [],
    ),
    ("HalfCheetah-v5", "run backward at -2 m/s", ["move - 2"], []),
    ("HalfCheetah-v5", "backward speed of -2 m/s", ["move - 2"], []),
    ("Ant-v5", "rotate clockwise at -2 rad/s", ["spin - 2"], []),
    ("HalfCheetah-v5", "run between -2 and -1 m/s", ["move - <=2", "move - >=1"], []),
    ("HalfCheetah-v5", "at most -1 m/s", ["move - >=1"], []),
    ("Ant-v5", "walk sidewards to the right", ["sideways -"], []),
    ("Ant-v5", "go sideways to the right", ["sideways -"], []),
    ("Ant-v5", "walk sideways right", ["sideways -"], []),
    ("Ant-v5", "walk sideways", ["sideways +"], []),
    ("Ant-v5", "walk sideways, to the right", ["sideways -"], []),
    ("HalfCheetah-v5", "don't run on hind legs", ["avoid tilt - 1.2", "move +"], []),
    ("HalfCheetah-v5", "don't walk on its hind legs", ["avoid tilt - 1.2", "move +"], []),
    ("HalfCheetah-v5", "don't run upside down", ["avoid tilt + 3.14159", "move +"], []),
    ("HalfCheetah-v5", "don't run", ["still +"], []),
    ("Walker2d-v5", "lean the torso back", ["tilt - 0.3"], []),
    ("Walker2d-v5", "lean its body forward", ["tilt + 0.3"], []),
    ("Walker2d-v5", "tilt the torso back", ["tilt - 0.3"], []),
    ("Walker2d-v5", "bend the torso forward", ["tilt + 0.3"], []),
    ("InvertedPendulum-v5", "lean the pole forward", ["tilt + 0.3"], []),
    ("Walker2d-v5", "lean the torso backward while walking forward", ["tilt - 0.3", "move +"], []),
    ("Walker2d-v5", "don't lean too far forward", ["avoid tilt + 0.3"], []),
    (
        "HalfCheetah-v5",
        "run without leaning forward or backward",
        ["move +", "avoid tilt + 0.3", "avoid tilt - 0.3"],
        [],
    ),
    ("Walker2d-v5", "walk leaning forward", ["tilt + 0.3", "move +"], []),
    ("Walker2d-v5", "fall forward", ["balance -", "move +"], []),
    ("Walker2d-v5", "walk forward and fall", ["move +", "balance -"], []),
    ("Hopper-v5", "run and crash", ["move +", "balance -"], []),
    (
        "HalfCheetah-v5",
        "go forward, then back",
        ["move +"],
        ["then", "back (excludes: go forward)"],
    ),
    ("Ant-v5", "walk to the left and jump", ["sideways +", "jump +"], []),
    ("HalfCheetah-v5", "run and jump backwards", ["move -", "jump +"], []),
    ("HalfCheetah-v5", "run, then back up", ["move -"], ["then"]),
    ("HalfCheetah-v5", "move slowly, backwards", ["move - 0.5"], []),
    ("HalfCheetah-v5", "run, not backwards", ["move +", "avoid move -"], []),
]


@pytest.mark.parametrize(("task", "sentence", "wishes", "left"), CASES, ids=[c[1] for c in CASES])
def test_a_wording_means(task, sentence, wishes, left):
    familiar = bundled_tasks()[task].description

    understanding = understand(sentence, familiar, goal_of_object=task == "Pusher-v5")

    assert [shown(wish) for wish in understanding.wishes] == wishes
    assert list(understanding.not_understood) == left


@pytest.mark.parametrize(
    "words",
    [
        "keep the pole vertical",
        "hold the pole",
        "keep the pole on top",
        "minimize the pole angle",
        "minimize the angle of the pole",
    ],
)
def test_a_tasks_own_words_ask_for_what_the_task_is_for(words):
    proposal = measure("InvertedPendulum-v5", words)

    assert (proposal.kind, proposal.not_understood) == ("task", ())


@pytest.mark.parametrize(
    ("task", "words", "left"),
    [
        ("Walker2d-v5", "keep the torso horizontal", "horizontal (a pitch of 0 is upright here"),
        ("InvertedPendulum-v5", "keep the pole horizontal", "horizontal (a pitch of 0 is upright"),
        ("HalfCheetah-v5", "keep the torso vertical", "vertical (a pitch of 0 is level here"),
    ],
)
def test_a_posture_that_no_term_says_is_told(task, words, left):
    proposal = measure(task, words)

    assert proposal.kind == "none"
    assert proposal.not_understood[0].startswith(left)


@pytest.mark.parametrize("words", ["fall forward", "walk forward and fall", "run and crash"])
def test_a_fall_that_is_wanted_is_not_what_the_task_measures(words):
    proposal = measure("Walker2d-v5", words)

    assert proposal.kind == "program"
    assert "(state.healthy) <= 0.5" in proposal.program
