"""What the figures were measured on: hardware, versions, the state of the checkout."""

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

PACKAGES = (
    "websim",
    "mujoco-core",
    "numpy",
    "pyzmq",
    "msgspec",
    "gymnasium",
    "torch",
)


@dataclass(frozen=True)
class Machine:
    """Hardware and system."""

    processor: str
    cores: int
    """That this process may use."""
    memory_gib: int
    system: str
    python: str

    def __str__(self) -> str:
        """Return a line for people."""
        return (
            f"{self.cores} cores of {self.processor}, {self.memory_gib} GiB, {self.system}, "
            f"Python {self.python}"
        )


def describe_machine(cores: int) -> Machine:
    """Return what this is."""
    return Machine(
        processor=_processor(),
        cores=cores,
        memory_gib=round(psutil.virtual_memory().total / 2**30),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def versions() -> dict[str, str]:
    """Return the versions of what is measured."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit(checkout: Path) -> str:
    """Return the checkout's commit, with a + when files differ from it; empty without git."""
    try:
        head = _git(checkout, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(checkout, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()
