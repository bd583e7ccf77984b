"""Render states to a GIF or MP4 file, off screen.

MuJoCo chooses its OpenGL library when it is imported, so each one is tried in a process of its own:
EGL (a GPU, or Mesa's software), then OSMesa; or only what MUJOCO_GL names. This module is both
sides: `render` starts the child, `python -m websim_sim_worker.render` is it.
"""

import importlib.util
import io
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import mujoco
import numpy as np
import numpy.typing as npt

from websim.service.errors import UserError
from websim.service.files import write_atomic
from websim.tasks import TaskBundle, TaskError
from websim.tasks.document import Value
from websim_sim_worker import ASKED_MUJOCO_GL
from websim_sim_worker.selection import object_name
from websim_sim_worker.tasks import CompiledTask, compile_task

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

BACKENDS = ("egl", "osmesa")
MAX_FRAMES_PER_S = 30
"""Faster recordings are thinned, so that a file plays in real time."""
MAX_STATES = 20_000
MAX_PIXELS_ACROSS = 1_920
MAX_SHADOW_SIZE = 1_024
SUFFIXES = (".gif", ".mp4")
_NO_BACKEND = 3
"""Exit code of the child when this OpenGL library cannot be had."""
_WRONG_INPUT = 2


class RenderJob(msgspec.Struct, frozen=True):
    """What to render, with the task's files."""

    name: str
    task_yaml: bytes
    files: dict[str, bytes]
    overrides: dict[str, Value]
    states: str
    out: str
    width: int
    height: int
    camera: str


def render(job: RenderJob) -> None:
    """Render with the first OpenGL library that works.

    Raises:
        UserError: The input is wrong, or none works here.
    """
    if Path(job.out).suffix not in SUFFIXES:
        raise UserError(f"{job.out} is neither .gif nor .mp4")
    if not Path(job.out).resolve().parent.is_dir():
        raise UserError(f"there is no folder {Path(job.out).resolve().parent}", "make it first")
    if not (16 <= job.width <= MAX_PIXELS_ACROSS and 16 <= job.height <= MAX_PIXELS_ACROSS):
        raise UserError(f"a picture is from 16 to {MAX_PIXELS_ACROSS} pixels wide and high")
    reasons = []
    for backend in (ASKED_MUJOCO_GL,) if ASKED_MUJOCO_GL else BACKENDS:
        done = subprocess.run(
            [sys.executable, "-m", "websim_sim_worker.render"],
            input=msgspec.msgpack.encode(job),
            capture_output=True,
            env={**os.environ, "WEBSIM_RENDER_GL": backend},
            check=False,
        )
        if done.returncode == 0:
            return
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {done.returncode}"
        if done.returncode == _WRONG_INPUT:
            raise UserError(last)
        reasons.append(f"{backend}: {last[:160]}")
    raise UserError(
        f"nothing here can render ({'; '.join(reasons)})",
        "install libegl1 and libgl1-mesa-dri (Debian), and pip install pyopengl pillow",
    )


def main() -> int:
    """Be the child: render the job on stdin."""
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=RenderJob)
    try:
        task = compile_task(TaskBundle(job.name, job.task_yaml, job.files), job.overrides)
        qpos, fps = _read_states(Path(job.states), task)
        stride = max(1, math.ceil(fps / MAX_FRAMES_PER_S))
        frames = _frames(job, task, qpos[::stride])
        write_atomic(Path(job.out), _encoded(frames, fps / stride, Path(job.out).suffix))
    except (UserError, TaskError) as error:
        print(error, file=sys.stderr)
        return _WRONG_INPUT
    except OSError as error:
        print(f"{job.out} cannot be written ({error.strerror})", file=sys.stderr)
        return _WRONG_INPUT
    return 0


def _read_states(path: Path, task: CompiledTask) -> tuple[Floats, float]:
    """Read qpos (T, nq) and the number of rows per second."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            qpos = np.asarray(archive["qpos"], dtype=np.float64)
            fps = float(archive["fps"]) if "fps" in archive else 1.0 / task.info.dt_s
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        raise UserError(f"{path} is not an .npz file with an array qpos of (T, nq)") from None
    if qpos.ndim != 2 or not 0 < len(qpos) <= MAX_STATES or not np.isfinite(qpos).all():
        raise UserError(f"qpos of {path} is not 1 to {MAX_STATES} rows of finite numbers")
    if qpos.shape[1] != task.model.nq:
        raise UserError(
            f"qpos of {path} has {qpos.shape[1]} columns; {task.info.id} has {task.model.nq}"
        )
    if not 0.0 < fps < math.inf:
        raise UserError(f"fps of {path} is {fps}")
    return qpos, fps


def _frames(job: RenderJob, task: CompiledTask, qpos: Floats) -> list[Pixels]:
    """Render one image (height, width, 3) for each row of qpos."""
    model = task.model
    camera = _camera(job.camera, model)
    model.vis.global_.offwidth = max(model.vis.global_.offwidth, job.width)
    model.vis.global_.offheight = max(model.vis.global_.offheight, job.height)
    # Half of the time in software rendering goes into shadows that nobody sees at this size.
    model.vis.quality.shadowsize = min(model.vis.quality.shadowsize, MAX_SHADOW_SIZE)
    try:
        renderer = mujoco.Renderer(model, job.height, job.width)
    except (ImportError, AttributeError, RuntimeError, mujoco.FatalError) as error:
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        sys.exit(_NO_BACKEND)
    data = mujoco.MjData(model)
    frames: list[Pixels] = []
    with renderer:
        for row in qpos:
            data.qpos[:] = row
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera=camera)
            frames.append(renderer.render().copy())
    return frames


def _camera(name: str, model: mujoco.MjModel) -> int:
    """Id of the named camera; without a name that called track, else the free one (-1)."""
    camera: int = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name or "track")
    if camera < 0 and name:
        known = [object_name(model, "camera", index) for index in range(model.ncam)]
        raise UserError(f"the model has no camera {name!r}", f"it has {', '.join(known) or 'none'}")
    return camera


def _encoded(frames: list[Pixels], fps: float, suffix: str) -> bytes:
    if suffix == ".gif":
        return _gif(frames, fps)
    if not all(importlib.util.find_spec(name) for name in ("imageio", "imageio_ffmpeg")):
        raise UserError("an .mp4 needs ffmpeg", "install it: pip install imageio imageio-ffmpeg")
    import imageio.v3 as imageio

    encoded: bytes = imageio.imwrite(
        "<bytes>", np.stack(frames), extension=".mp4", plugin="FFMPEG", fps=fps
    )
    return encoded


def _gif(frames: list[Pixels], fps: float) -> bytes:
    try:
        from PIL import Image
    except ImportError:
        raise UserError("a .gif needs Pillow", "install it: pip install pillow") from None
    first, *others = (Image.fromarray(frame).quantize(128) for frame in frames)
    out = io.BytesIO()
    # GIF counts in hundredths of a second.
    pause_ms = max(2, round(100.0 / fps)) * 10
    first.save(out, "GIF", save_all=True, append_images=others, duration=pause_ms, loop=0)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
