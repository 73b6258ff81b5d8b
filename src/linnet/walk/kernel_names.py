# SPDX-License-Identifier: Apache-2.0
"""Names that moved between Linux 3.19 and a recent kernel, and what of a recent kernel's chains is left aside on purpose.

MOVED: a recent kernel's function -> the names it may bear here. SKIPPED_FUNCTIONS: frames without a counterpart that the
rest of the chain does not depend on. ASIDE: (event or *, function in the chain or *, reason): whole events that are not
expected of us.
"""
from __future__ import annotations

MOVED: dict[str, tuple[str, ...]] = {
    '__sys_socket': ('sys_socket',),
    '__sys_connect': ('sys_connect',),
    '__sys_bind': ('sys_bind',),
    '__sys_listen': ('sys_listen',),
    '__sys_sendto': ('sys_sendto',),
    '__sys_recvfrom': ('sys_recvfrom',),
    '__sys_shutdown': ('sys_shutdown',),
    'tcp_stream_alloc_skb': ('sk_stream_alloc_skb',),
    '__tcp_transmit_skb': ('tcp_transmit_skb',),
    '__ip_queue_xmit': ('ip_queue_xmit',),
    'ip_do_fragment': ('ip_fragment',),
    'ip_local_out': ('ip_local_out', 'ip_local_out_sk'),
    'dst_output': ('dst_output_sk',),
    'neigh_output': ('dst_neigh_output',),
    'netdev_core_pick_tx': ('netdev_pick_tx',),
    'kmem_cache_alloc_lru': ('kmem_cache_alloc_lru', 'kmem_cache_alloc'),
    'kmem_cache_alloc': ('kmem_cache_alloc', 'kmem_cache_alloc_node'),
    'inet_bind_sk': ('inet_bind',),
    'skb_copy_datagram_iter': ('skb_copy_datagram_iter',),
    'sk_skb_reason_drop': ('sk_skb_reason_drop', 'kfree_skb_reason'),
    'kfree_skb_list_reason': ('kfree_skb_list_reason', 'kfree_skb_reason'),
    'ip_push_pending_frames': ('ip_push_pending_frames',),
}

SKIPPED_FUNCTIONS = frozenset({'__fput'})

ASIDE: tuple[tuple[str, str, str], ...] = (
    ('*', 'security_inode_alloc', 'security modules are not simulated'),
    ('*', 'security_file_alloc', 'security modules are not simulated'),
    ('*', '__neigh_notify', 'netlink: nobody listens to neighbour notifications'),
    ('*', 'skb_defer_free_flush', 'freeing on another CPU: a world has one'),
)
