"""The locks of a confined process, each named, applied in the order in which they still work.

The forker takes those that its workers inherit: namespaces, an unprivileged user, no new
privileges, no files. Each worker adds resource limits and the seccomp filter. Seccomp is mandatory
on Linux; the others are best effort and reported, because containers withhold some of them.
"""

import ctypes
import os
import resource
import signal
import sys

NOBODY = 65534
"""User and group of the child when it is started by root."""

_CLONE_NEWNS = 0x0002_0000
_CLONE_NEWIPC = 0x0800_0000
_CLONE_NEWNET = 0x4000_0000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_VERSION = 1
# Bits of access that each version of the kernel interface knows: files, then network, then scope.
_LANDLOCK_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_LANDLOCK_NETWORK_SINCE = 4
_LANDLOCK_SCOPE_SINCE = 6


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scope", ctypes.c_uint64),
    )


def confine_forker() -> list[str]:
    """Apply the inherited locks to this process and return the names of those that hold."""
    locks = []
    os.environ.clear()
    if sys.platform == "linux" and _unshare():
        locks.append("namespaces")
    if _leave_root():
        locks.append("user")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            locks.append("no_new_privs")
        if _landlock(libc):
            locks.append("landlock")
    return locks


def limit_resources(memory_bytes: int) -> None:
    """Forbid new processes, files and core dumps, and bound the address space.

    Args:
        memory_bytes: what this process may map altogether, itself included.
    """
    for limit, value in [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_AS, memory_bytes),
    ]:
        _, hard = resource.getrlimit(limit)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (bound, bound))


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends, even if it spins for ever.

    Comes after the change of user, which resets it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def mapped_bytes() -> int:
    """Return how much address space this process uses; 0 where /proc does not say."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _leave_root() -> bool:
    """Become nobody when started by root; needs CAP_SETUID, which containers may drop."""
    if os.geteuid() != 0:
        return False
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except PermissionError:
        return False
    return True


def _unshare() -> bool:
    """Leave the network, IPC and mount namespaces; needs CAP_SYS_ADMIN."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWNS) == 0)


def _landlock(libc: ctypes.CDLL) -> bool:
    """Give up every file, and where the kernel can also TCP ports, signals, abstract sockets."""
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version < 1:
        return False
    ruleset = _Ruleset(_LANDLOCK_FILES.get(version, _LANDLOCK_FILES[5]), 0, 0)
    size = 8
    if version >= _LANDLOCK_NETWORK_SINCE:
        ruleset.network, size = 0b11, 16
    if version >= _LANDLOCK_SCOPE_SINCE:
        ruleset.scope, size = 0b11, 24
    descriptor = libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    if descriptor < 0:
        return False
    held = libc.syscall(_LANDLOCK_RESTRICT_SELF, descriptor, 0) == 0
    os.close(descriptor)
    return bool(held)
