"""Who uses the processor while a block is measured, and how much memory processes hold.

CPU time of this process and everything it has started is ours; what else the machine does is
foreign and disturbs a measurement. A virtual machine's stolen time counts as foreign too.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

MEMORY_KIND = "pss" if os.path.exists("/proc/self/smaps") else "rss"
"""pss shares a page's bytes among the processes that map it; rss counts them in each."""


@dataclass(frozen=True)
class Reading:
    """Seconds since some start, each ever growing."""

    wall_s: float
    own_cpu_s: float
    machine_cpu_s: float


@dataclass(frozen=True)
class Usage:
    """What happened between two readings."""

    wall_s: float
    own_cpu_s: float
    foreign_share: float
    """CPU time of others, as a share of what all cores had."""


def read() -> Reading:
    """Read the clocks of the machine and of our tree of processes."""
    own = 0.0
    for process in tree(os.getpid()):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        own += times.user + times.system
    busy = psutil.cpu_times()
    machine = busy.user + busy.system + busy.nice
    # Not every system keeps these.
    for name in ("irq", "softirq", "steal"):
        machine += getattr(busy, name, 0.0)
    return Reading(time.monotonic(), own, machine)


def between(before: Reading, after: Reading, cores: int) -> Usage:
    """Return what happened between two readings on a machine of that many cores."""
    wall_s = after.wall_s - before.wall_s
    own_s = max(0.0, after.own_cpu_s - before.own_cpu_s)
    foreign_s = after.machine_cpu_s - before.machine_cpu_s - own_s
    share = foreign_s / (wall_s * cores) if wall_s > 0 else 0.0
    return Usage(wall_s, own_s, min(1.0, max(0.0, share)))


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants that live."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory_bytes(pids: Iterable[int]) -> int:
    """Return the memory of processes together, counted as MEMORY_KIND says."""
    total = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if MEMORY_KIND == "pss":
                total += process.memory_full_info().pss
            else:
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
