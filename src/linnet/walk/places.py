# SPDX-License-Identifier: Apache-2.0
"""Where a function stands: the Linux file that its module mirrors, and the layer of the stack that file belongs to."""

from __future__ import annotations

from pathlib import Path
from types import CodeType

import linnet

ROOT = Path(linnet.__file__).resolve().parent
ROOMS = ('include', 'kernel', 'net', 'drivers')

BSD, INET, TRANSPORT, IP, HARDWARE = 'bsd socket', 'inet sock', 'transport', 'ip', 'hardware'

# The first prefix that fits a file decides; a file without one takes the layer of its caller (skb, slab, checksums).
LAYERS = (
    ('net/socket.c', BSD),
    ('net/unix/', BSD),
    ('kernel/', ''),
    ('mm/', ''),
    ('net/ipv4/af_inet.c', INET),
    ('net/core/sock.c', INET),
    ('net/core/stream.c', INET),
    ('net/core/datagram.c', INET),
    ('net/ipv4/tcp', TRANSPORT),
    ('net/ipv4/inet_', TRANSPORT),
    ('net/core/request_sock.c', TRANSPORT),
    ('net/ipv4/udp', TRANSPORT),
    ('net/ipv4/raw', TRANSPORT),
    ('net/ipv4/ping', TRANSPORT),
    ('net/ipv4/datagram', TRANSPORT),
    ('include/net/route.h', TRANSPORT),
    ('include/net/flow.h', TRANSPORT),
    ('net/ipv4/arp.c', HARDWARE),
    ('net/ipv4/', IP),
    ('net/netfilter/', IP),
    ('include/linux/netfilter.h', IP),
    ('net/core/neighbour.c', HARDWARE),
    ('net/core/dev', HARDWARE),
    ('net/core/flow_dissector.c', HARDWARE),
    ('net/core/gro.c', HARDWARE),
    ('net/core/gso.c', HARDWARE),
    ('net/sched/', HARDWARE),
    ('net/ethernet/', HARDWARE),
    ('net/packet/', HARDWARE),
    ('drivers/net/', HARDWARE),
    ('include/net/neighbour.h', HARDWARE),
    ('include/linux/netdevice.h', HARDWARE),
)

# Functions whose layer is not their file's.
LAYER_OF = {
    'dst_output_sk': IP,
    'dst_input': IP,
    'dst_neigh_output': HARDWARE,
    'ip_route_connect': TRANSPORT,
    'ip_route_newports': TRANSPORT,
}

# Headers whose functions are steps of a walk; those of the others are small change (field reads, comparisons).
SHOWN_HEADERS = ('net/route.py', 'net/flow.py', 'net/dst.py', 'net/neighbour.py', 'linux/netfilter.py', 'linux/netdevice.py')
HIDDEN = (
    'netdev_get_tx_queue',
    'netif_xmit_stopped',
    'netif_running',
    'net_xmit_eval',
    'rt_nexthop',
    'dst_metric',
    'dst_metric_locked',
)


class Place:
    """A function of the stack: its module's path within linnet, its Linux file, and whether a walk shows it."""

    def __init__(self, path: str, linux_file: str, name: str, qualname: str) -> None:
        self.path = path
        self.file = linux_file
        self.name = name
        room = path.split('/', 1)[0]
        self.is_function = '.' not in qualname and not name.startswith('<')
        self.is_tracepoint = path.startswith('include/trace/') or name.startswith('trace_')
        shown = room in ('net', 'drivers') or (room == 'include' and path.split('/', 1)[1] in SHOWN_HEADERS)
        self.shown = (
            (shown or name.startswith('kmem_cache_')) and self.is_function and not self.is_tracepoint and name not in HIDDEN
        )
        self.layer = LAYER_OF.get(name, '')
        if not self.layer:
            for prefix, layer in LAYERS:
                if linux_file.startswith(prefix):
                    self.layer = layer
                    break


def linux_file_of(path: str, module_globals: dict[str, object]) -> str:
    """'net/ipv4/tcp_output.py' -> 'net/ipv4/tcp_output.c'; a prefixed sibling says itself whose part it is (LINUX_FILE)."""
    stated = module_globals.get('LINUX_FILE')
    if isinstance(stated, str):
        return stated
    return path[:-3] + ('.h' if path.startswith('include/') else '.c')


class Places:
    """Code object -> Place, or None for code that is not the stack's."""

    def __init__(self) -> None:
        self.known: dict[CodeType, Place | None] = {}

    def of(self, code: CodeType, module_globals: dict[str, object]) -> Place | None:
        """The place of a function."""
        if code in self.known:
            return self.known[code]
        place = None
        filename = code.co_filename
        if filename.startswith(str(ROOT)):
            path = Path(filename).relative_to(ROOT).as_posix()
            if path.split('/', 1)[0] in ROOMS:
                place = Place(path, linux_file_of(path, module_globals), code.co_name, code.co_qualname)
        self.known[code] = place
        return place
