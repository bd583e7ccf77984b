"""A task file is read in full or refused in one line that says what, where, and what to do."""

import jsonschema
import pytest

from websim.tasks import TaskBundle, TaskError, parse_task, task_schema
from websim.tasks.document import Difference, Elementwise, Expression, Rate, Reference, Source

TASK = """\
format: 1
id: Slider-v0
description: Push the cart.
model: {file: model.xml}
frame_skip: 2
max_episode_steps: 10
parameters:
  goal: {value: 1.0, unit: m, description: where to go}
  speed_range: [-5, 5]
  with_speed: true
fields:
  position: {source: qpos, joint: rail, unit: m}
  speed: {rate: position, unit: m/s}
  far: {expression: state.position - goal}
  wave: {sin: position, clip: [-0.5, 0.5]}
  gap: {difference: [position, wave]}
observation:
  - position
  - {source: qvel, columns: "0:1", clip: speed_range, when: with_speed}
reset:
  qpos: {distribution: uniform, scale: 1e-3, joints: {rail: {center: goal}}}
reward: |
  def reward(state, action):
      return state.speed
fitness:
  program: |
    def fitness(state, action):
        return state.position
  accumulate: last
  description: where the cart ends
"""


def make_bundle(*changes, files=None):
    text = TASK
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return TaskBundle("slider", text.encode(), {"model.xml": b""} if files is None else files)


def test_a_task_file_becomes_a_document():
    document = parse_task(make_bundle())
    assert document.id == "Slider-v0"
    assert document.model.file == "model.xml"
    values = {parameter.name: parameter.value for parameter in document.parameters}
    assert values == {"goal": 1.0, "speed_range": (-5.0, 5.0), "with_speed": True}
    quantities = {spec.name: spec.quantity for spec in document.fields}
    assert quantities == {
        "position": Source("qpos", "joint", "rail"),
        "speed": Rate("position"),
        "far": Expression("state.position - goal"),
        "wave": Elementwise("sin", "position"),
        "gap": Difference("position", "wave"),
    }
    assert document.fields[3].clip == (-0.5, 0.5)
    first, second = document.observation
    assert first.quantity == Reference("position")
    assert second.quantity == Source("qvel", columns="0:1")
    assert (second.clip, second.when, second.unless) == ("speed_range", "with_speed", None)
    assert document.reset.qpos is not None
    assert document.reset.qpos.scale == 1e-3
    assert document.reset.qpos.joints[0].center == "goal"
    assert document.terminated is None
    assert document.success is None
    assert document.fitness.accumulate == "last"


def test_the_published_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(task_schema())


REFUSED = [
    # (what is changed, what the one line says)
    (("id: Slider-v0", "id: ../../etc"), "line 2, id: '../../etc' does not look as it must"),
    (("id: Slider-v0\n", ""), "'id' is missing"),
    (("format: 1", "format: 2"), "line 1, format: 2 is not 1"),
    (("frame_skip: 2", "frame_skip: 2.5"), "frame_skip: 2.5 is not of type integer"),
    (("frame_skip: 2", "frame_skip: 0"), "frame_skip: 0 is less than the minimum of 1"),
    (("frame_skip: 2", "frame_skip: 99999"), "frame_skip: 99999 is greater than the maximum"),
    (("max_episode_steps: 10", "max_episode_steps: yes"), "'yes' is not of type integer"),
    (("frame_skip: 2", "frameskip: 2"), "'frame_skip' is missing|did you mean 'frame_skip'"),
    (("unit: m, description", "units: m, description"), "parameters.goal"),
    (("{rate: position, unit: m/s}", "{rate: position, units: m/s}"), "did you mean 'unit'"),
    (("{rate: position", "{rate: positon"), "no field 'positon'; did you mean 'position'"),
    (("{rate: position", "{rate: speed"), "a rate of a rate|one another"),
    (("{sin: position", "{sin: gap"), "fields made of one another: wave -> gap -> wave"),
    (("{sin: position", "{sin: position, cos: position"), "exactly one of source, rate"),
    (("{sin: position", "{sin: position, joint: rail"), "'joint' selects from a source"),
    (("joint: rail,", "joint: rail, body: cart,"), "select by one of joint, body"),
    (("{source: qpos,", "{source: efc_force,"), "'efc_force' is not one of time, qpos"),
    (("clip: [-0.5, 0.5]", "clip: [-0.5]"), "does not belong here"),
    (("clip: speed_range", "clip: sped_range"), "no parameter 'sped_range'; did you mean"),
    (("when: with_speed", "when: with_sped"), "no parameter 'with_sped'; did you mean"),
    (("  - position", "  - previous_obs"), "observation.0: there is no field 'previous_obs'"),
    (("  - position", "  - []"), "observation.0: \\[\\] does not belong here"),
    (('columns: "0:1"', 'columns: "0:1:2"'), "observation.1"),
    (("center: goal", "center: gaol"), "no parameter 'gaol'; did you mean 'goal'"),
    (("distribution: uniform", "distribution: cauchy"), "'cauchy' is not one of uniform, normal"),
    (("accumulate: last", "accumulate: mean"), "'mean' is not one of sum, last, max"),
    (("with_speed: true", "frame_skip: 3"), "'frame_skip' is a name of the task format"),
    (("with_speed: true", "With-Speed: true"), "is not a name \\(lower-case"),
    (("  position: {source", "  obs: {source"), "every task has the field 'obs' already"),
    (("state.position - goal", "state.previous_obs"), "cannot be made of 'previous_obs'"),
    (("model: {file: model.xml}", "model: {}"), "exactly one of file, gymnasium, generate"),
    (("{file: model.xml}", "{file: ../model.xml}"), "model.file: '../model.xml'"),
    (("{file: model.xml}", "{file: /etc/passwd}"), "model.file: '/etc/passwd'"),
    (("{file: model.xml}", "{file: other.xml}"), "'other.xml' is not beside the task file"),
    (("{file: model.xml}", "{gymnasium: ../../x.xml}"), "model.gymnasium"),
    (("  goal: {value", "  goal: 2\n  goal: {value"), "the key 'goal' occurs twice"),
    (("id: Slider-v0", "id: &a Slider-v0"), "anchors and aliases are not read"),
    (("id: Slider-v0", "id: !!python/object/apply:os.system [id]"), "the tag .* is not read"),
    (("id: Slider-v0", "id: [Slider-v0"), "not YAML"),
    (("Push the cart.", "Push: the cart."), "line 3: not YAML: .*; put a text that holds a colon"),
    (("id: Slider-v0", "id: Slider-v0\n--- "), "not YAML"),
    (("id: Slider-v0", "id: " + "[" * 50 + "]" * 50), "nested more than 24 levels deep"),
    (("description: Push", "description: " + "x" * 700), "description: 'xxx"),
]


@pytest.mark.parametrize(("change", "line"), REFUSED, ids=[line for _, line in REFUSED])
def test_a_broken_task_file_is_refused_in_one_line(change, line):
    with pytest.raises(TaskError, match=line) as caught:
        parse_task(make_bundle(change))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"", "the file is empty"),
        (b"- a\n- b\n", "a mapping of keys"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: \x01\n", "not YAML"),
        (b"x: 1\n" * 60_000, "at most 262144 are read"),
        (b"x: [" + b"1," * 30_000 + b"1]", "more than 20000 values"),
        # The billion laughs need aliases.
        (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "aliases are not read"),
        (b"%YAML 1.2\n---\na: 1\n", "directives are not read"),
    ],
)
def test_what_is_not_a_task_file_is_refused_in_one_line(source, line):
    with pytest.raises(TaskError, match=line) as caught:
        parse_task(TaskBundle("x", source))
    assert "\n" not in str(caught.value)


def test_deep_nesting_takes_no_recursion():
    with pytest.raises(TaskError, match="nested more than"):
        parse_task(TaskBundle("x", b"[" * 100_000))


@pytest.mark.parametrize("key", ["reset: {regions: [{joints: [rail]}]}"])
def test_regions_are_checked(key):
    cases = {
        "{joints: [rail]}": "exactly one of disk, box",
        "{joints: [rail], disk: 1, box: {low: [0], high: [1]}}": "exactly one of disk, box",
        "{joints: [rail], box: {low: [0, 0], high: [1, 1]}}": "one number for each joint",
        "{joints: [rail], box: {low: [1], high: [0]}}": "low is above high",
        "{joints: [rail], disk: 0}": "reset.regions.0.disk",
    }
    for region, line in cases.items():
        change = ("reset:\n", f"reset:\n  regions: [{region}]\n")
        with pytest.raises(TaskError, match=line):
            parse_task(make_bundle(change))
