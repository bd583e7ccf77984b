"""The seccomp filter's decisions, on both machines, by interpreting its instructions."""

import platform
import struct

import pytest

from websim.programs.seccomp import build_filter, is_supported

COMMAND_FD, REPLY_FD = 3, 4
ALLOW, KILL = 0x7FFF_0000, 0x8000_0000
PROT_READ_WRITE, PROT_EXEC = 3, 4
ARCHES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}

# From the kernel's tables (asm/unistd_64.h and asm-generic/unistd.h).
CALLS = {
    "x86_64": {
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "mmap": 9, "mprotect": 10,
        "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17,
        "sched_yield": 24, "mremap": 25, "madvise": 28, "getpid": 39, "sendfile": 40, "socket": 41,
        "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "exit": 60, "kill": 62, "ptrace": 101,
        "prctl": 157, "futex": 202, "restart_syscall": 219, "clock_gettime": 228, "exit_group": 231,
        "openat": 257, "process_vm_readv": 310, "seccomp": 317, "bpf": 321, "execveat": 322,
        "io_uring_setup": 425, "clone3": 435,
    },
    "aarch64": {
        "ioctl": 29, "openat": 56, "close": 57, "read": 63, "write": 64, "pread64": 67,
        "sendfile": 71, "exit": 93, "exit_group": 94, "futex": 98, "clock_gettime": 113,
        "ptrace": 117, "sched_yield": 124, "restart_syscall": 128, "kill": 129,
        "rt_sigaction": 134, "rt_sigreturn": 139, "prctl": 167, "getpid": 172, "socket": 198,
        "brk": 214, "munmap": 215, "mremap": 216, "clone": 220, "execve": 221, "mmap": 222,
        "mprotect": 226, "madvise": 233, "process_vm_readv": 270, "seccomp": 277, "bpf": 280,
        "execveat": 281, "io_uring_setup": 425, "clone3": 435,
    },
}  # fmt: skip
FREE_NAMES = """
munmap brk rt_sigreturn sched_yield mremap madvise exit futex restart_syscall clock_gettime
exit_group
"""
FREE = frozenset(FREE_NAMES.split())


def decide(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """Return what the filter of `machine` answers to a system call."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, ARCHES[machine] if arch is None else arch, 0, *padded)
    code = build_filter(COMMAND_FD, REPLY_FD, machine)
    loaded = position = 0
    while True:
        operation, if_true, if_false, value = struct.unpack_from("=HBBI", code, position * 8)
        position += 1
        match operation:
            case 0x20:
                (loaded,) = struct.unpack_from("=I", data, value)
            case 0x15:
                position += if_true if loaded == value else if_false
            case 0x35:
                position += if_true if loaded >= value else if_false
            case 0x45:
                position += if_true if loaded & value else if_false
            case 0x06:
                return value


@pytest.mark.parametrize("machine", CALLS)
def test_only_memory_time_and_exit_are_free(machine):
    for name, number in CALLS[machine].items():
        conditional = name in ("read", "write", "mmap", "mprotect")
        if not conditional:
            assert decide(machine, number) == (ALLOW if name in FREE else KILL), name


@pytest.mark.parametrize("machine", CALLS)
def test_every_number_that_is_not_listed_kills(machine):
    listed = {CALLS[machine][name] for name in [*FREE, "read", "write", "mmap", "mprotect"]}
    for number in range(600):
        if number not in listed:
            assert decide(machine, number) == KILL, number


@pytest.mark.parametrize("machine", CALLS)
def test_reads_and_writes_go_to_their_pipe_only(machine):
    for name, own in (("read", COMMAND_FD), ("write", REPLY_FD)):
        for descriptor in (0, 1, 2, 3, 4, 5, 1000, 0xFFFF_FFFF):
            wanted = ALLOW if descriptor == own else KILL
            assert decide(machine, CALLS[machine][name], descriptor) == wanted


@pytest.mark.parametrize("machine", CALLS)
def test_memory_is_never_executable(machine):
    for name in ("mmap", "mprotect"):
        number = CALLS[machine][name]
        assert decide(machine, number, 0, 4096, PROT_READ_WRITE) == ALLOW
        assert decide(machine, number, 0, 4096, 0) == ALLOW
        assert decide(machine, number, 0, 4096, PROT_EXEC) == KILL
        assert decide(machine, number, 0, 4096, PROT_READ_WRITE | PROT_EXEC) == KILL


def test_other_call_tables_kill():
    for arch in (0x4000_0003, ARCHES["aarch64"], 0):
        assert decide("x86_64", CALLS["x86_64"]["brk"], arch=arch) == KILL
    x32_bit = 0x4000_0000
    assert decide("x86_64", x32_bit | CALLS["x86_64"]["brk"]) == KILL
    assert decide("aarch64", CALLS["aarch64"]["brk"], arch=ARCHES["x86_64"]) == KILL


def test_this_machine_is_known():
    assert is_supported() == (platform.machine() in CALLS)
