"""Figures come from the model alone: whatever the robot, its points are where its shapes are."""

import mujoco
import numpy as np
import pytest

from websim_sim_worker.figure import MAX_POINTS, make_figure
from websim_sim_worker.tasks import bundled_names

PLANES = {
    "Ant-v5": "xz",
    "AntFast-v0": "xz",
    "HalfCheetah-v5": "xz",
    "Hopper-v5": "xz",
    "Humanoid-v5": "xz",
    "HumanoidFast-v0": "xz",
    "HumanoidStandup-v5": "xz",
    "InvertedDoublePendulum-v5": "xz",
    "InvertedPendulum-v5": "xz",
    "NLinkSwimmer-v0": "xy",
    "Pusher-v5": "xy",
    "Reacher-v5": "xy",
    "Swimmer-v5": "xy",
    "Walker2d-v5": "xz",
}


def model_of(body: str, options: str = "") -> mujoco.MjModel:
    xml = f"<mujoco><option {options}/>{ASSETS}<worldbody>{body}</worldbody></mujoco>"
    return mujoco.MjModel.from_xml_string(xml)


ASSETS = """<asset><mesh name="wedge" vertex="0 0 0  0.1 0 0  0 0.1 0  0 0 0.4"/>
  <material name="solid" rgba="1 0 0 1"/></asset>"""
ARM = """
<body name="upper" pos="0 0 1"><joint name="shoulder" axis="0 1 0"/>
  <geom type="mesh" mesh="wedge"/>
  <body name="fore" pos="0.5 0 0"><joint name="elbow" axis="0 1 0"/>
    <geom type="mesh" mesh="wedge"/>
  </body>
</body>"""


def figure_of(model: mujoco.MjModel):
    return make_figure(model, model.qpos0)


def places(model: mujoco.MjModel, figure, qpos=None) -> np.ndarray:
    """Points (p, 3) in the world, by MuJoCo's own kinematics."""
    data = mujoco.MjData(model)
    if qpos is not None:
        data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    turns = data.xmat.reshape(-1, 3, 3)[figure.bodies]
    return data.xpos[figure.bodies] + np.einsum("pij,pj->pi", turns, figure.local)


def test_every_bundled_task_has_a_figure_in_the_plane_it_moves_in(make_task):
    assert set(PLANES) == set(bundled_names())
    for name, plane in PLANES.items():
        figure = make_task(name).figure
        assert figure.plane == plane, name
        assert 3 <= len(figure.names) <= MAX_POINTS
        assert len(set(figure.names)) == len(figure.names)
        assert len(figure.radii) == len(figure.bones) >= 3
        used = {point for bone in figure.bones for point in bone}
        assert used == set(range(len(figure.names))), "no point is drawn for nothing"


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5"])
def test_both_ends_of_every_capsule_are_points(make_task, name):
    task = make_task(name)
    model, figure = task.model, task.figure
    rng = np.random.default_rng(5)
    data = mujoco.MjData(model)
    data.qpos[:] = model.qpos0 + rng.uniform(-0.5, 0.5, model.nq)
    mujoco.mj_normalizeQuat(model, data.qpos)
    mujoco.mj_kinematics(model, data)
    points = places(model, figure, data.qpos)
    for geom in range(model.ngeom):
        if model.geom_type[geom] == int(mujoco.mjtGeom.mjGEOM_CAPSULE):
            axis = data.geom_xmat[geom].reshape(3, 3)[:, 2] * model.geom_size[geom, 1]
            for end in (data.geom_xpos[geom] + axis, data.geom_xpos[geom] - axis):
                gap = np.linalg.norm(points - end, axis=1).min()
                # Ends that meet in a joint are one point: of the two, within their thickness.
                assert gap <= model.geom_size[:, 0][1:].max(), geom


def test_a_figure_is_of_one_piece(make_task):
    for name in ("HalfCheetah-v5", "Ant-v5", "Humanoid-v5", "Hopper-v5", "Walker2d-v5"):
        figure = make_task(name).figure
        reached, todo = {0}, [0]
        while todo:
            point = todo.pop()
            for bone in figure.bones:
                if point in bone:
                    new = set(bone) - reached
                    reached |= new
                    todo += new
        assert reached == set(range(len(figure.names))), name


def test_a_figure_stays_in_its_picture_while_it_stands(make_task):
    for name in bundled_names():
        task = make_task(name)
        figure = task.figure
        points = places(task.model, figure)
        if figure.root:
            data = mujoco.MjData(task.model)
            mujoco.mj_kinematics(task.model, data)
            points[:, :2] -= data.xpos[figure.root, :2]
        right, up = (points @ figure.projection.T).T
        left, bottom, most_right, top = figure.view
        assert left <= right.min(), name
        assert right.max() <= most_right, name
        assert bottom <= up.min(), name
        assert up.max() <= top, name
        # ... and fills a good part of it.
        assert max(np.ptp(right), np.ptp(up)) >= 0.3 * figure.extent_m, name


def test_a_robot_of_meshes_is_drawn_as_long_as_it_is():
    model = model_of(ARM)
    figure = figure_of(model)
    (low, high), (other_low, other_high) = ends_of(model, figure)[:2]
    for bottom, top, x in ((low, high, 0.0), (other_low, other_high, 0.5)):
        # A wedge stands on its body's origin, 0.4 m high and 0.1 m wide, slanted.
        assert top[2] - bottom[2] == pytest.approx(0.31, abs=0.03)
        assert (top[0] + bottom[0]) / 2 == pytest.approx(x, abs=0.05)
    assert len(figure.bones) == 3, "what does not touch is joined"
    assert (figure.plane, figure.root) == ("xz", 0)


def ends_of(model, figure):
    """The ends of each bone, the lower one first."""
    at = places(model, figure)
    return [sorted((at[a], at[b]), key=lambda end: end[2]) for a, b in figure.bones]


def slab(x: float, y: float, z: float) -> str:
    """Vertices of a box of these sides whose lowest corner is the origin."""
    return "  ".join(f"{a} {b} {c}" for a in (0, x) for b in (0, y) for c in (0, z))


SLABS = f"""<asset><mesh name="long" vertex="{slab(1.0, 0.1, 0.06)}"/>
  <mesh name="end" vertex="{slab(0.2, 0.1, 0.06)}"/></asset>"""


@pytest.mark.parametrize("turned", ["", 'euler="0 -90 0"'])
def test_a_mesh_alone_is_drawn_from_one_end_to_the_other(turned):
    body = f'<body name="plank"><freejoint/><geom type="mesh" mesh="long" {turned}/></body>'
    model = model_of(f"{body}</worldbody>{SLABS}<worldbody>")
    figure = figure_of(model)
    [bone] = figure.bones
    [radius] = figure.radii
    assert radius == pytest.approx((0.05 + 0.03) / 2)
    axis = np.array([0.0, 0.0, 1.0] if turned else [1.0, 0.0, 0.0])
    along = sorted(places(model, figure)[list(bone)] @ axis)
    assert along == pytest.approx([radius, 1.0 - radius])


def test_the_meshes_of_a_body_are_one_bone():
    parts = "".join(f'<geom type="mesh" mesh="end" pos="{0.2 * i} 0 0"/>' for i in range(5))
    model = model_of(f"<body><freejoint/>{parts}</body></worldbody>{SLABS}<worldbody>")
    figure = figure_of(model)
    assert figure.radii == pytest.approx([(0.05 + 0.03) / 2])
    ends = places(model, figure)[list(figure.bones[0])]
    assert sorted(ends[:, 0]) == pytest.approx([0.04, 0.96])
    assert ends[:, 1:] == pytest.approx(np.array([[0.05, 0.03]] * 2))


def test_a_thick_figure_fits_its_picture():
    figure = figure_of(
        model_of(
            """<body name="sled" pos="0 0 .1"><joint type="slide" axis="1 0 0"/>
            <joint type="slide" axis="0 1 0"/><geom size="0.02"/>
            <body name="head" pos="0 0 .1"><joint axis="0 0 1"/>
            <geom type="box" pos="0.05 0 0" size="0.1 0.1 0.1"/></body></body>"""
        )
    )
    left, bottom, right, top = figure.view
    assert max(figure.radii) == pytest.approx(0.1)
    # The box turns about the sled: it comes as far as it is thick beyond its middle.
    assert min(-left, -bottom, right, top) >= 0.05 + 0.1


def test_what_moves_along_y_and_up_is_seen_from_the_front():
    figure = figure_of(
        model_of(
            """<body name="cart"><joint type="slide" axis="0 1 0"/>
            <geom type="box" size=".1 .3 .1"/>
            <body name="pole"><joint axis="1 0 0"/><geom type="capsule" fromto="0 0 0 0 0 1"
            size=".05"/></body></body>"""
        )
    )
    assert figure.plane == "yz"
    assert np.array_equal(figure.projection, [[0, 1, 0], [0, 0, 1]])


def test_without_gravity_a_robot_is_seen_from_above():
    assert figure_of(model_of(ARM, 'gravity="0 0 0"')).plane == "xy"


def test_a_single_floating_body_is_a_figure():
    figure = figure_of(model_of('<body name="drone"><freejoint/><geom size="0.1"/></body>'))
    assert figure.names == ("drone",)
    assert figure.bones == ((0, 0),), "a dot"
    assert figure.radii == (0.1,)
    assert figure.root == 1


def test_shapes_for_collisions_and_invisible_ones_are_not_drawn():
    figure = figure_of(
        model_of(
            """<body name="a"><freejoint/><geom size="0.1"/>
            <geom type="capsule" fromto="0 0 0 1 0 0" size=".1" group="3"/>
            <geom type="capsule" fromto="0 0 0 0 1 0" size=".1" rgba="1 1 1 0"/>
            <geom type="capsule" fromto="0 0 0 0 0 1" size=".1" rgba="1 1 1 0" material="solid"/>
            </body>"""
        )
    )
    assert figure.bones == ((0, 0),)


def test_of_many_bodies_the_largest_are_drawn():
    chain = "".join(
        f'<body name="b{i}" pos="0.3 0 0"><joint axis="0 1 0"/>'
        f'<geom name="g{i}" type="capsule" fromto="0.02 0 0 0.28 0 0" size="{0.01 + 0.001 * i}"/>'
        f'<geom type="sphere" size="0.001" pos="0.1 0.{i + 1:02} 0.1"/>'
        for i in range(40)
    )
    figure = figure_of(model_of(chain + "</body>" * 40))
    assert MAX_POINTS - 1 <= len(figure.names) <= MAX_POINTS
    assert not any(start == end for start, end in figure.bones), "specks are left out first"


def test_a_model_in_which_nothing_is_to_be_seen_has_an_empty_figure():
    figure = figure_of(
        model_of('<body><joint/><inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/></body>')
    )
    assert figure.names == ()
    assert figure.bones == ()
    assert figure.extent_m > 0.0


def test_a_figure_is_the_same_each_time(make_task):
    task = make_task("Humanoid-v5")
    one, other = (make_figure(task.model, task.model.qpos0) for _ in range(2))
    assert one.bones == other.bones
    assert one.view == other.view
    assert np.array_equal(one.local, other.local)
