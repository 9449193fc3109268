"""Runs a command to which the kernel refuses vsock sockets: `python without_vsock.py COMMAND [ARGUMENT...]`.

adbd listens on a vsock port too, and vsock knows no network namespaces: the machine around a virtual machine could
reach it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_SOCKET = {"x86_64": 41, "aarch64": 198}  # numbers of the system call
_AF_VSOCK = 40
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
# linux/bpf_common.h and linux/seccomp.h
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARGUMENT_0_AT = 0, 16  # in struct seccomp_data


def refuse_vsock() -> None:
    """From here on, and in all that is started, socket(AF_VSOCK, …) fails as on a kernel without it."""
    program = (
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_IF_EQUAL, 0, 3, _SOCKET[platform.machine()]),
        (_LOAD, 0, 0, _ARGUMENT_0_AT),
        (_JUMP_IF_EQUAL, 0, 1, _AF_VSOCK),
        (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header)):
        arguments = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in words[1:]]
        arguments += [ctypes.c_ulong(0)] * (4 - len(arguments))
        if libc.prctl(words[0], *arguments):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse_vsock()
    os.execvp(sys.argv[1], sys.argv[1:])
