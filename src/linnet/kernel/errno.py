# SPDX-License-Identifier: Apache-2.0
"""The error numbers that kernel/ itself returns; include/linux/errno.py, which stands above this room, has them all."""
from __future__ import annotations

from typing import Final

EPERM: Final = 1
ENOENT: Final = 2
EINTR: Final = 4
EBADF: Final = 9
EACCES: Final = 13
EEXIST: Final = 17
EINVAL: Final = 22
EMFILE: Final = 24
ENOTTY: Final = 25
ELOOP: Final = 40
EOPNOTSUPP: Final = 95
