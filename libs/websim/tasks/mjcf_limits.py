"""What a model that comes with a task may hold: elements, sizes, file names."""

import re

MAX_MJCF_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 128
MAX_ELEMENTS = 20_000
"""Elements of a model, what a replicate holds counted once per copy."""
MAX_COUNT = 1_000
"""Copies that one replicate, composite or flexcomp makes."""
MAX_MEMORY_BYTES = 256 * 1024 * 1024
"""Largest <size memory>: of one simulation, of which a shard holds hundreds."""
PLAIN_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

_STRUCTURE = """
    mujoco compiler option flag size statistic visual global quality headlight
    map scale rgba default asset mesh texture material layer hfield custom numeric text
    tuple element keyframe key worldbody body frame inertial joint freejoint geom site
    camera light replicate flexcomp edge elasticity pin contact pair exclude
    deformable flex tendon spatial fixed pulley equality connect weld flexstrain actuator
    sensor
"""
_ACTUATORS = """
    general motor position velocity intvelocity orientation pid damper cylinder muscle
    adhesion dcmotor
"""
_SENSORS = """
    touch accelerometer velocimeter gyro force torque magnetometer camprojection rangefinder
    jointpos jointvel tendonpos tendonvel actuatorpos actuatorvel actuatorfrc
    jointactuatorfrc tendonactuatorfrc ballquat ballangvel jointlimitpos jointlimitvel
    jointlimitfrc tendonlimitpos tendonlimitvel tendonlimitfrc framepos framequat framexaxis
    frameyaxis framezaxis framelinvel frameangvel framelinacc frameangacc subtreecom
    subtreelinvel subtreeangmom insidesite distance normal fromto contact e_potential
    e_kinetic clock tactile
"""
ELEMENTS = frozenset(f"{_STRUCTURE} {_ACTUATORS} {_SENSORS}".split())

REFUSED_ELEMENTS = {
    "include": "write the included text into this file",
    "model": "write its bodies into this file",
    "attach": "write its bodies into this file",
    "plugin": "use the engine's own elements",
    "extension": "use the engine's own elements",
    "instance": "use the engine's own elements",
    "config": "use the engine's own elements",
    "skin": "remove it: skins change nothing in the physics",
}
"""Elements that read files, load code or only decorate, with what to do instead."""

INTEGER_CAPS: dict[tuple[str, str], int] = {
    ("size", "nkey"): 1_000,
    ("size", "nuserdata"): 10_000,
    ("size", "njmax"): 10_000,
    ("size", "nconmax"): 10_000,
    ("size", "nstack"): 30_000_000,
    **{
        ("size", f"nuser_{kind}"): 100
        for kind in ("body", "jnt", "geom", "site", "cam", "tendon", "actuator", "sensor")
    },
    ("option", "iterations"): 200,
    ("option", "ls_iterations"): 200,
    ("option", "noslip_iterations"): 200,
    ("option", "ccd_iterations"): 200,
    ("option", "sdf_iterations"): 200,
    ("option", "sdf_initpoints"): 200,
    ("hfield", "nrow"): 500,
    ("hfield", "ncol"): 500,
    ("texture", "width"): 2_048,
    ("texture", "height"): 2_048,
    ("texture", "nchannel"): 4,
    ("camera", "resolution"): 2_048,
    ("global", "offwidth"): 4_096,
    ("global", "offheight"): 4_096,
    ("numeric", "size"): 10_000,
    ("contact", "num"): 100,
    ("flexcomp", "cellcount"): 20,
    ("flex", "cellcount"): 20,
    ("flexcomp", "dim"): 3,
    ("flex", "dim"): 3,
    ("*", "nsample"): 1_000,
}
"""Largest value of integer attributes that size something, by element ('*': any) and name."""
