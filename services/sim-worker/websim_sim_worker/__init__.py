"""The sim worker: compiles tasks, steps shards of environments, ships their snapshots.

Importing the package chooses MuJoCo's OpenGL library, before anything imports mujoco. A worker
draws nothing, so it takes none: otherwise a MUJOCO_GL that names what is not installed would end
every worker at its first import. Only the child process of `render` sets WEBSIM_RENDER_GL.
"""

import os

ASKED_MUJOCO_GL = os.environ.get("MUJOCO_GL", "")
"""The OpenGL library that the user chose for rendering, or ""."""

os.environ["MUJOCO_GL"] = os.environ.get("WEBSIM_RENDER_GL", "disable")
