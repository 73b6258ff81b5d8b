# SPDX-License-Identifier: Apache-2.0
"""The bits of poll(2) and epoll(7), with Linux's values: a poll method returns a mask of them, a wake-up carries one.

Linux: include/uapi/asm-generic/poll.h, include/uapi/linux/eventpoll.h.
"""
from __future__ import annotations

from typing import Final

POLLIN: Final = 0x0001
POLLPRI: Final = 0x0002
POLLOUT: Final = 0x0004
POLLERR: Final = 0x0008
POLLHUP: Final = 0x0010
POLLNVAL: Final = 0x0020
POLLRDNORM: Final = 0x0040
POLLRDBAND: Final = 0x0080
POLLWRNORM: Final = 0x0100
POLLWRBAND: Final = 0x0200
POLLMSG: Final = 0x0400
POLLREMOVE: Final = 0x1000
POLLRDHUP: Final = 0x2000
POLLFREE: Final = 0x4000
POLL_BUSY_LOOP: Final = 0x8000

EPOLLIN: Final = 0x0001
EPOLLPRI: Final = 0x0002
EPOLLOUT: Final = 0x0004
EPOLLERR: Final = 0x0008
EPOLLHUP: Final = 0x0010
EPOLLNVAL: Final = 0x0020
EPOLLRDNORM: Final = 0x0040
EPOLLRDBAND: Final = 0x0080
EPOLLWRNORM: Final = 0x0100
EPOLLWRBAND: Final = 0x0200
EPOLLMSG: Final = 0x0400
EPOLLRDHUP: Final = 0x2000
EPOLLEXCLUSIVE: Final = 1 << 28
EPOLLWAKEUP: Final = 1 << 29
EPOLLONESHOT: Final = 1 << 30
EPOLLET: Final = 1 << 31

DEFAULT_POLLMASK: Final = EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM  # of a file that has no poll method

EPOLL_CTL_ADD: Final = 1
EPOLL_CTL_DEL: Final = 2
EPOLL_CTL_MOD: Final = 3
