# SPDX-License-Identifier: Apache-2.0
"""Captures: what passes chosen devices, written as pcapng with stamps in nanoseconds of the world's clock.

A tap is a packet_type for ETH_P_ALL on each device, as a packet socket's: it gets a clone of what is sent just before the
driver and of what is received just before the protocol. Checksums that were left to the device are filled in the written
copy; super-segments are written as they pass, uncut, as on a Linux host. Equal runs give equal bytes: nothing of the real
machine goes into the file.

Format: pcapng (draft-ietf-opsawg-pcapng): one section header, an interface description a device, then enhanced packet blocks.
"""
from __future__ import annotations

import struct
import sys
from io import BufferedWriter
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ARPHRD_ETHER, ARPHRD_LOOPBACK, ETH_P_ALL
from linnet.include.linux.netdevice import NetDevice, PacketType
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, PACKET_OUTGOING, SkBuff
from linnet.include.net.net_namespace import dev_net
from linnet.net.core.dev import dev_add_pack, dev_remove_pack
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.core.skbuff import consume_skb, skb_bytes

BLOCK_SECTION: Final = 0x0A0D0D0A
BLOCK_INTERFACE: Final = 1
BLOCK_PACKET: Final = 6
BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
LINKTYPE_ETHERNET: Final = 1
LINKTYPE_RAW: Final = 101  # an IP header comes first
OPT_END: Final = 0
OPT_COMMENT: Final = 1
IF_NAME: Final = 2
IF_TSRESOL: Final = 9
EPB_FLAGS: Final = 2
INBOUND: Final = 1
OUTBOUND: Final = 2
SNAPLEN: Final = 262144
THIS_FILE: Final = 'linnet.drivers.net.pcap'
STACK_ROOMS: Final = ('linnet.net.', 'linnet.drivers.', 'linnet.kernel.softirq')


def pcapng_option(code: int, value: bytes) -> bytes:
    """One option, padded to 32 bits."""
    return struct.pack('<HH', code, len(value)) + value + bytes(-len(value) % 4)


def pcapng_block(kind: int, body: bytes) -> bytes:
    """One block around a body whose length is a multiple of 4."""
    total = len(body) + 12
    return struct.pack('<II', kind, total) + body + struct.pack('<I', total)


def pcapng_section() -> bytes:
    """The section header: version 1.0, length not told."""
    return pcapng_block(BLOCK_SECTION, struct.pack('<IHHq', BYTE_ORDER_MAGIC, 1, 0, -1))


def pcapng_interface(linktype: int, name: str, snaplen: int) -> bytes:
    """The description of an interface whose stamps count nanoseconds."""
    options = pcapng_option(IF_NAME, name.encode()) + pcapng_option(IF_TSRESOL, b'\x09') + pcapng_option(OPT_END, b'')
    return pcapng_block(BLOCK_INTERFACE, struct.pack('<HHI', linktype, 0, snaplen) + options)


def pcapng_packet(interface: int, stamp_ns: int, data: bytes, orig_len: int, direction: int, comment: str) -> bytes:
    """A packet: data may be cut short, orig_len is what it was."""
    options = pcapng_option(EPB_FLAGS, struct.pack('<I', direction))
    if comment:
        options = pcapng_option(OPT_COMMENT, comment.encode()) + options
    head = struct.pack('<IIIII', interface, stamp_ns >> 32, stamp_ns & 0xFFFFFFFF, len(data), orig_len)
    return pcapng_block(BLOCK_PACKET, head + data + bytes(-len(data) % 4) + options + pcapng_option(OPT_END, b''))


def call_path() -> str:
    """The stack's functions that run now, outermost first: 'tcp_sendmsg > tcp_push > ...'; '' where they are compiled."""
    names: list[str] = []
    frame = sys._getframe()
    while True:
        module = str(frame.f_globals.get('__name__', ''))
        if module.startswith(STACK_ROOMS) and module != THIS_FILE:
            names.append(frame.f_code.co_name)
        back = frame.f_back
        if back is None:
            break
        frame = back
    names.reverse()
    return ' > '.join(names)


class PcapDevTap(PacketType):
    """The tap on one device."""

    def __init__(self, tap: PcapTap, dev: NetDevice, interface: int) -> None:
        super().__init__(ETH_P_ALL, dev)
        self.tap: PcapTap = tap
        self.interface: int = interface

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> i64:
        """Write the packet, and end the clone that the tap was given."""
        self.tap.packet(skb, dev, self.interface)
        consume_skb(skb)
        return 0


class PcapTap:
    """A capture of the given devices into a file, until close(). OSError where the file cannot be made.

    comments: each packet carries the functions that sent or received it (where the stack runs interpreted). snaplen: bytes kept
    of each.
    """

    def __init__(self, path: str, devs: list[NetDevice], comments: bool = False, snaplen: int = SNAPLEN) -> None:
        self.path: str = path
        self.comments: bool = comments
        self.snaplen: int = snaplen
        self.packets: int = 0
        self.file: BufferedWriter | None = open(path, 'wb')  # noqa: SIM115 - close() ends it
        self.taps: list[PcapDevTap] = []
        self.write(pcapng_section())
        for dev in devs:
            ethernet = dev.type == ARPHRD_ETHER or dev.type == ARPHRD_LOOPBACK
            self.write(pcapng_interface(LINKTYPE_ETHERNET if ethernet else LINKTYPE_RAW, f'{dev.net.name}:{dev.name}', snaplen))
        interface = 0
        for dev in devs:
            tap = PcapDevTap(self, dev, interface)
            interface += 1
            self.taps.append(tap)
            dev_add_pack(dev_net(dev), tap)

    def write(self, block: bytes) -> None:
        """Append a block to the file."""
        file = self.file
        if file is not None:
            file.write(block)

    def packet(self, skb: SkBuff, dev: NetDevice, interface: int) -> None:
        """Write a packet; skb is the tap's own."""
        sent = skb.pkt_type == PACKET_OUTGOING
        if skb.ip_summed == CHECKSUM_PARTIAL:
            skb_checksum_help(skb)
        if not sent and 0 <= skb.mac_header < skb.data:
            skb.len += skb.data - skb.mac_header
            skb.data = skb.mac_header
        data = skb_bytes(skb)
        size = len(data)
        if size > self.snaplen:
            data = data[:self.snaplen]
        comment = call_path() if self.comments else ''
        clock = dev.net.clock
        stamp = clock.epoch_ns + int(clock.now)
        self.packets += 1
        self.write(pcapng_packet(interface, stamp, data, size, OUTBOUND if sent else INBOUND, comment))

    def flush(self) -> None:
        """What was captured so far is in the file."""
        file = self.file
        if file is not None:
            file.flush()

    def close(self) -> None:
        """End the capture; a second call does nothing."""
        for tap in self.taps:
            dev = tap.dev
            if dev is not None:
                dev_remove_pack(dev_net(dev), tap)
        self.taps = []
        file = self.file
        self.file = None
        if file is not None:
            file.close()
