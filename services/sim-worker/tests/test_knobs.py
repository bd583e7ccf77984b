"""What each knob does to the physics, by hand and against models edited by hand."""

import copy

import mujoco
import numpy as np
import pytest

from websim.tasks import TaskError
from websim_sim_worker.tasks import bundled_names

BALL = """<mujoco>
  <option timestep="0.01" gravity="0 0 -10"/>
  <worldbody>
    <body name="ball">
      <joint name="fall" type="slide" axis="0 0 1"/><geom size="0.1" mass="2"/>
    </body>
    <body name="cart" pos="5 0 0">
      <joint name="rail" type="slide" axis="1 0 0" damping="4"/><geom size="0.1" mass="1"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="push" joint="rail" ctrlrange="-1 1" gear="3"/>
    <position name="servo" joint="rail" kp="2" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""
TASK = """
format: 1
id: Ball-v0
description: Fall.
model: {file: model.xml}
frame_skip: 1
max_episode_steps: 50
fields:
  cart_speed: {source: qvel, joint: rail, unit: m/s}
observation: [{source: qpos}, {source: qvel}]
KNOBS
reward: |
  def reward(state, action):
      return state.cart_speed
fitness:
  program: |
    def fitness(state, action):
        return state.cart_speed
  accumulate: last
  description: speed of the cart at the end
"""


@pytest.fixture
def make_knob(make_custom):
    """Compile the ball and the cart with the given knobs."""

    def make(knobs="", model=BALL):
        return make_custom(
            task=TASK.replace("KNOBS", f"knobs: {knobs}" if knobs else ""), model=model
        )

    return make


@pytest.fixture
def moved(make_knob, make_shard):
    """The acceleration of ball and cart in the first step from rest, with one knob at one value."""

    def accelerations(knob, value, action=(1.0, 0.0), model=BALL):
        shard = make_shard(make_knob(f"{{it: {knob}}}", model), 1)
        shard.set_knobs({"it": (value, value)})
        shard.reset()
        shard.set_state(0, np.zeros(2), np.array([0.0, 1.0]))
        obs = shard.step(np.array([action], np.float32)).obs[0]
        # Euler, one step of 0.01 s: a = dv / dt; damping is implicit: (m + h d) dv = h F.
        return (obs[2] / 0.01, (obs[3] - 1.0) / 0.01)

    return accelerations


def test_nominal_accelerations_are_newtons(moved):
    # Ball: -10. Cart: (3 N - 4 N s/m * 1 m/s) / (1 kg + 0.01 s * 4 N s/m).
    fall, cart = moved("{target: gravity, range: [0, 2]}", 1.0)
    assert fall == pytest.approx(-10.0)
    assert cart == pytest.approx(-1.0 / 1.04)


@pytest.mark.parametrize(
    ("knob", "value", "fall", "cart"),
    [
        ("{target: gravity, range: [0, 2]}", 0.5, -5.0, -1.0 / 1.04),
        ("{target: gravity, kind: set, range: [1, 20]}", 3.7, -3.7, -1.0 / 1.04),
        # Twice the mass: the fall is as fast, the cart half as quick to change.
        ("{target: mass, range: [0.5, 2]}", 2.0, -10.0, -1.0 / 2.04),
        ("{target: mass, body: ball, range: [0.5, 2]}", 2.0, -10.0, -1.0 / 1.04),
        ("{target: mass, body: cart, kind: set, range: [0.5, 5]}", 4.0, -10.0, -1.0 / 4.04),
        ("{target: damping, range: [0, 2]}", 0.5, -10.0, 1.0 / 1.02),
        ("{target: damping, joint: rail, kind: set, range: [0, 6]}", 6.0, -10.0, -3.0 / 1.06),
        ("{target: actuator_strength, range: [0, 2]}", 2.0, -10.0, 2.0 / 1.04),
        ("{target: actuator_strength, actuator: servo, range: [0, 2]}", 0.0, -10.0, -1.0 / 1.04),
    ],
)
def test_a_knob_changes_the_acceleration_as_newton_says(moved, knob, value, fall, cart):
    assert moved(knob, value) == pytest.approx((fall, cart))


def test_the_strength_of_a_servo_scales_its_whole_force(moved):
    # kp 2, at position 0, wanted 0.5: 1 N; half as strong: 0.5 N. The motor does nothing.
    knob = "{target: actuator_strength, actuator: servo, range: [0, 2]}"
    assert moved(knob, 1.0, (0.0, 0.5))[1] == pytest.approx((1.0 - 4.0) / 1.04)
    assert moved(knob, 0.5, (0.0, 0.5))[1] == pytest.approx((0.5 - 4.0) / 1.04)
    limited = BALL.replace('kp="2"', 'kp="2" forcerange="-0.5 0.5" forcelimited="true"')
    assert moved(knob, 1.0, (0.0, 0.5), limited)[1] == pytest.approx((0.5 - 4.0) / 1.04)
    assert moved(knob, 0.5, (0.0, 0.5), limited)[1] == pytest.approx((0.25 - 4.0) / 1.04)


def test_gravity_halved_halves_the_fall(make_knob, make_shard):
    shard = make_shard(make_knob("{g: {target: gravity, range: [0, 2]}}"), 2)
    shard.set_knobs({"g": (0.5, 0.5)})
    shard.reset()
    for _ in range(20):
        result = shard.step(np.zeros((2, 2), np.float32))
    # Semi-implicit Euler: z = -g h^2 (1 + ... + 20)
    assert result.obs[:, 0] == pytest.approx(-5.0 * 1e-4 * 210)


SLOPE = """<mujoco>
  <option timestep="0.005" gravity="3 0 -9.81" cone="elliptic"/>
  <worldbody>
    <geom type="plane" size="9 9 1" friction="0.6"/>
    <body name="box" pos="0 0 0.1">
      <freejoint name="rail"/><geom type="box" size="0.1 0.1 0.1" friction="0.6"/>
    </body>
  </worldbody>
  <actuator><adhesion body="box" ctrlrange="0 1"/></actuator>
</mujoco>
"""


def test_friction_decides_whether_a_box_slides(make_shard, make_custom):
    knobs = "knobs: {f: {target: friction, range: [0.01, 2]}}"
    columns = ("joint: rail, unit", "joint: rail, columns: 0, unit")
    task = make_custom(task=TASK.replace("KNOBS", knobs), model=SLOPE, changes=[columns])
    shard = make_shard(task, 1)

    def slid(value):
        shard.set_knobs({"f": (value, value)})
        shard.reset()
        return [shard.step(np.zeros((1, 1), np.float32)).obs[0, 0] for _ in range(40)][-1]

    # A slope of 3 / 9.81 = 0.31. Friction of 0.6 holds the box; 0.18 lets it go with 1.23 m/s2.
    assert slid(1.0) == pytest.approx(0.0, abs=2e-3)
    assert slid(0.3) == pytest.approx(0.5 * (3.0 - 0.18 * 9.81) * 0.2**2, rel=0.1)
    assert slid(1.0) == pytest.approx(0.0, abs=2e-3)


FIELD = """<mujoco>
  <option timestep="0.01"/>
  <asset>
    <hfield name="hill" nrow="3" ncol="3" size="4 4 0.5 0.1" elevation="1 1 1 1 1 1 1 1 0"/>
  </asset>
  <worldbody>
    <geom name="ground" type="hfield" hfield="hill"/>
    <body name="ball" pos="-1 1 1.2"><joint name="rail" type="slide" axis="0 0 1"/>
    <geom size="0.1" mass="1"/></body>
  </worldbody>
  <actuator><motor joint="rail" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def test_terrain_is_as_high_as_its_knob_says(make_knob, make_shard):
    shard = make_shard(make_knob("{t: {target: terrain, range: [0.5, 2.0]}}", FIELD), 2)
    rest = {}
    for value in (1.0, 0.5, 2.0):
        shard.set_knobs({"t": (value, value)})
        shard.reset()
        heights = [shard.step(np.zeros((2, 1), np.float32)).obs[:, 0] + 1.2 for _ in range(49)]
        rest[value] = heights[-1] - 0.1
    # A plateau 0.5 m high under the ball, at half and at twice the height.
    for value, height in rest.items():
        assert height == pytest.approx(0.5 * value, abs=0.02), value


def edited(model, factors):
    """The model as somebody would edit it by hand, and its data."""
    model = copy.deepcopy(model)
    model.opt.gravity *= factors["gravity"]
    model.body_mass *= factors["mass"]
    model.body_inertia *= factors["mass"]
    model.geom_friction[:, 0] *= factors["friction"]
    model.dof_damping *= factors["damping"]
    model.actuator_gainprm[:, :3] *= factors["actuator_strength"]
    model.actuator_biasprm[:, :3] *= factors["actuator_strength"]
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model, mujoco.MjData(model)


@pytest.mark.parametrize("task", ["HalfCheetah-v5", "Hopper-v5", "Ant-v5", "Humanoid-v5"])
def test_shards_equal_models_edited_by_hand_bit_for_bit(
    make_shard, random_actions, make_task, task
):
    base = make_task(task, max_episode_steps=25)
    names = ("gravity", "mass", "friction", "damping", "actuator_strength")
    shard = make_shard(base, 5, seed=4, nthread=2)
    infos = {knob.name: knob for knob in base.info.knobs}
    shard.set_knobs({name: (infos[name].hard_low, infos[name].hard_high) for name in names})
    shard.reset()
    seen = set()
    for action in random_actions(shard, 60):
        states = [shard.env_state(env) for env in range(5)]
        whole = shard.snapshot()["state"]
        result = shard.step(action)
        for env, state in enumerate(states):
            factors = {name: float(state.fields[f"knob:{name}"]) for name in names}
            seen.add((env, *factors.values()))
            assert all(infos[n].hard_low <= factors[n] <= infos[n].hard_high for n in names)
            if env in result.ended:
                continue
            model, data = edited(base.model, factors)
            mujoco.mj_setState(model, data, whole[env], mujoco.mjtState.mjSTATE_INTEGRATION)
            data.ctrl[:] = action[env]
            mujoco.mj_step(model, data, base.frame_skip)
            after = shard.env_state(env)
            assert np.array_equal(after.qpos, data.qpos)
            assert np.array_equal(after.qvel, data.qvel)
    # Each environment drew anew for each of its episodes.
    assert len(seen) >= 5 * 3


@pytest.mark.parametrize("task", bundled_names())
def test_knobs_turned_back_leave_no_trace(make_shard, random_actions, task):
    """An expanded, nominal batch has the bits of one that was never touched."""
    plain, turned = (make_shard(task, 3, max_episode_steps=20) for _ in range(2))
    infos = turned.task.info.knobs
    start = plain.snapshot()
    turned.set_knobs({knob.name: (knob.low, knob.high) for knob in infos})
    turned.reset()
    for action in random_actions(turned, 5):
        turned.step(action)
    turned.restore(start)
    assert turned.env_state(0).fields[f"knob:{infos[0].name}"] == infos[0].nominal
    for action in random_actions(plain, 45):
        one, other = plain.step(action), turned.step(action)
        assert np.array_equal(one.obs, other.obs)
        assert np.array_equal(one.reward, other.reward)


def test_a_shard_whose_knobs_nobody_turned_is_as_ever(make_shard):
    shard = make_shard("HalfCheetah-v5", 3)
    shard.set_knobs({"gravity": (1.0, 1.0), "push": (0.0, 0.0)})
    shard.reset()
    assert not [name for name in shard.snapshot() if "knob" in name]
    assert shard._batch.expanded("body_mass") is None


def test_values_are_drawn_at_episode_begins_whoever_else_ends(make_shard):
    one, other = (make_shard("Hopper-v5", 4, seed=7) for _ in range(2))
    for shard in (one, other):
        shard.set_knobs({"mass": (0.5, 2.0)})
    masses = [[float(s.env_state(e).fields["knob:mass"]) for e in range(4)] for s in (one, other)]
    assert masses == [[1.0] * 4] * 2, "nothing changes before an episode begins"
    one.reset()
    other.reset(mask=np.array([False, True, False, False]))
    masses = [[float(s.env_state(e).fields["knob:mass"]) for e in range(4)] for s in (one, other)]
    assert masses[1][1] == masses[0][1]
    assert masses[1][0] == masses[1][2] == masses[1][3] == 1.0
    assert len(set(masses[0])) == 4


def test_values_fill_their_range_evenly(make_shard):
    shard = make_shard("InvertedPendulum-v5", 4000)
    shard.set_knobs({"gravity": (0.5, 1.5)})
    shard.reset()
    values = np.sort(shard.snapshot()["knob_values"][:, 0])
    assert values[0] >= 0.5
    assert values[-1] <= 1.5
    # Kolmogorov-Smirnov against the uniform distribution; 0.1 % critical value.
    expected = 0.5 + (np.arange(4000) + 0.5) / 4000
    assert np.abs(values - expected).max() < 1.95 / np.sqrt(4000)


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"gravitas": (1.0, 1.0)}, "no knob 'gravitas'; did you mean 'gravity'?"),
        (
            {"gravity": (0.5, 3.0)},
            r"\[0.5, 3\] is no range of the knob gravity; choose low and high",
        ),
        ({"gravity": (1.2, 0.8)}, "is no range"),
        ({"push": (float("nan"), 1.0)}, "is no range"),
        ({"push": (0.0, float("inf"))}, "from 0 to 200 N"),
    ],
)
def test_bad_ranges_are_refused_and_change_nothing(make_shard, ranges, words):
    shard = make_shard("HalfCheetah-v5", 2)
    with pytest.raises(TaskError, match=words):
        shard.set_knobs({"mass": (0.5, 2.0), **ranges})
    shard.reset()
    assert "knob_values" not in shard.snapshot()


def test_a_task_without_knobs_says_so(make_shard, make_knob):
    with pytest.raises(TaskError, match="no knob 'mass'; it has none"):
        make_shard(make_knob(), 1).set_knobs({"mass": (1.0, 1.0)})


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ("{m: {target: mass, body: bal, range: [1, 2]}}", "no body 'bal'; did you mean 'ball'?"),
        (
            "{m: {target: mass, joint: rail, range: [1, 2]}}",
            "mass is selected by body, not by joint",
        ),
        ("{g: {target: gravity, body: ball, range: [1, 2]}}", "gravity is of the whole model"),
        ("{m: {target: mass, range: [0, 2]}}", "low and high are from 0.001 to 100"),
        ("{m: {target: mass, range: [1.5, 2]}}", "does not hold 1, which is what the model has"),
        ("{m: {target: mass, range: [0.5, 2], hard: 3}}", "hard is not within the range"),
        ("{m: {target: mass, kind: set, range: [0.5, 3]}}", "differ in mass"),
        ("{m: {target: mass, range: [0.5, 3], nominal: 2}}", "nominal is 2, but the model has 1"),
        ("{m: {target: mass, range: [1, 2], period_s: 1}}", "'period_s' belongs to a push"),
        ("{d: {target: damping, joint: fall, range: [0, 2]}}", "nothing selected has any damping"),
        ("{t: {target: terrain, range: [0.5, 2]}}", "terrain is about geoms with a height field"),
        ("{p: {target: push, body: world, range: [0, 9]}}", "about one body, and not the world"),
        ("{p: {target: push, range: [0, 9], kind: scale}}", "there is none to scale"),
        ("{p: {target: push, range: [0, 9], duration_s: 3}}", "a push lasts less than its period"),
        ("{p: {target: wind, range: [0, 9]}}", "'wind' is not one of gravity, mass"),
        (
            "{a: {target: mass, range: [1, 2]}, b: {target: mass, body: ball, range: [1, 2]}}",
            "the knobs a and b both move body_mass",
        ),
    ],
)
def test_what_a_knob_cannot_be_is_said(make_knob, knobs, words):
    with pytest.raises(TaskError, match=words):
        make_knob(knobs)


@pytest.mark.parametrize("kind", ["scale", "set"])
def test_friction_of_nothing_is_no_knob(make_knob, kind):
    of_mass = '<inertial pos="0 0 0" mass="{}" diaginertia="1 1 1"/>'
    model = BALL.replace('<geom size="0.1" mass="2"/>', of_mass.format(2))
    model = model.replace('<geom size="0.1" mass="1"/>', of_mass.format(1))
    with pytest.raises(TaskError, match="the model has no geoms whose friction could change"):
        make_knob(f"{{f: {{target: friction, kind: {kind}, range: [0.5, 2]}}}}", model)


def test_a_knob_is_described_with_its_numbers(make_knob):
    info = make_knob(
        "{w: {target: mass, body: ball, kind: set, range: [1, 4], hard: 3, description: of it}}"
    ).info.knobs[0]
    assert (info.name, info.nominal, info.low, info.high) == ("w", 2.0, 1.0, 4.0)
    assert (info.hard_low, info.hard_high, info.unit) == (2.0, 3.0, "kg")
    assert info.description == "of it"
