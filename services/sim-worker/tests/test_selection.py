"""Every source and every way to select from it, against MuJoCo's own arrays."""

import mujoco
import numpy as np
import pytest

from websim.tasks import TaskError
from websim.tasks.document import Source
from websim_sim_worker.selection import select

ROBOT = """<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1"/>
    <body name="torso" pos="0 0 0.5">
      <freejoint name="root"/>
      <geom name="trunk" type="box" size="0.2 0.1 0.05"/>
      <body name="head" pos="0.3 0 0">
        <joint name="neck" type="ball"/>
        <geom name="skull" size="0.08"/><site name="eye" pos="0.08 0 0"/>
      </body>
      <body name="leg" pos="-0.2 0 0">
        <joint name="hip" axis="0 1 0" range="-60 60" damping="0.1"/>
        <geom name="shank" type="capsule" fromto="0 0 0 0 0 -0.3" size="0.03"/>
        <body pos="0 0 -0.3">
          <joint name="knee" axis="0 1 0" range="-90 0" damping="0.1"/>
          <geom type="capsule" fromto="0 0 0 0 0 -0.2" size="0.03"/>
          <site name="toe" pos="0 0 -0.2"/>
        </body>
      </body>
    </body>
  </worldbody>
  <tendon>
    <fixed name="cord"><joint joint="hip" coef="1"/><joint joint="knee" coef="-0.5"/></fixed>
  </tendon>
  <actuator>
    <motor name="hip" joint="hip" ctrlrange="-1 1" gear="5"/>
    <general name="knee" joint="knee" ctrlrange="-1 1" dyntype="filter" dynprm="0.1" gainprm="5"/>
  </actuator>
  <sensor>
    <gyro name="spin" site="eye"/><jointpos name="bend" joint="hip"/>
    <touch name="touch" site="toe"/>
  </sensor>
</mujoco>
"""

FIELDS = {
    # field: (its line in the file, the same from MjData)
    "now": ("source: time", lambda d: d.time),
    "all_qpos": ("source: qpos", lambda d: d.qpos),
    "height": ("source: qpos, joint: root, columns: 2", lambda d: d.qpos[2]),
    "tilt": ('source: qpos, joint: root, columns: "3:"', lambda d: d.qpos[3:7]),
    "neck": ("source: qpos, joint: neck", lambda d: d.joint("neck").qpos),
    "bends": ("source: qpos, joint: [knee, hip]", lambda d: d.qpos[[12, 11]]),
    "last": ("source: qpos, columns: -1", lambda d: d.qpos[-1]),
    "spin": ('source: qvel, joint: root, columns: "3:6"', lambda d: d.qvel[3:6]),
    "neck_rate": ("source: qvel, joint: neck", lambda d: d.joint("neck").qvel),
    "hinges": ('source: qvel, joint: "2:"', lambda d: d.qvel[9:]),
    "push": ("source: qacc, joint: hip", lambda d: d.joint("hip").qacc[0]),
    "damping": ("source: qfrc_passive, joint: hip", lambda d: d.qfrc_passive[9]),
    "motors": ("source: qfrc_actuator, joint: [hip, knee]", lambda d: d.qfrc_actuator[9:]),
    "held": ("source: qfrc_constraint, joint: root", lambda d: d.qfrc_constraint[:6]),
    "filter": ("source: act, actuator: knee", lambda d: d.act[0]),
    "asked": ("source: ctrl", lambda d: d.ctrl),
    "force": ("source: actuator_force, actuator: hip", lambda d: d.actuator_force[0]),
    "speeds": ("source: actuator_velocity", lambda d: d.actuator_velocity),
    "lengths": ("source: actuator_length", lambda d: d.actuator_length),
    "torso": ("source: xpos, body: torso", lambda d: d.body("torso").xpos),
    "head_x": ("source: xpos, body: head, columns: 0", lambda d: d.body("head").xpos[0]),
    "by_number": ("source: xpos, body: 4", lambda d: d.xpos[4]),
    "by_parameter": ("source: xpos, body: $main_body", lambda d: d.body("leg").xpos),
    "heights": ("source: xipos, body: [leg, head], columns: 2", lambda d: d.xipos[[3, 2], 2]),
    "plane": ('source: xipos, body: "1:3", columns: [2, 0]', lambda d: d.xipos[1:3][:, [2, 0]]),
    "facing": ("source: xquat, body: head", lambda d: d.body("head").xquat),
    "axes": ("source: xmat, body: head", lambda d: d.body("head").xmat),
    "subtree": ("source: subtree_com, body: leg", lambda d: d.subtree_com[3]),
    "moving": ('source: cvel, body: "1:"', lambda d: d.cvel[1:]),
    "inertia": ("source: cinert, body: torso", lambda d: d.cinert[1]),
    "skull": ("source: geom_xpos, geom: skull", lambda d: d.geom("skull").xpos),
    "eye": ("source: site_xpos, site: eye", lambda d: d.site("eye").xpos),
    "gaze": ("source: site_xmat, site: eye, columns: [0, 3, 6]", lambda d: d.site_xmat[0, ::3]),
    "cord": ("source: ten_length, tendon: cord", lambda d: d.ten_length[0]),
    "pull": ("source: ten_velocity", lambda d: d.ten_velocity),
    "gyro": ("source: sensordata, sensor: spin", lambda d: d.sensor("spin").data),
    "toe": ("source: sensordata, sensor: touch", lambda d: d.sensor("touch").data[0]),
    "sensed": ('source: sensordata, columns: "1:4"', lambda d: d.sensordata[1:4]),
    "clipped": ("source: qvel, clip: [-0.1, 0.1]", lambda d: np.clip(d.qvel, -0.1, 0.1)),
    "sine": ("sin: bends", lambda d: np.sin(d.qpos[[12, 11]])),
    "reach": ("difference: [eye, torso]", lambda d: d.site("eye").xpos - d.body("torso").xpos),
    "far": (
        'expression: "np.linalg.norm(state.reach, axis=1) + state.now"',
        lambda d: np.linalg.norm(d.site("eye").xpos - d.body("torso").xpos) + d.time,
    ),
}

TASK = """
format: 1
id: Robot-v0
description: Move.
model: {{file: model.xml}}
frame_skip: 3
max_episode_steps: 50
parameters: {{main_body: leg}}
fields:
{fields}
observation:
  - far
  - time_s
  - {{source: center_of_mass, columns: "0:2"}}
  - {{source: qpos, columns: [3, 1]}}
  - {{source: xpos, body: "1:", clip: [-0.2, 0.2]}}
  - {{source: qvel}}
reward: |
  def reward(state, action):
      return state.far
fitness:
  program: "def fitness(state, action): return state.far"
  accumulate: last
  description: how far
""".format(fields="\n".join(f"  {name}: {{{line}}}" for name, (line, _) in FIELDS.items()))


def observe(model, data):
    """The observation of TASK, from MjData."""
    center = model.body_mass @ data.xipos / model.body_mass.sum()
    return np.concatenate(
        [
            [FIELDS["far"][1](data), data.time],
            center[:2],
            data.qpos[[3, 1]],
            np.clip(data.xpos[1:], -0.2, 0.2).ravel(),
            data.qvel,
        ]
    )


@pytest.fixture
def robot(make_shard, make_custom):
    return make_shard(make_custom(task=TASK, model=ROBOT), 3)


def test_fields_and_observations_are_mujocos_own_numbers(robot, random_actions):
    """One environment of a shard beside a loop over one MjData, through a fall and contacts."""
    model = robot.task.model
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    columns = {field.name: field.columns for field in robot.task.info.fields}
    for action in random_actions(robot, 40):
        result = robot.step(action, list(FIELDS))
        data.ctrl[:] = action[1]
        mujoco.mj_step(model, data, nstep=3)
        for name, (_, expected) in FIELDS.items():
            want = np.asarray(expected(data)).ravel()
            got = result.fields[name][1]
            assert got.shape == ((columns[name],) if columns[name] else ()), name
            assert got == pytest.approx(want if columns[name] else want[0], abs=1e-12), name
        assert result.obs[1] == pytest.approx(observe(model, data), abs=1e-12)
    assert data.ncon > 0


def test_env_state_gives_the_same_fields_at_the_current_state(robot, random_actions):
    model = robot.task.model
    for action in random_actions(robot, 10):
        robot.step(action)
    state = robot.env_state(2)
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.time = state.qpos, state.qvel, state.time_s
    data.ctrl[:], data.act[:] = state.fields["asked"], state.fields["filter"]
    mujoco.mj_forward(model, data)
    for name in ("height", "eye", "gyro", "reach", "moving", "cord", "force", "now"):
        want = np.asarray(FIELDS[name][1](data)).ravel()
        assert state.fields[name].ravel() == pytest.approx(want, abs=1e-9), name


def test_observation_columns_have_names(robot):
    names = robot.task.info.obs_names
    assert names[:6] == (
        "far",
        "time_s",
        "center_of_mass[0]",
        "center_of_mass[1]",
        "qpos.root[3]",
        "qpos.root[1]",
    )
    assert "xpos.body4[2]" in names
    assert names[-1] == "qvel.knee"
    assert len(set(names)) == len(names) == robot.obs_dim
    assert robot.task.info.action_names == ("hip", "knee")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (Source("xpos", "body", "nose"), "no body 'nose'; it has world, torso, head"),
        (Source("xpos", "body", "tosro"), "did you mean 'torso'"),
        (Source("xpos", "body", 9), "there is no body 9; the model has 5"),
        (Source("xpos", "body", "7:"), "body '7:' selects nothing"),
        (Source("xpos", "joint", "hip"), "selected by body, not by joint"),
        (Source("center_of_mass", "body", "leg"), "selected by columns only, not by body"),
        (Source("xpos", "body", "leg", 3), "no column 3; xpos has 3 here"),
        (Source("xpos", "body", "leg", -4), "no column -4"),
        (Source("xpos", "body", "leg", "2:1"), "no column of xpos is selected"),
        (Source("xpos", "body", "$speed"), "0.5 does not name a body"),
        (Source("xpos", "body", "$upright"), "True does not name a body"),
        (Source("xpos", "body", "--1:"), "no body '--1:'"),
        (Source("xpos", "body", "leg", "-:2"), "'-:2' is no range of columns"),
        (Source("act", "actuator", "hip"), "no column of act is selected"),
    ],
)
def test_a_selection_of_nothing_is_refused(source, line):
    model = mujoco.MjModel.from_xml_string(ROBOT)
    with pytest.raises(TaskError, match=line.replace("(", "[(]")):
        select(source, model, {"speed": 0.5, "upright": True}, "task.yaml")
