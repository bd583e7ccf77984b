"""Installs torch into the environment of the Python that runs this.

On Linux the package index's own torch carries gigabytes of CUDA. A CPU build is tried first, from
wherever pip finds one, then through uv, which knows where PyTorch publishes its CPU builds;
WEBSIM_TORCH=cuda takes the package index's instead. Does nothing when torch is there already.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"

PIP_TIMEOUT_S = 600
"""Bound on looking for a CPU build with pip, download included."""

UV_TIMEOUT_S = 900
"""Bound on fetching the CPU build with uv."""


def main() -> int:
    """Install torch; return the exit code."""
    wanted = os.environ.get("WEBSIM_TORCH", "cpu")
    if wanted not in ("cpu", "cuda"):
        print(f"error: WEBSIM_TORCH={wanted} must be cpu or cuda", file=sys.stderr)
        return 2
    version = pinned_version()
    if suits(installed_version(), version, wanted):
        return 0
    plain = f"torch=={version}"
    if wanted == "cuda" or sys.platform != "linux":
        return run(pip(plain, "--upgrade", "--force-reinstall", "--no-deps")) or run(pip(plain))
    print(f"installing torch {version} for the CPU (WEBSIM_TORCH=cuda chooses the CUDA build)")
    if run(pip(f"{plain}+cpu"), PIP_TIMEOUT_S, quiet=True) == 0:
        return 0
    if run(pip("uv")) == 0 and run(uv(plain), UV_TIMEOUT_S) == 0:
        return 0
    print("no CPU build of torch can be had from here: taking the CUDA build, which is large")
    return run(pip(plain))


def pinned_version() -> str:
    """Return the version of torch that constraints.txt names."""
    found = re.search(r"^torch==(\S+)$", CONSTRAINTS.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{CONSTRAINTS} pins no torch")
    return found[1]


def installed_version() -> str | None:
    """Return the version of torch in this environment, as in `2.13.0+cpu`; None without one."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def suits(installed: str | None, version: str, wanted: str) -> bool:
    """Return whether the installed torch will do: a CUDA build also runs on the CPU."""
    if installed is None or installed.split("+")[0] != version:
        return False
    return wanted == "cpu" or not installed.endswith("+cpu")


def pip(*requirements: str) -> list[str]:
    """Return a command that installs with pip under our constraints."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    return [*command, "-c", str(CONSTRAINTS), *requirements]


def uv(requirement: str) -> list[str]:
    """Return a command that installs PyTorch's CPU build with uv."""
    command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    return [*command, "--torch-backend", "cpu", "-c", str(CONSTRAINTS), requirement]


def run(command: list[str], timeout_s: float | None = None, *, quiet: bool = False) -> int:
    """Run a command and return its exit code; 124 when it takes too long."""
    output = subprocess.DEVNULL if quiet else None
    try:
        return subprocess.run(
            command, stdout=output, stderr=output, timeout=timeout_s, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return 124


if __name__ == "__main__":
    sys.exit(main())
