"""Hostile and broken models: refused before MuJoCo sees them, each in one line with its place."""

import random
import xml.etree.ElementTree as ElementTree

import pytest

from websim.tasks import TaskBundle, TaskError, load_bundle
from websim.tasks.assets import check_assets
from websim.tasks.mjcf import check_mjcf

GOOD = """<?xml version="1.0" encoding="utf-8"?>
<!-- a cart -->
<mujoco model="cart &amp; rail">
  <option timestep="0.01"
    gravity="0 0 -9.81"/>
  <asset><mesh name="wheel" file="wheel.stl"/></asset>
  <worldbody>
    <replicate count="3" offset="1 0 0">
      <body name="cart"><joint name="rail" type="slide"/><geom type="mesh" mesh="wheel"/></body>
    </replicate>
  </worldbody>
</mujoco>
"""


def model(worldbody="", **parts):
    """Write a model: a worldbody, and other parts by element name."""
    others = "".join(parts.values())
    return f"<mujoco>\n{others}\n<worldbody>{worldbody}</worldbody>\n</mujoco>"


def nest(element, depth):
    return f"<{element}>" * depth + f"</{element}>" * depth


REFUSED = [
    # Files of the machine, by every door
    (model(x='<include file="/etc/passwd"/>'), "<include> is not allowed"),
    (model('<body><include file="../other.xml"/></body>'), "<include> is not allowed"),
    (model(x='<asset><texture name="t" file="/etc/passwd"/></asset>'), "not a plain file name"),
    (model(x='<asset><texture type="cube" fileback="../x.png"/></asset>'), "not a plain file"),
    (model(x='<asset><hfield name="h" file="C:\\secret.png"/></asset>'), "not a plain file name"),
    (model(x='<asset><mesh file="a/../../b.stl"/></asset>'), "not a plain file name"),
    (model(x='<asset><mesh file=".hidden.stl"/></asset>'), "not a plain file name"),
    (model(x='<asset><mesh file=""/></asset>'), "not a plain file name"),
    (model(x='<asset><mesh file="&#47;etc&#47;x.stl"/></asset>'), "not a plain file name"),
    (model(x='<asset><model file="other.xml"/></asset>'), "<model> is not allowed"),
    (model('<attach model="other" body="x"/>'), "<attach> is not allowed"),
    (model(x='<compiler meshdir="/etc"/>'), "meshdir is not allowed"),
    (model(x='<compiler texturedir=".."/>'), "texturedir is not allowed"),
    (model(x='<compiler assetdir="/"/>'), "assetdir is not allowed"),
    (model('<flexcomp name="f" type="mesh" file="/dev/zero"/>'), "not a plain file name"),
    # Code of others
    (model(x='<extension><plugin plugin="mujoco.sdf"/></extension>'), "<extension> is not allowed"),
    (model('<body><plugin plugin="mujoco.elasticity.cable"/></body>'), "<plugin> is not allowed"),
    # XML's own tricks
    ('<!DOCTYPE mujoco [<!ENTITY a "b">]>' + model(), "DOCTYPE or entity"),
    ('<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + model("&x;"), "DOCTYPE or entity"),
    ('<!DOCTYPE mujoco SYSTEM "http://localhost/x.dtd">' + model(), "DOCTYPE or entity"),
    ("<?xml-stylesheet href='x'?>" + model(), "instruction <.xml-stylesheet.> is not allowed"),
    (model("<geom size='1'"), "not XML"),
    (model("<geom size='1' size='2'/>"), "not XML: duplicate attribute"),
    (model("<geom>hello</geom>"), "text outside of elements: 'hello'"),
    (model("<![CDATA[<include file='/etc/passwd'/>]]>"), "text outside of elements"),
    (model("&undefined;"), "not XML: undefined entity"),
    ("<robot><link/></robot>", "the root element is <robot>"),
    ("<mujoco/><mujoco/>", "not XML"),
    ("", "not XML"),
    (model().encode("utf-16"), "not UTF-8"),
    (model().replace("<mujoco>", "\x00<mujoco>", 1), "zero byte"),
    (b'<?xml version="1.0" encoding="utf-7"?>' + model("+ADw-include/+AD4-").encode(), "text outs"),
    (model('<m:body xmlns:m="x"/>'), "<m:body> is not an element of MJCF"),
    (model(x='<compiler><lengthrange inttotal="1e9"/></compiler>'), "<lengthrange> is not an elem"),
    (model("<script/>"), "<script> is not an element of MJCF"),
    # Bombs
    (model(nest("body", 150)), "nested more than 128 deep"),
    (model("<geom/>" * 20_001), "more than 20000 elements"),
    (model('<replicate count="1000000"><geom/></replicate>'), "makes 1000000 copies; at most 1000"),
    (
        model('<replicate count="200">' * 3 + "<geom/>" + "</replicate>" * 3),
        "more than 20000 elements, copies counted",
    ),
    (model('<flexcomp name="f" count="300 300 300"/>'), "makes 27000000 copies"),
    (model('<composite type="cable" count="5 1 1"/>'), "<composite> is not an element"),
    (model('<replicate count="1e9"><geom/></replicate>'), "'1e9' of <replicate> is not a whole"),
    (model('<replicate count="-5 x"/>'), "is not a whole number"),
    (model('<replicate count="99999999999999999999"/>'), "is not a whole number in bounds"),
    (model(x='<size memory="100G"/>'), "memory='100G' is above 268435456 bytes"),
    (model(x='<size memory="1E"/>'), "memory='1E' of <size> is not|is not a whole number"),
    (model(x='<size nuserdata="2000000000"/>'), "nuserdata='2000000000' is above 10000"),
    (model(x='<size nuser_geom="1000000000"/>'), "nuser_geom='1000000000' is above 100"),
    (model(x='<size nkey="100000000"/>'), "nkey='100000000' is above 1000"),
    (model(x='<size nstack="2000000000"/>'), "nstack='2000000000' is above"),
    (model(x='<option iterations="1000000000"/>'), "iterations='1000000000' is above 200"),
    (model(x='<option ls_iterations="1000"/>'), "ls_iterations='1000' is above 200"),
    (
        model(x='<asset><hfield name="h" nrow="60000" ncol="60000" size="1 1 1 1"/></asset>'),
        "nrow='60000' is above 500",
    ),
    (
        model(x='<asset><texture builtin="flat" width="100000" height="9"/></asset>'),
        "width='100000' is above 2048",
    ),
    (model('<camera resolution="100000 100000"/>'), "resolution='100000 100000' is above 2048"),
    (model(x='<custom><numeric name="n" size="100000000"/></custom>'), "is above 10000"),
    (
        model(x='<sensor><clock nsample="100000000"/></sensor>'),
        "nsample='100000000' is above 1000",
    ),
    ("<mujoco>" + " " * (2 * 1024 * 1024) + "</mujoco>", "at most 2097152 are read"),
]


@pytest.mark.parametrize(("source", "line"), REFUSED, ids=[line[:40] for _, line in REFUSED])
def test_a_hostile_model_is_refused_in_one_line(source, line):
    content = source if isinstance(source, bytes) else source.encode()
    with pytest.raises(TaskError, match=line) as caught:
        check_mjcf(content, "model.xml")
    message = str(caught.value)
    assert message.startswith("model.xml")
    assert "\n" not in message
    assert len(message) < 300


def test_a_good_model_is_written_anew_with_its_lines_in_place():
    checked = check_mjcf(GOOD.encode(), "model.xml")
    assert checked.assets == ("wheel.stl",)
    assert "<!--" not in checked.text
    given, written = ElementTree.fromstring(GOOD), ElementTree.fromstring(checked.text)
    for one, other in zip(given.iter(), written.iter(), strict=True):
        assert (one.tag, one.attrib) == (other.tag, other.attrib)
    lines = checked.text.splitlines()
    assert '<joint name="rail"' in lines[8]


def test_a_refusal_names_the_line_and_the_element():
    with pytest.raises(TaskError, match=r"model.xml line 3, in <worldbody>: <include>"):
        check_mjcf(model('<include file="x.xml"/>').encode(), "model.xml")


def test_mutated_models_are_judged_without_a_crash():
    """Whatever bytes come: an accepted text, or one line."""
    rng = random.Random(3)
    pieces = [b"<", b">", b"/", b'"', b"&", b"<!", b"]]>", b"\xff", b"<body>", b'file="/x"', b"\0"]
    accepted, messages = 0, []
    for _ in range(3_000):
        content = bytearray(GOOD.encode())
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(content))
            content[at : at + rng.randint(0, 6)] = rng.choice(pieces)
        try:
            checked = check_mjcf(bytes(content), "model.xml")
        except TaskError as error:
            messages.append(str(error))
        else:
            accepted += 1
            ElementTree.fromstring(checked.text)
    assert not any("\n" in message for message in messages)
    assert accepted < 2_000


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
STL = bytes(80) + (1).to_bytes(4, "little") + bytes(50)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.txt", b"x", "not of a kind that is read"),
        ("x.msh", b"x", "not of a kind that is read"),
        ("x.png", b"\x89PN", "is not a PNG image"),
        ("x.png", PNG + (60_000).to_bytes(4, "big") * 2, "has 60000 x 60000 pixels"),
        ("x.stl", STL[:-1], "is not a binary STL mesh"),
        ("x.stl", bytes(80) + b"\xff\xff\xff\xff", "is not a binary STL mesh"),
        ("x.obj", b"v 0 0 0\0", "is not an OBJ mesh"),
        ("x.obj", b"v 0 0 0\n" * 2_000_000, "has more than 8388608 bytes"),
    ],
)
def test_a_hostile_asset_is_refused(name, content, line):
    with pytest.raises(TaskError, match=line):
        check_assets({name: content}, "model.xml", [name])


def test_good_assets_pass_and_missing_ones_are_named():
    files = {"a.stl": STL, "b.png": PNG + (64).to_bytes(4, "big") * 2, "c.obj": b"v 0 0 0\n"}
    check_assets(files, "model.xml", files)
    with pytest.raises(TaskError, match=r"file 'd.stl': is not beside the model"):
        check_assets(files, "model.xml", ["d.stl"])
    many = [f"{index}.stl" for index in range(65)]
    with pytest.raises(TaskError, match="names 65 files; at most 64"):
        check_assets(dict.fromkeys(many, STL), "model.xml", many)


TASK = """\
format: 1
id: Cart-v0
description: Push the cart.
model: {file: model.xml}
frame_skip: 2
max_episode_steps: 10
observation: [{source: qpos}]
reward: |
  def reward(state, action):
      return action[:, 0]
fitness:
  program: "def fitness(state, action): return action[:, 0]"
  accumulate: sum
  description: how much was pushed
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a task, its model and the mesh that the model names."""
    (tmp_path / "task.yaml").write_text(TASK)
    (tmp_path / "model.xml").write_text(GOOD)
    (tmp_path / "wheel.stl").write_bytes(STL)
    (tmp_path / "secret.txt").write_text("not of the task")
    return tmp_path


def test_a_folder_gives_the_files_that_the_task_names_and_no_others(folder):
    expected = TaskBundle(
        name=str(folder),
        task_yaml=TASK.encode(),
        files={"model.xml": GOOD.encode(), "wheel.stl": STL},
    )
    assert load_bundle(folder) == expected
    assert load_bundle(folder / "task.yaml").files == expected.files


def test_what_is_missing_in_a_folder_is_named(folder, tmp_path):
    (folder / "wheel.stl").unlink()
    with pytest.raises(TaskError, match=r"'wheel.stl' is not in the folder"):
        load_bundle(folder)
    (folder / "model.xml").unlink()
    with pytest.raises(TaskError, match=r"'model.xml' is not in the folder"):
        load_bundle(folder)
    with pytest.raises(TaskError, match="there is no task file"):
        load_bundle(folder / "nothing")


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "model.xml"
    outside.write_text(GOOD)
    (folder / "model.xml").unlink()
    (folder / "model.xml").symlink_to(outside)
    with pytest.raises(TaskError, match="link out of its folder"):
        load_bundle(folder)
