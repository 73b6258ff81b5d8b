# SPDX-License-Identifier: Apache-2.0
"""The error numbers that kernel/ itself returns; include/linux/errno.py, which stands above this room, has them all."""
from __future__ import annotations

from typing import Final

EPERM: Final = 1
ENOENT: Final = 2
EINTR: Final = 4
EBADF: Final = 9
EAGAIN: Final = 11
EACCES: Final = 13
EBUSY: Final = 16
EEXIST: Final = 17
EISDIR: Final = 21
EINVAL: Final = 22
EMFILE: Final = 24
ENOTTY: Final = 25
ESPIPE: Final = 29
EPIPE: Final = 32
ELOOP: Final = 40
EOPNOTSUPP: Final = 95
