"""Models written by a program from a task's parameters: MJCF text in, nothing else.

A task file names one with `model: {generate: n_link_swimmer}`; its parameters may be overridden, so
each generator checks its own.
"""

import difflib
from collections.abc import Callable, Mapping

from websim.tasks import TaskError
from websim.tasks.document import Value

MAX_LINKS = 30

Generator = Callable[[Mapping[str, Value]], str]


def generate_model(name: str, parameters: Mapping[str, Value]) -> str:
    """Write the MJCF of generator `name` under `parameters`.

    Raises:
        TaskError: There is no such generator, or a parameter of it is missing or out of bounds.
    """
    if name not in GENERATORS:
        close = difflib.get_close_matches(name, GENERATORS, n=1, cutoff=0.0)
        raise TaskError(
            f"there is no generator {name!r}", where="model.generate", remedy=f"there is {close[0]}"
        )
    return GENERATORS[name](parameters)


def n_link_swimmer(parameters: Mapping[str, Value]) -> str:
    """Write a planar chain of `links` capsules in a viscous fluid, motors between them.

    The first link carries the two slides and the hinge that place the chain in the plane; it
    points along +x, and the others follow behind.
    """
    links = _integer(parameters, "links", 2, MAX_LINKS)
    chain = ""
    for index in range(links - 1, 0, -1):
        offset = "-1 0 0" if index > 1 else "0 0 0"
        chain = (
            f'<body name="link{index}" pos="{offset}">'
            f'<joint name="bend{index}" type="hinge" axis="0 0 1" range="-100 100"/>'
            f'<geom type="capsule" fromto="0 0 0 -1 0 0"/>{chain}</body>'
        )
    motors = "".join(f'<motor name="bend{i}" joint="bend{i}"/>' for i in range(1, links))
    return f"""
<mujoco model="{links}-link swimmer">
  <option timestep="0.01" integrator="RK4" density="4000" viscosity="0.1"/>
  <default>
    <geom size="0.1" density="1000" contype="0" conaffinity="0" rgba="0.8 0.6 0.4 1"/>
    <joint armature="0.1"/>
    <motor ctrlrange="-1 1" gear="150"/>
  </default>
  <asset>
    <texture name="floor" type="2d" builtin="checker" rgb1="0 0 0" rgb2="0.8 0.8 0.8"
      width="100" height="100"/>
    <material name="floor" texture="floor" texrepeat="30 30"/>
  </asset>
  <worldbody>
    <light directional="true" dir="0 0 -1" pos="0 0 2"/>
    <geom name="floor" type="plane" pos="0 0 -0.1" size="40 40 0.1" material="floor"/>
    <body name="link0">
      <camera name="track" mode="trackcom" pos="0 -{links} {links}" xyaxes="1 0 0 0 1 1"/>
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      <joint name="heading" type="hinge" axis="0 0 1"/>
      <geom type="capsule" fromto="1 0 0 0 0 0"/>
      {chain}
    </body>
  </worldbody>
  <actuator>{motors}</actuator>
</mujoco>
"""


def _integer(parameters: Mapping[str, Value], name: str, low: int, high: int) -> int:
    value = parameters.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise TaskError(f"{name} = {value!r} is not a whole number from {low} to {high}")
    return value


GENERATORS: dict[str, Generator] = {"n_link_swimmer": n_link_swimmer}
