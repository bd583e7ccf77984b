"""The scene of a task is its model's, in numbers that a page can draw."""

import base64
import json

import numpy as np

from websim_sim_worker.scene import scene_json
from websim_sim_worker.tasks import bundled_names

HILLS = """<mujoco>
  <asset>
    <hfield name="hills" nrow="2" ncol="3" size="4 2 0.5 0.1" elevation="0 1 0  2 0 4"/>
    <hfield name="unused" nrow="2" ncol="2" size="1 1 1 1"/>
    <mesh name="unused" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/>
    <mesh name="wedge" vertex="0 0 0  2 0 0  0 2 0  0 0 2"/>
    <material name="red" rgba="1 0 0 1"/>
  </asset>
  <worldbody>
    <geom name="ground" type="hfield" hfield="hills" pos="0 0 -1"/>
    <geom name="floor" type="plane" size="0 0 1" pos="0 0 -0.25" material="red"/>
    <geom name="wall" type="plane" size="1 1 1" zaxis="1 0 0" pos="0 0 3"/>
    <body name="cart">
      <joint name="rail" type="slide" axis="1 0 0"/>
      <geom name="hull" type="mesh" mesh="wedge" rgba="0 1 0 0.5" group="1"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="rail" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def numbers(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_every_bundled_task_has_a_scene_with_all_its_geoms(make_task):
    for name in bundled_names():
        task = make_task(name)
        scene = json.loads(scene_json(task))
        assert scene["task"] == task.info.id
        assert len(scene["geoms"]) == task.model.ngeom
        assert len(scene["point_names"]) == scene["k"] == len(task.figure.names)
        assert scene["bones"] == [list(bone) for bone in task.figure.bones]


def test_meshes_height_fields_and_colours_are_there(make_custom):
    task = make_custom(model=HILLS)
    scene = json.loads(scene_json(task))
    ground, floor, _wall, hull = scene["geoms"]
    assert [each["type"] for each in scene["geoms"]] == ["hfield", "plane", "plane", "mesh"]
    assert (ground["hfield"], ground["mesh"], hull["hfield"], hull["mesh"]) == (0, None, None, 0)
    assert (hull["body"], hull["group"], hull["rgba"]) == ("cart", 1, [0, 1, 0, 0.5])
    assert floor["rgba"] == [1, 0, 0, 1], "its material's"
    [mesh] = scene["meshes"]
    vertices, faces = numbers(mesh["vertices"], "<f4"), numbers(mesh["faces"], "<u4")
    assert len(vertices) == 4 * 3
    assert faces.max() == 3
    assert np.ptp(vertices.reshape(4, 3), axis=0).max() > 1.9
    [hills] = scene["hfields"]
    assert (hills["rows"], hills["columns"], hills["size_m"]) == (2, 3, [4, 2, 0.5, 0.1])
    # MuJoCo's elevation attribute begins with the row of largest y; data begin with the smallest.
    assert np.array_equal(
        numbers(hills["heights"], "<f4").reshape(2, 3), np.float32([[0.5, 0, 1], [0, 0.25, 0]])
    )
    assert scene["ground_z_m"] == -0.25, "the wall is not the ground"
