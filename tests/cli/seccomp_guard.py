"""Let the kernel end a process that opens an internet socket: in any thread, in any library, in C too."""

import ctypes
import platform
import socket
import struct
import sys

ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Audit number of the architecture, and its number of the system call `socket`."""
AVAILABLE = sys.platform == "linux" and platform.machine() in ARCHITECTURES
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_SET_SECCOMP, _NO_NEW_PRIVILEGES, _FILTER = 22, 38, 2


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def forbid_sockets() -> None:
    """From now on this process and its children die by SIGSYS when they open a socket of IPv4 or IPv6.

    Raises:
        OSError: the kernel does not allow filters.
    """
    audit, number = ARCHITECTURES[platform.machine()]
    rules = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 0, 6, audit),
        (_LOAD, 0, 0, 0),  # the system call
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, 16),  # its first argument
        (_EQUAL, 1, 0, int(socket.AF_INET)),
        (_EQUAL, 0, 1, int(socket.AF_INET6)),
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(rules), ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel allows no filter")
