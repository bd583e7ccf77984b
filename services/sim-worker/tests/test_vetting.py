"""Tasks from outside are tried in a child first: what it refuses, and that it cannot harm."""

import time

import pytest

from websim.tasks import TaskError
from websim_sim_worker import vetting
from websim_sim_worker.tasks import compile_task
from websim_sim_worker.vetting import Limits, vet


def balls(count, size=1.0):
    ball = f'<body><freejoint/><geom size="{size}"/></body>'
    return f'<replicate count="{count}" offset="0.001 0 0">{ball}</replicate>'


REFUSED_MODELS = [
    (('timestep="0.01"', 'timestep="nan"'), "the timestep is nan s; it must be from 0.0001"),
    (('timestep="0.01"', 'timestep="0"'), "the timestep is 0.0 s"),
    (('timestep="0.01"', 'timestep="-1"'), "the timestep is -1.0 s"),
    (('timestep="0.01"', 'timestep="0.1"'), "the timestep is 0.1 s"),
    (('gravity="0 0 0"', 'gravity="nan 0 0"'), "option gravity holds a number that is not finite"),
    (('axis="1 0 0"', 'axis="1 0 0" ref="nan"'), "qpos0 holds a number that is not finite"),
    (('ctrlrange="-1 1"', 'ctrlrange="-1 1" gear="inf"'), "actuator_gear holds a number"),
    (('ctrlrange="-1 1"', ""), 'push has no control range; add ctrlrange="-1 1"'),
    (('<motor name="push" joint="rail" ctrlrange="-1 1"/>', ""), "has no actuators"),
    (('joint="rail"', 'joint="rial"'), "MuJoCo refuses the model: .*rial"),
    (('mass="1"', 'mass="-1"'), "MuJoCo refuses the model"),
    (
        ("<worldbody>", '<worldbody><replicate count="301"><body/></replicate>'),
        "nbody is 303; at most 300",
    ),
    (
        ("<worldbody>", '<worldbody><replicate count="999"><geom size="1"/></replicate>' * 2),
        "ngeom is|XML",
    ),
    (("<worldbody>", "<worldbody>" + balls(100)), "nq is 701; at most 600"),
    (
        ("<worldbody>", '<worldbody><flexcomp name="f" type="grid" count="10 10 10" dim="3"/>'),
        "at most|MuJoCo refuses",
    ),
    (
        ("</mujoco>", "<keyframe>" + "<key/>" * 1001 + "</keyframe></mujoco>"),
        "nkey is 1001; at most 1000",
    ),
]


@pytest.mark.parametrize(
    ("change", "line"), REFUSED_MODELS, ids=[line[:40] for _, line in REFUSED_MODELS]
)
def test_a_model_that_is_not_sane_is_refused(make_custom, slider_model, change, line):
    assert change[0] in slider_model
    with pytest.raises(TaskError, match=line) as caught:
        make_custom(model=slider_model.replace(*change, 1))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


REFUSED_TASKS = [
    (("joint: rail, unit: m", "joint: rial, unit: m"), "no joint 'rial'; did you mean 'rail'"),
    (("joint: rail, unit: m", "body: cart, unit: m"), "qpos is selected by joint, not by body"),
    (("joint: rail, unit: m", "joint: 7, unit: m"), "there is no joint 7; the model has 1"),
    (("joint: rail, unit: m", "columns: 3, unit: m"), "there is no column 3; qpos has 1 here"),
    (("joint: rail, unit: m", 'columns: "4:", unit: m'), "no column of qpos is selected"),
    (("speed: {rate: position", "speed: {difference: [position, whole]"), "whole 3"),
    (("clip: speed_range", "clip: [1, -1]"), "clip from 1.0 to -1.0 holds nothing"),
    (("clip: speed_range", "clip: goal"), "clip needs two numbers, not 1.0"),
    (("when: with_speed", "when: goal"), "the parameter 'goal' is not true or false"),
    (("{rate: position", '{expression: "state.position +"'), "fields.speed: line"),
    (("{rate: position", '{expression: "state.whole"'), "fields.speed: "),
    (("{rate: position", '{expression: "action[:, 0] * state.nothing"'), "fields.speed: "),
    (("return state.speed", "return state.sped"), "line 19, reward: line 2, column 12: .*speed"),
    (("return state.speed", "return __import__('os')"), "reward: line 2"),
    (("def fitness(state, action)", "def reward(state, action)"), "fitness.program: "),
    (
        ("frame_skip: 2", "frame_skip: 2\nreset: {qpos: {distribution: uniform, scale: -1}}"),
        "noise",
    ),
    (("model: {file: model.xml}", "model: {generate: nothing}"), "no generator 'nothing'"),
    (("model: {file: model.xml}", "model: {gymnasium: nothing.xml}"), "gymnasium has no model"),
]


@pytest.mark.parametrize(
    ("change", "line"), REFUSED_TASKS, ids=[line[:40] for _, line in REFUSED_TASKS]
)
def test_a_task_that_does_not_fit_its_model_is_refused(make_custom, change, line):
    whole = ("fields:\n", "fields:\n  whole: {source: xpos, body: cart}\n")
    with pytest.raises(TaskError, match=line) as caught:
        make_custom(changes=[change, whole])
    assert "\n" not in str(caught.value)


def test_a_good_task_passes_with_overrides(make_bundle):
    task = compile_task(make_bundle(), {"with_speed": False})
    assert task.info.obs_dim == 1
    assert task.info.parameters["with_speed"] is False


@pytest.mark.parametrize(
    ("model_change", "task_change", "line"),
    [
        (('timestep="0.01"', 'timestep="nan"'), None, "the timestep is nan s"),
        (
            ('ctrlrange="-1 1"', 'ctrlrange="-1 1" gear="1e14"'),
            None,
            "diverges under random actions; lower the timestep",
        ),
        (None, ("state.speed\n", "np.log(state.speed)\n"), "diverges|reward is not finite"),
        (
            ("<worldbody>", '<option integrator="RK4"/><worldbody>' + balls(60)),
            ("frame_skip: 2", "frame_skip: 1000"),
            "a step takes [0-9]+ ms; at most 20 ms; lower frame_skip",
        ),
    ],
)
def test_the_child_says_what_it_found(make_bundle, slider_model, model_change, task_change, line):
    model = slider_model.replace(*model_change, 1) if model_change else slider_model
    with pytest.raises(TaskError, match=line) as caught:
        compile_task(make_bundle(model=model, changes=[task_change] if task_change else []))
    assert "\n" not in str(caught.value)


def test_the_child_is_stopped_when_it_computes_too_long(make_bundle, slider_model):
    # A million vertices from a line of text: the compiler would take three times as long.
    mesh = '<asset><mesh name="ball" builtin="supersphere" params="1000 1 1"/></asset>'
    bundle = make_bundle(model=slider_model.replace("<worldbody>", mesh + "<worldbody>"))
    start = time.monotonic()
    with pytest.raises(TaskError, match="needs more CPU time or memory than it may"):
        vet(bundle, {}, Limits(cpu_s=2))
    assert time.monotonic() - start < 15.0


def test_the_child_cannot_take_more_memory_than_it_may(make_bundle, slider_model):
    texture = '<texture name="{}" builtin="flat" type="cube" width="2048" height="2048"/>'
    textures = "".join(texture.format(index) for index in range(60))
    model = slider_model.replace("<worldbody>", f"<asset>{textures}</asset><worldbody>")
    with pytest.raises(TaskError, match="needs more memory than it may"):
        vet(make_bundle(model=model), {}, Limits(memory_bytes=700 * 1024**2))


@pytest.mark.parametrize(
    ("file", "text", "allowed_mib"),
    [
        ("memory.max", "1073741824\n", 512),  # 1 GiB: half
        ("memory.max", "17179869184\n", 2048),  # 16 GiB: never more than 2
        ("memory.max", "max\n", 2048),
        ("memory/memory.limit_in_bytes", "2147483648\n", 1024),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", 2048),
        ("cpu.max", "max 100000\n", 2048),
    ],
)
def test_the_child_may_take_half_of_what_its_container_has(tmp_path, file, text, allowed_mib):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert vetting.memory_allowance(tmp_path) == allowed_mib * 1024**2


def test_what_the_child_did_not_say_is_asked_again(make_bundle, monkeypatch):
    bundle = make_bundle(changes=[("goal: 1.0", "goal: 1.75")])
    with monkeypatch.context() as hurried:
        hurried.setattr(vetting, "DEADLINE_S", 0.001)
        with pytest.raises(TaskError, match="takes more than 0 s"):
            vet(bundle, {})
    vet(bundle, {})


def test_what_is_remembered_is_small(make_bundle, monkeypatch):
    monkeypatch.setattr(vetting, "_judgements", {})
    monkeypatch.setattr(vetting, "_try", lambda request: vetting.Judgement())
    monkeypatch.setattr(vetting, "MAX_JUDGEMENTS", 2)
    for goal in (1, 2, 3):
        vet(make_bundle(changes=[("goal: 1.0", f"goal: {goal}.5")]), {})
        assert all(len(key) == 32 for key in vetting._judgements)
    assert len(vetting._judgements) == 1


def test_a_judgement_is_remembered(make_bundle):
    bundle = make_bundle(changes=[("goal: 1.0", "goal: 1.25")])
    times_s = []
    for _ in range(2):
        start = time.monotonic()
        vet(bundle, {})
        times_s.append(time.monotonic() - start)
    # The first one starts a process.
    assert times_s[1] < times_s[0] / 4
