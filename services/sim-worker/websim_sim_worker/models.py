"""Get a task's MJCF and compile it: from Gymnasium's package, a generator, or the bundle's files.

The files of Gymnasium are not copied into this repository: they are found where the package is
installed, without importing it, and pinned by their content.
"""

import hashlib
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import mujoco

import websim_sim_worker.engine  # noqa: F401 - the engine is quiet before it loads anything
from websim.tasks import TaskBundle, TaskDocument, TaskError
from websim.tasks.assets import check_assets
from websim.tasks.document import KnobSpec, Value
from websim.tasks.mjcf import check_mjcf
from websim_sim_worker.generators import generate_model
from websim_sim_worker.terrain import add_levels

_OUT_OF_MEMORY = ("Could not allocate memory", "unknown exception")
"""What MuJoCo says when an allocation of its own, or of C++, fails while it compiles."""


def model_source(
    bundle: TaskBundle, document: TaskDocument, parameters: Mapping[str, Value]
) -> tuple[str, dict[str, bytes]]:
    """The MJCF text of a task and the assets it may name."""
    spec = document.model
    if spec.gymnasium:
        return _gymnasium_file(spec.gymnasium, spec.sha256).decode(), {}
    if spec.generate:
        return generate_model(spec.generate, parameters), {}
    checked = check_mjcf(bundle.files[spec.file], spec.file)
    check_assets(bundle.files, spec.file, checked.assets)
    return checked.text, {name: bundle.files[name] for name in checked.assets}


def compile_model(
    mjcf: str, assets: Mapping[str, bytes], where: str, knobs: Sequence[KnobSpec] = ()
) -> mujoco.MjModel:
    """Compile MJCF, with what its knobs need; the compiler's complaints become one line."""
    try:
        spec = mujoco.MjSpec.from_string(mjcf, assets=dict(assets) or None)
        # Of several assets each would get a thread, which the confined trial of a task may not
        # start; the model is the same, bit for bit.
        spec.compiler.usethread = False
        add_levels(spec, knobs)
        with warnings.catch_warnings():
            # Gymnasium's models use what a later MuJoCo drops.
            warnings.simplefilter("ignore", UserWarning)
            return spec.compile()
    except (ValueError, RuntimeError) as error:
        if any(words in str(error) for words in _OUT_OF_MEMORY):
            raise TaskError("the model needs more memory than it may", where=where) from None
        raise TaskError(f"MuJoCo refuses the model: {error}", where=where) from None


def _gymnasium_file(name: str, sha256: str) -> bytes:
    spec = importlib.util.find_spec("gymnasium")
    if spec is None or spec.origin is None:
        raise TaskError(
            f"the model {name} comes with gymnasium, which is not installed here",
            remedy="pip install gymnasium",
        )
    path = Path(spec.origin).parent / "envs" / "mujoco" / "assets" / name
    if not path.is_file():
        raise TaskError(f"the installed gymnasium has no model {name}", where="model.gymnasium")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise TaskError(
            f"{name} of the installed gymnasium is not the one this task was made for "
            f"(sha256 {found[:12]}, expected {sha256[:12]})",
            where="model.sha256",
            remedy="install the gymnasium release that constraints.txt names",
        )
    return content
