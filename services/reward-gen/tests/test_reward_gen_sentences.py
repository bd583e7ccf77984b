"""Sentences, and what the library must make of them: wishes, signs, numbers, what it leaves out.

The expectations are written by hand. A wish reads: kind, direction (+ or -), target in SI units
(<= and >= are limits); "avoid" is in front of what must not happen.
"""

import pytest
from reward_gen_samples import bundled_tasks

from websim_reward_gen.library.compose import compose
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.sentence import understand
from websim_reward_gen.library.vocabulary import spelt

CASES = [
    # numbers: units, ranges, limits, and those that are no speed
    ("HalfCheetah-v5", "run at 10 feet per second", ["move + 3.048"], []),
    ("HalfCheetah-v5", "run at 5 knots", ["move + 2.57222"], []),
    ("HalfCheetah-v5", "run at 120 metres a minute", ["move + 2"], []),
    ("HalfCheetah-v5", "run at thirty kilometres per hour", ["move + 8.33333"], []),
    ("HalfCheetah-v5", "run at .5 m/s", ["move + 0.5"], []),
    ("Hopper-v5", "hop 0,125 m high", ["jump + 0.125"], []),
    ("HalfCheetah-v5", "run at 0,500 m/s", ["move + 0.5"], []),
    ("HalfCheetah-v5", "run at 1,5 m/s", ["move + 1.5"], []),
    ("HalfCheetah-v5", "run at 1,500 m/s", ["move + 1500"], []),
    ("HalfCheetah-v5", "run at 1,234.5 m/s", ["move + 1234.5"], []),
    ("HalfCheetah-v5", "run at 1 500 m/s", ["move + 1500"], []),
    ("HalfCheetah-v5", "run at thirteen m/s", ["move + 13"], []),
    ("HalfCheetah-v5", "run at nineteen m/s", ["move + 19"], []),
    ("HalfCheetah-v5", "run at twenty five km/h", ["move + 6.94444"], []),
    ("HalfCheetah-v5", "run at twenty-five km/h", ["move + 6.94444"], []),
    ("HalfCheetah-v5", "run at two hundred m/s", ["move + 200"], []),
    ("HalfCheetah-v5", "run at 2 hundred m/s", ["move + 200"], []),
    ("HalfCheetah-v5", "run at one hundred and fifty m/s", ["move + 150"], []),
    ("HalfCheetah-v5", "run at a thousand two hundred m/s", ["move + 1200"], []),
    ("HalfCheetah-v5", "run at two point five m/s", ["move + 2.5"], []),
    ("HalfCheetah-v5", "run at point five m/s", ["move + 0.5"], []),
    ("HalfCheetah-v5", "run at 2 and a half m/s", ["move + 2.5"], []),
    ("Hopper-v5", "jump half of a metre high", ["jump + 0.5"], []),
    ("HalfCheetah-v5", "run at five twenty km/h", ["move +"], ["five twenty km/h"]),
    ("HalfCheetah-v5", "run at two three m/s", ["move +"], ["two three m/s"]),
    ("HalfCheetah-v5", "run at 1/2 m/s", ["move +"], ["1/2", "m/s"]),
    ("HalfCheetah-v5", "run between 1 and 2 m/s", ["move + >=1", "move + <=2"], []),
    ("HalfCheetah-v5", "run at 1-2 m/s", ["move + >=1", "move + <=2"], []),
    ("HalfCheetah-v5", "faster than 2 m/s but below 3 m/s", ["move + >=2", "move + <=3"], []),
    ("HalfCheetah-v5", "max speed 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the speed to 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the speed to two m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the forward speed of the robot to 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "speed capped at 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "run with a speed limit of 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "an upper limit of 2 m/s", ["move + <=2"], []),
    ("Walker2d-v5", "a lower limit of 1 m for the torso height", ["height + >=1"], []),
    # a word for a limit says nothing beside a phrase for one, and is no negation of it
    ("HalfCheetah-v5", "limit the speed to at most 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the speed to less than 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the speed to no more than 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the speed to under 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the speed to <= 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the speed to 2 m/s at most", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit speed to below 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit your speed to a maximum of 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "limit the speed between 1 and 2 m/s", ["move + >=1", "move + <=2"], []),
    ("HalfCheetah-v5", "limit your lean to within 10 degrees", ["tilt + <=0.174533"], []),
    ("HalfCheetah-v5", "cap the speed at at most 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "top speed under 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "never exceed a maximum of 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "reduce the speed to below 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "reduce the speed to 2 m/s", ["move + 2"], []),
    ("Walker2d-v5", "restrict the torso height to below 1 m", ["height + <=1"], []),
    ("Humanoid-v5", "keep a minimum torso height of more than 1 m", ["height + >=1"], []),
    ("HalfCheetah-v5", "keep a minimum speed of at least 2 m/s", ["move + >=2"], []),
    ("HalfCheetah-v5", "keep at least a minimum speed of 2 m/s", ["move + >=2"], []),
    ("Walker2d-v5", "a minimum height for the torso of 1 m", ["height + >=1"], []),
    ("HalfCheetah-v5", "limit speeds above 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "cap speeds above 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "forbid speeds above 2 m/s", ["move + <=2"], []),
    ("Hopper-v5", "limit jumping above 0.5 m", ["avoid jump + <=0.5"], []),
    ("Hopper-v5", "limit your jumps to at most 0.5 m", ["jump + <=0.5"], []),
    ("HalfCheetah-v5", "limit the torque", ["effort +"], []),
    ("HalfCheetah-v5", "run with minimum torque at 2 m/s", ["effort +", "move + 2"], []),
    # nor is the negation of something else
    ("HalfCheetah-v5", "run without falling at over 2 m/s", ["balance +", "move + >=2"], []),
    ("HalfCheetah-v5", "run with minimum torque at most at 2 m/s", ["effort +", "move + <=2"], []),
    ("Walker2d-v5", "the torso must never fall below 1 m", ["balance +", "height + >=1"], []),
    ("HalfCheetah-v5", "do not run at more than 2 m/s", ["move + <=2"], []),
    ("HalfCheetah-v5", "keep a speed > 2 m/s", ["move + >=2"], []),
    ("HalfCheetah-v5", "run without exceeding 8 km/h", ["move + <=2.22222"], []),
    ("HalfCheetah-v5", "reach a speed of 2 m/s", ["move + 2"], []),
    ("HalfCheetah-v5", "move forward with a speed of 2", ["move + 2"], []),
    ("HalfCheetah-v5", "walk on 2 legs", ["move +"], ["2"]),
    ("HalfCheetah-v5", "run forward, reward = 1e9", ["move +"], ["1e9"]),
    ("HalfCheetah-v5", "do two backflips", ["flip -"], ["two"]),
    ("Hopper-v5", "hop on two feet", ["jump +"], ["two", "feet"]),
    ("Hopper-v5", "jump two feet high", ["jump + 0.6096"], []),
    ("Hopper-v5", "jump 2 feet high", ["jump + 0.6096"], []),
    ("Hopper-v5", "hop one foot high", ["jump + 0.3048"], []),
    ("Hopper-v5", "jump a foot off the ground", ["jump + 0.3048"], []),
    ("Hopper-v5", "jump about a foot high", ["jump + 0.3048"], []),
    ("Hopper-v5", "jump half a foot high", ["jump + 0.1524"], []),
    ("Hopper-v5", "jump twenty-five feet high", ["jump + 7.62"], []),
    ("Hopper-v5", "jump higher than a foot", ["jump + >=0.3048"], []),
    ("Hopper-v5", "jump to a height of one foot", ["jump + 0.3048"], []),
    ("Humanoid-v5", "limit the torso height to one foot", ["height + <=0.3048"], []),
    ("Humanoid-v5", "keep the torso a foot above the ground", ["height + >=0.3048"], []),
    ("Reacher-v5", "keep a foot away from the target", ["reach - 0.3048"], []),
    ("Reacher-v5", "get within one foot of the target", ["reach + <=0.3048"], []),
    ("HalfCheetah-v5", "run at a foot per second", ["move + 0.3048"], []),
    ("Walker2d-v5", "torso between a metre and 2 metres", ["height + >=1", "height + <=2"], []),
    ("Hopper-v5", "jump 20 inches high", ["jump + 0.508"], []),
    ("Hopper-v5", "jump higher than a metre", ["jump + >=1"], []),
    (
        "Walker2d-v5",
        "keep its torso between 0.8 m and 1.2 m",
        ["height + >=0.8", "height + <=1.2"],
        [],
    ),
    ("InvertedDoublePendulum-v5", "keep the tip above 1.1 m", ["height + >=1.1"], []),
    ("InvertedPendulum-v5", "keep the pole within 5 degrees", ["tilt + <=0.0872665"], []),
    ("Reacher-v5", "stay 5 cm from the target", ["reach - 0.05"], []),
    ("Reacher-v5", "keep at least 10 cm from the target", ["reach - >=0.1"], []),
    ("Reacher-v5", "get within 1 cm of the target", ["reach + <=0.01"], []),
    ("Pusher-v5", "push the cylinder 10 cm to the goal", ["push +", "reach +"], ["10 cm"]),
    ("Hopper-v5", "jump over the box", ["jump +"], ["over", "box"]),
    ("Walker2d-v5", "lean forward 10-20 degrees", ["tilt + >=0.174533", "tilt + <=0.349066"], []),
    ("Walker2d-v5", "do not let the torso go below 1 m", ["height + >=1"], []),
    # not, said in other ways
    ("Hopper-v5", "keep it from falling", ["balance +"], []),
    ("InvertedPendulum-v5", "stop the pole from falling", ["balance +"], []),
    ("Hopper-v5", "falling is not allowed", ["balance +"], []),
    ("Hopper-v5", "falls should be avoided", ["balance +"], []),
    ("Hopper-v5", "falling is not wanted", ["balance +"], []),
    ("Hopper-v5", "jumping is forbidden", ["avoid jump +"], []),
    ("Hopper-v5", "jumping is not elegant", ["jump +", "smooth -"], []),
    ("Hopper-v5", "hopping is not cool", [], ["hopping is not cool"]),
    ("Hopper-v5", "neither jump nor fall", ["avoid jump +", "balance +"], []),
    ("HalfCheetah-v5", "anything but forward", ["avoid move +"], []),
    ("HalfCheetah-v5", "run everywhere except backwards", ["avoid move -"], ["everywhere"]),
    ("HalfCheetah-v5", "nothing but forward", ["move +"], []),
    ("HalfCheetah-v5", "penalise torque", ["effort +"], []),
    ("HalfCheetah-v5", "use energy", [], ["energy"]),
    ("HalfCheetah-v5", "don't forget to jump", ["jump +"], []),
    ("HalfCheetah-v5", "don't worry about falling", [], ["not worry about falling"]),
    ("HalfCheetah-v5", "don't walk, run", ["move +"], ["not walk"]),
    ("HalfCheetah-v5", "without any motion", ["still +"], []),
    ("HalfCheetah-v5", "move forward w/o falling", ["move +", "balance +"], []),
    ("HalfCheetah-v5", "low torque, high speed", ["effort +", "move +"], []),
    ("HalfCheetah-v5", "run with torque minimal", ["move +", "effort +"], []),
    ("HalfCheetah-v5", "run, torque minimal", ["move +", "effort +"], []),
    # one after the other, or under a condition: no reward says it
    ("Humanoid-v5", "first stand up, then walk", ["stand +", "move +"], ["first", "then"]),
    ("HalfCheetah-v5", "stand still before running", ["still +"], ["before running"]),
    ("HalfCheetah-v5", "if it falls, get up", ["stand +"], ["if it falls"]),
    ("HalfCheetah-v5", "run until it falls", ["move +"], ["until it falls"]),
    # limbs are not the robot
    ("Ant-v5", "lift its left leg", [], ["lift its left leg"]),
    ("HalfCheetah-v5", "move only its front legs", [], ["move only its front legs"]),
    ("Ant-v5", "walk without using its left front leg", ["move +"], ["not left front leg"]),
    ("Humanoid-v5", "walk with the arms still", ["move +"], ["the arms still"]),
    ("HalfCheetah-v5", "touch the ground with its back", [], ["touch the ground with its back"]),
    ("Ant-v5", "walk with a sore back", ["move -"], ["sore"]),
    ("Ant-v5", "raise one foot", [], ["raise one foot"]),
    ("Ant-v5", "raise a foot", [], ["raise a foot"]),
    ("Ant-v5", "lift one foot", [], ["lift one foot"]),
    ("Ant-v5", "raise two feet", [], ["raise two feet"]),
    ("Ant-v5", "raise 2 feet", [], ["raise 2 feet"]),
    ("Ant-v5", "raise a foot off the ground", [], ["raise a foot off the ground"]),
    ("Ant-v5", "keep a foot off the ground", [], ["a foot off the ground"]),
    ("Ant-v5", "keep one foot above the ground", [], ["foot", "above"]),
    ("Humanoid-v5", "kick a foot high", ["joints +"], ["a foot high"]),
    ("Humanoid-v5", "stand on a foot", ["stand +"], ["foot"]),
    ("Hopper-v5", "jump off one foot", ["jump +"], ["off", "foot"]),
    # paces
    ("Ant-v5", "spin slowly", ["spin + 0.5"], []),
    ("Humanoid-v5", "get up quickly", ["stand +"], ["quickly"]),
    ("Reacher-v5", "reach the target quickly", ["reach +"], ["quickly"]),
    ("HalfCheetah-v5", "run at a constant speed", ["move +"], ["constant speed"]),
    ("HalfCheetah-v5", "hold a constant speed of 2 m/s", ["move + 2"], []),
    ("HalfCheetah-v5", "run at low speed", ["move + 0.5"], []),
    ("HalfCheetah-v5", "run with high friction", ["move +"], ["high friction"]),
    # spelling
    ("HalfCheetah-v5", "run bakwards", ["move -"], []),
    ("HalfCheetah-v5", "wak forwrad wihtout falling", ["move +", "balance +"], ["wak"]),
    ("HalfCheetah-v5", "run forwarrd", ["move +"], []),
    ("HalfCheetah-v5", "run forwardd wihtout jmping", ["move +"], ["not jmping"]),
    # the person's own word is reported
    (
        "HalfCheetah-v5",
        "go forward then bakward",
        ["move +"],
        ["then", "bakward (excludes: go forward)"],
    ),
    # other words are none misspelt
    ("HalfCheetah-v5", "run forward at the present height", ["move +", "height +"], ["present"]),
    ("HalfCheetah-v5", "run in the backyard", ["move +"], ["backyard"]),
    # where to
    ("HalfCheetah-v5", "go forward and back", ["move +"], ["back (excludes: go forward)"]),
    ("Ant-v5", "go in the negative x direction", ["move -"], []),
    ("Ant-v5", "wander", ["roam +"], []),
    ("Humanoid-v5", "lean to the left", [], ["lean", "to the left"]),
    ("HalfCheetah-v5", "pitch up", ["tilt - 0.3"], []),
    ("HalfCheetah-v5", "flip onto your back", ["flip +", "tilt + 3.14159"], []),
    ("Humanoid-v5", "stand up straight", ["stand +"], []),
    ("Pusher-v5", "push the cylinder left", ["sideways +"], ["push the cylinder"]),
    ("Pusher-v5", "push the cylinder away", [], ["push the cylinder", "away"]),
    ("HalfCheetah-v5", "the goal is to run backwards", ["move -"], []),
    ("HalfCheetah-v5", "run forward", ["move +"], []),
    ("HalfCheetah-v5", "Run Forwards!", ["move +"], []),
    ("HalfCheetah-v5", "make the cheetah run backwards", ["move -"], []),
    ("HalfCheetah-v5", "run in reverse", ["move -"], []),
    ("HalfCheetah-v5", "walk", ["move +"], []),
    ("Walker2d-v5", "I would like it to go back", ["move -"], []),
    ("Ant-v5", "sidestep to the left", ["sideways +"], []),
    ("Ant-v5", "move to the right", ["sideways -"], []),
    ("InvertedPendulum-v5", "move left", ["sideways +"], []),
    ("Ant-v5", "walk forward in a straight line", ["move +", "straight +"], []),
    ("Swimmer-v5", "swim forward without drifting", ["move +", "straight +"], []),
    # how fast
    ("HalfCheetah-v5", "run forward as fast as possible", ["move +"], []),
    ("HalfCheetah-v5", "run forward at 2 m/s", ["move + 2"], []),
    ("HalfCheetah-v5", "hold 2 m/s", ["move + 2"], []),
    ("HalfCheetah-v5", "a target speed of 3.5 m/s", ["move + 3.5"], []),
    ("HalfCheetah-v5", "run backward at 3.6 km/h", ["move - 1"], []),
    ("HalfCheetah-v5", "run at two meters per second", ["move + 2"], []),
    ("HalfCheetah-v5", "run at -1.5 m/s", ["move - 1.5"], []),
    ("Hopper-v5", "walk slowly", ["move + 0.5"], []),
    ("Hopper-v5", "creep forward", ["move + 0.5"], []),
    ("HalfCheetah-v5", "run backwards, slowly", ["move - 0.5"], []),
    ("HalfCheetah-v5", "run forward, at 1 m/s", ["move + 1"], []),
    ("HalfCheetah-v5", "never go faster than 1.5 m/s", ["move + <=1.5"], []),
    ("HalfCheetah-v5", "run at no more than 100 cm/s", ["move + <=1"], []),
    ("HalfCheetah-v5", "run at at least 3 m/s", ["move + >=3"], []),
    ("HalfCheetah-v5", "run faster than 10 mph", ["move + >=4.4704"], []),
    ("Ant-v5", "walk sideways at 0.3 m/s", ["sideways + 0.3"], []),
    # not
    ("Hopper-v5", "don't fall", ["balance +"], []),
    ("Hopper-v5", "run forward at 2 m/s without falling", ["move + 2", "balance +"], []),
    ("Hopper-v5", "Don\u2019t fall over, and don\u2019t move", ["balance +", "still +"], []),
    ("Hopper-v5", "stop falling over", ["balance +"], []),
    ("HalfCheetah-v5", "do not run backwards", ["avoid move -"], []),
    ("HalfCheetah-v5", "run forward but never jump", ["move +", "avoid jump +"], []),
    ("HalfCheetah-v5", "without jumping or falling", ["avoid jump +", "balance +"], []),
    ("Ant-v5", "walk forward without spinning", ["move +", "avoid spin +"], []),
    ("Ant-v5", "run forward instead of sideways", ["move +", "avoid sideways +"], []),
    ("HalfCheetah-v5", "not jerky", ["smooth +"], []),
    ("HalfCheetah-v5", "run really fast without flipping over", ["move +", "avoid flip +"], []),
    ("HalfCheetah-v5", "don't stop moving", ["move +"], []),
    ("HalfCheetah-v5", "don't stand still", ["move +"], []),
    ("HalfCheetah-v5", "shake less", ["smooth +"], []),
    ("HalfCheetah-v5", "don't run too fast", ["move + <=0.5"], []),
    ("Hopper-v5", "walk forward with less falling", ["move +", "balance +"], []),
    ("HalfCheetah-v5", "run with less shaking", ["move +", "smooth +"], []),
    ("HalfCheetah-v5", "run with fewer falls", ["move +", "balance +"], []),
    ("HalfCheetah-v5", "run less fast", ["move + <=0.5"], []),
    ("HalfCheetah-v5", "shake less while running", ["smooth +", "move +"], []),
    ("HalfCheetah-v5", "run and do not shake less", ["move +", "smooth -"], []),
    ("HalfCheetah-v5", "run with less forward lean", ["move +", "avoid tilt + 0.3"], []),
    ("HalfCheetah-v5", "run with less noise", ["move +"], ["less", "noise"]),
    ("HalfCheetah-v5", "jump less high", ["jump +"], ["not high (excludes: jump)"]),
    ("HalfCheetah-v5", "don't fall while running", ["balance +", "move +"], []),
    # numbers and not
    ("Ant-v5", "never spin at 2 rad/s", ["avoid spin + 2"], []),
    ("Ant-v5", "spin at most 2 rad/s", ["spin + <=2"], []),
    ("Ant-v5", "walk without spinning faster than 2 rad/s", ["move +", "avoid spin + <=2"], []),
    ("HalfCheetah-v5", "run, never leaning more than 0.3 rad", ["move +", "tilt + <=0.3"], []),
    ("HalfCheetah-v5", "do not lean forward beyond 0.3 rad", ["avoid tilt + <=0.3"], []),
    ("HalfCheetah-v5", "lean back at least 0.3 rad", ["tilt - >=0.3"], []),
    ("HalfCheetah-v5", "do not lean 20 degrees", ["tilt + 0"], ["not 20 degrees"]),
    (
        "HalfCheetah-v5",
        "lie upside down within 0.3 rad",
        ["height -", "tilt + 3.14159"],
        ["0.3 rad"],
    ),
    ("HalfCheetah-v5", "run forward but not at 2 m/s", ["move +"], ["not 2 m/s"]),
    ("HalfCheetah-v5", "do not run at 2 m/s", ["still +"], ["not 2 m/s"]),
    ("Hopper-v5", "run without falling at 2 m/s", ["move + 2", "balance +"], []),
    ("Walker2d-v5", "walk at most 2 m/s at 1 m height", ["move + <=2", "height + 1"], []),
    ("Hopper-v5", "jump 0.5 m high", ["jump + 0.5"], []),
    ("Hopper-v5", "jump to a height of 50 cm", ["jump + 0.5"], []),
    ("Hopper-v5", "jump higher than 0.5 m", ["jump + >=0.5"], []),
    ("Hopper-v5", "jump at most 0.5 m high", ["jump + <=0.5"], []),
    ("Hopper-v5", "never jump higher than 1 m", ["avoid jump + <=1"], []),
    ("Hopper-v5", "never jump 1 m high", ["avoid jump +"], ["not 1 m"]),
    ("Hopper-v5", "stay near the start and jump 0.5 m high", ["center +", "jump + 0.5"], []),
    ("Hopper-v5", "jump 2 m forward", ["jump +", "move +"], ["2 m"]),
    ("Hopper-v5", "jump and walk 2 m", ["jump +", "move +"], ["2 m"]),
    # on the spot, up and down
    ("Humanoid-v5", "stand still", ["still +"], []),
    ("Humanoid-v5", "do not move", ["still +"], []),
    ("HalfCheetah-v5", "freeze", ["still +"], []),
    ("Hopper-v5", "jump as high as possible", ["jump +"], []),
    ("Hopper-v5", "hop on the spot", ["jump +", "still +"], []),
    ("Hopper-v5", "leap forward", ["move +", "jump +"], []),
    ("HalfCheetah-v5", "crouch and creep forward", ["height -", "move + 0.5"], []),
    ("Walker2d-v5", "keep the torso at a height of 0.5 m", ["height + 0.5"], []),
    ("Walker2d-v5", "walk with the torso high", ["move +", "height +"], []),
    ("Walker2d-v5", "stay below 90 cm height", ["height + <=0.9"], []),
    ("Humanoid-v5", "keep the torso no lower than 1.2 m height", ["height + >=1.2"], []),
    ("Walker2d-v5", "never go above 1.2 m height", ["height - <=1.2"], []),
    ("HumanoidStandup-v5", "get up", ["stand +"], []),
    # turning and leaning
    ("Ant-v5", "spin clockwise", ["spin -"], []),
    ("Ant-v5", "spin to the left at 3 rad/s", ["spin + 3"], []),
    ("Ant-v5", "turn on the spot at 30 rpm", ["spin + 3.14159"], []),
    ("Ant-v5", "run in circles", ["roam +", "spin +"], []),
    ("Ant-v5", "go in circles at 2 m/s", ["roam + 2", "spin +"], []),
    ("Ant-v5", "run slowly in circles to the right", ["roam + 0.5", "spin -"], []),
    ("Ant-v5", "run in circles on the spot", ["spin +", "still +"], []),
    ("Ant-v5", "do not run in circles", ["avoid spin +"], []),
    ("Ant-v5", "spin fast", ["spin +"], []),
    ("HalfCheetah-v5", "do a backflip", ["flip -"], []),
    ("HalfCheetah-v5", "flip forward", ["flip +"], []),
    ("HalfCheetah-v5", "run backwards on its hind leg", ["move -", "tilt - 1.2"], []),
    ("HalfCheetah-v5", "lie on its back", ["tilt + 3.14159", "height -"], []),
    ("HalfCheetah-v5", "run on its hind legs", ["move +", "tilt - 1.2"], []),
    ("HalfCheetah-v5", "walk with its nose up", ["move +", "tilt - 0.3"], []),
    ("HalfCheetah-v5", "keep the body level while walking", ["tilt + 0", "move +"], []),
    ("HalfCheetah-v5", "a hind-leg walk", ["tilt - 1.2", "move +"], []),
    ("HalfCheetah-v5", "stand on its hind legs", ["tilt - 1.2"], []),
    ("HalfCheetah-v5", "go upside down", ["tilt + 3.14159"], []),
    ("HalfCheetah-v5", "lean forward by 30 degrees", ["tilt + 0.523599"], []),
    # manner
    ("HalfCheetah-v5", "run forward, fast and at little effort", ["move +", "effort +"], []),
    ("HalfCheetah-v5", "save energy while running", ["effort +", "move +"], []),
    ("Hopper-v5", "hop forward without wasting energy", ["move +", "effort +"], []),
    ("Walker2d-v5", "walk smoothly", ["move +", "smooth +"], []),
    ("Ant-v5", "walk quietly", ["move +", "impact +"], []),
    ("Walker2d-v5", "walk with stiff joints", ["move +", "joints -"], []),
    ("Ant-v5", "use as little torque as possible", ["effort +"], []),
    ("Ant-v5", "move as little as possible", ["still +"], []),
    # gaits
    ("HalfCheetah-v5", "gallop forward", ["gallop +", "move +"], []),
    ("HalfCheetah-v5", "gallop", ["gallop +", "move +"], []),
    ("HalfCheetah-v5", "gallop backwards at 2 m/s", ["gallop +", "move - 2"], []),
    ("Ant-v5", "trot slowly to the left", ["trot +", "sideways + 0.5"], []),
    ("Ant-v5", "trotting in circles", ["trot +", "roam +", "spin +"], []),
    ("Walker2d-v5", "march on the spot", ["march +", "still +"], []),
    ("Walker2d-v5", "run with high knees", ["march +", "move +"], []),
    ("Humanoid-v5", "prance forward", ["march +", "move +"], []),
    ("Hopper-v5", "skip ahead without falling", ["skip +", "move +", "balance +"], []),
    ("Walker2d-v5", "walk without limping", ["move +", "avoid limp +"], []),
    ("HalfCheetah-v5", "limp", ["limp +", "move +"], []),
    ("HalfCheetah-v5", "run but don't gallop", ["move +", "avoid gallop +"], []),
    # arms and poles
    ("Reacher-v5", "bring the fingertip to the target", ["reach +"], []),
    ("Reacher-v5", "stay away from the target", ["reach -"], []),
    ("Pusher-v5", "push the cylinder to the goal", ["push +", "reach +"], []),
    ("Reacher-v5", "keep the fingertip away from the target", ["reach -"], []),
    ("Pusher-v5", "push the cylinder away from the goal", ["push -"], []),
    ("Pusher-v5", "move the cylinder as far as possible from the goal", ["push -"], []),
    ("Pusher-v5", "never push the cylinder to the goal", ["push -"], []),
    ("Pusher-v5", "push the cylinder not to the goal", ["push -"], []),
    ("Pusher-v5", "don't push the cylinder", ["avoid push +"], []),
    ("Pusher-v5", "push the cylinder away from the object", ["push +", "reach -"], []),
    ("HumanoidStandup-v5", "do not stand up", ["height -"], []),
    ("Humanoid-v5", "don't just stand there", ["move +"], []),
    ("InvertedPendulum-v5", "keep the pole upright near the center", ["balance +", "center +"], []),
    ("InvertedPendulum-v5", "stay within 2 m of the start", ["center + <=2"], []),
    ("Ant-v5", "walk near the start", ["roam +", "center +"], []),
    ("Ant-v5", "walk around the start at 1 m/s", ["roam + 1", "center +"], []),
    ("Ant-v5", "walk within 2 m of the start", ["roam +", "center + <=2"], []),
    ("Ant-v5", "walk forward near the start", ["move +", "center +"], []),
    ("Ant-v5", "go to the center", ["center +"], []),
    ("Ant-v5", "walk at least 2 m from the start", ["center + >=2"], []),
    ("Ant-v5", "stay at least 2 m from the start", ["center + >=2"], []),
    ("Ant-v5", "stay at least 2 m away from the start", ["center - >=2"], []),
    ("Ant-v5", "never go more than 2 m from the start", ["center + <=2"], []),
    ("Ant-v5", "go as far as possible from the start", ["center -"], []),
    ("Ant-v5", "never leave the start", ["avoid center -"], []),
    ("InvertedPendulum-v5", "swing the pendulum up", ["balance +"], []),
    ("InvertedDoublePendulum-v5", "balance the poles smoothly", ["balance +", "smooth +"], []),
    # what it cannot
    ("HalfCheetah-v5", "walk like a zombie", ["move +"], ["like a zombie"]),
    ("HalfCheetah-v5", "please dance the tango", [], ["dance", "tango"]),
    (
        "HalfCheetah-v5",
        "go forward then backward",
        ["move +"],
        ["then", "backward (excludes: go forward)"],
    ),
    ("HalfCheetah-v5", "run forward for 20 seconds", ["move +"], ["20 seconds"]),
    ("HalfCheetah-v5", "no moonwalking bananas", ["avoid move -"], ["not bananas"]),
    ("HalfCheetah-v5", "waltz forward", ["move +"], ["waltz"]),
    ("HalfCheetah-v5", "run at 99999999 m/s", ["move +"], ["99999999 m/s"]),
    ("HalfCheetah-v5", "run 3 times faster", ["move +"], ["3 times"]),
    ("HalfCheetah-v5", "walk with long strides", ["move +"], ["long", "strides"]),
    ("HalfCheetah-v5", "run forward with minimal joint movement", ["move +"], ["minimal"]),
    ("HalfCheetah-v5", "use 30 % power", [], ["30 %", "power"]),
    ("HalfCheetah-v5", "\u8d70\u308a\u306a\u3055\u3044", [], ["\u8d70\u308a\u306a\u3055\u3044"]),
    ("HalfCheetah-v5", "?!...", [], []),
]

MISSING = [
    ("HalfCheetah-v5", "spin", "spin (this task has no field for turning)"),
    (
        "HalfCheetah-v5",
        "move sideways",
        "move sideways (this task has no field for sideways speed)",
    ),
    ("Reacher-v5", "run forward", "run forward (this task has no field for forward speed)"),
    ("Reacher-v5", "jump", "jump (this task has no field for height)"),
    (
        "Ant-v5",
        "push the puck",
        "push the puck (this task has no field for a distance from object to goal)",
    ),
    ("Pusher-v5", "don't fall", "not fall (this task has no field for falling)"),
    (
        "HumanoidStandup-v5",
        "never jump higher than 1 m",
        "not jump higher than 1 m (this task has no field for height above the start)",
    ),
    ("Hopper-v5", "trot", "trot (this task has no field for the swing of two legs)"),
    ("Hopper-v5", "limp", "limp (this task has no field for the joints of two legs)"),
    ("HalfCheetah-v5", "march", "march (this task has no field for the lift of two thighs)"),
    ("Ant-v5", "prance", "prance (this task has no field for the lift of two thighs)"),
    ("Swimmer-v5", "gallop", "gallop (this task has no field for pitching)"),
    ("Hopper-v5", "tread softly", "tread softly (this task has no field for contact forces)"),
]


def shown(wish):
    words = ["avoid"] if wish.avoid else []
    words += [wish.kind, "+" if wish.sign > 0 else "-"]
    if wish.target is not None:
        words.append({"most": "<=", "least": ">=", "": ""}[wish.bound] + f"{wish.target:.6g}")
    return " ".join(words)


@pytest.mark.parametrize(("task", "sentence", "wishes", "left"), CASES, ids=[c[1] for c in CASES])
def test_a_sentence_means(task, sentence, wishes, left):
    familiar = bundled_tasks()[task].description

    understanding = understand(sentence, familiar)

    assert sorted(map(shown, understanding.wishes)) == sorted(wishes)
    assert list(understanding.not_understood) == left


@pytest.mark.parametrize(("task", "sentence", "reason"), MISSING, ids=[c[1] for c in MISSING])
def test_what_a_task_has_no_field_for_is_said(task, sentence, reason):
    wishes = understand(sentence).wishes

    assert reason in compose(wishes, Robot.of(bundled_tasks()[task])).missing


OTHER_WORDS = """
    present through original backyard strings leading related literal thought contract trailing
    optional delivery staring stating fathers sipping sanding leanings totting toughly
"""


@pytest.mark.parametrize("word", OTHER_WORDS.split())
def test_a_word_of_its_own_is_no_misspelt_one(word):
    assert spelt(word) == word


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("bakwards", "backward"),
        ("forwrad", "forward"),
        ("forwarrd", "forward"),
        ("straigt", "straight"),
        ("wihtout", "without"),
        # Another letter is no typing error, and only a swap is taken for a negation.
        ("forwerd", "forwerd"),
        ("withoout", "withoout"),
        ("preevent", "preevent"),
    ],
)
def test_a_letter_left_out_doubled_or_swapped_is_put_right(typed, meant):
    assert spelt(typed) == meant


def test_a_wish_is_told_as_read_and_reported_as_typed():
    understanding = understand("run bakwards")

    assert [wish.text for wish in understanding.wishes] == ["run backward"]
    assert understanding.as_typed("run backward (no field)") == "run bakwards (no field)"


def test_a_likeness_is_no_measure_and_a_liking_is_no_likeness():
    assert understand("walk like a zombie").style
    assert understand("run in the style of a horse").style
    assert not understand("I would like it to run").style


@pytest.mark.parametrize(
    "text",
    ["9" * 400 + " m/s", "run " * 2000, "'" * 500, "\x00\ud800 run", "not " * 500, "-", "1e999"],
)
def test_odd_texts_are_read_without_harm(text):
    understanding = understand(text)

    assert len(understanding.wishes) <= 2
