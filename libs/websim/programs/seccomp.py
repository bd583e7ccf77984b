"""The system calls a confined child may make: a seccomp filter in classic BPF, without a library.

The filter is built once in the forker and installed by each worker as its last step. Everything
that is not listed ends the process at once with SIGSYS. Linux on x86_64 and aarch64 only.
"""

import ctypes
import os
import platform
import struct
import sys
from dataclasses import dataclass

# Offsets into struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6].
_NUMBER = 0
_ARCH = 4
_FIRST_ARGUMENT = 16
_THIRD_ARGUMENT = 32

# Classic BPF: load a word, jump if equal, jump if a bit is set, return.
_LOAD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_EQUAL = 0x35
_JUMP_SET = 0x45
_RETURN = 0x06

_KILL_PROCESS = 0x8000_0000
_ALLOW = 0x7FFF_0000
_X32_BIT = 0x4000_0000
"""Set in the numbers of x86_64's second, 32-bit-pointer call table."""
_PROT_EXEC = 4

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


@dataclass(frozen=True)
class _Machine:
    """Numbers of the calls that running Python and numpy without input or output needs."""

    audit_arch: int
    read: int
    write: int
    executable: tuple[int, ...]
    """mmap and mprotect: allowed unless they ask for executable memory."""
    free: tuple[int, ...]
    """munmap mremap madvise brk futex rt_sigreturn sched_yield clock_gettime restart_syscall
    exit exit_group, in this order."""


_MACHINES = {
    "x86_64": _Machine(
        0xC000_003E, 0, 1, (9, 10), (11, 25, 28, 12, 202, 15, 24, 228, 219, 60, 231)
    ),
    "aarch64": _Machine(
        0xC000_00B7, 63, 64, (222, 226), (215, 216, 233, 214, 98, 139, 124, 113, 128, 93, 94)
    ),
}


class _Program(ctypes.Structure):
    """struct sock_fprog: the number of instructions and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_supported() -> bool:
    """Tell whether this module knows the machine; the kernel is asked by `install` itself."""
    return sys.platform == "linux" and platform.machine() in _MACHINES


def build_filter(read_fd: int, write_fd: int, machine: str | None = None) -> bytes:
    """Return the filter: reads from `read_fd`, writes to `write_fd`, memory, time and exit."""
    calls = _MACHINES[machine or platform.machine()]
    code = [
        _statement(_LOAD, _ARCH),
        _jump(_JUMP_EQUAL, calls.audit_arch, 1, 0),
        _statement(_RETURN, _KILL_PROCESS),
        _statement(_LOAD, _NUMBER),
        _jump(_JUMP_GREATER_EQUAL, _X32_BIT, 0, 1),
        _statement(_RETURN, _KILL_PROCESS),
    ]
    for number in calls.free:
        code += [_jump(_JUMP_EQUAL, number, 0, 1), _statement(_RETURN, _ALLOW)]
    for number, descriptor in ((calls.read, read_fd), (calls.write, write_fd)):
        code += [
            _jump(_JUMP_EQUAL, number, 0, 4),
            _statement(_LOAD, _FIRST_ARGUMENT),
            _jump(_JUMP_EQUAL, descriptor, 1, 0),
            _statement(_RETURN, _KILL_PROCESS),
            _statement(_RETURN, _ALLOW),
        ]
    for number in calls.executable:
        code += [
            _jump(_JUMP_EQUAL, number, 0, 4),
            _statement(_LOAD, _THIRD_ARGUMENT),
            _jump(_JUMP_SET, _PROT_EXEC, 0, 1),
            _statement(_RETURN, _KILL_PROCESS),
            _statement(_RETURN, _ALLOW),
        ]
    code.append(_statement(_RETURN, _KILL_PROCESS))
    return b"".join(code)


def install(code: bytes) -> None:
    """Put this process under the filter `code`, for good; PR_SET_NO_NEW_PRIVS must be set.

    Raises:
        OSError: the kernel does not accept it; nothing may run then.
    """
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def _statement(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    """Skip `if_true` or `if_false` of the instructions that follow."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
