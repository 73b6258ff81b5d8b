# SPDX-License-Identifier: Apache-2.0
"""The peer of bench_simulate.py: the same path in ns-3, one JSON line. Usage: simulate_ns3.py PATH SECONDS SEED (needs `pip
install ns`).
"""
from __future__ import annotations

import json
import sys
import time

from ns import ns  # type: ignore[import-not-found]

MSS = 1448


def default(name: str, value: object) -> None:
    """Set one of ns-3's defaults."""
    ns.Config.SetDefault('ns3::' + name, value)


def main() -> None:
    """Build the path, run it, count what the sink received."""
    path, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    ns.RngSeedManager.SetSeed(1)
    ns.RngSeedManager.SetRun(seed)
    default('TcpSocket::SegmentSize', ns.UintegerValue(MSS))
    default('TcpSocket::SndBufSize', ns.UintegerValue(4 << 20))
    default('TcpSocket::RcvBufSize', ns.UintegerValue(1 << 20))
    default('TcpL4Protocol::SocketType', ns.TypeIdValue(ns.TypeId.LookupByName('ns3::TcpNewReno')))
    count = 10 if path == 'd' else 3
    nodes = ns.NodeContainer()
    nodes.Create(count)
    ns.InternetStackHelper().Install(nodes)
    address = ns.Ipv4AddressHelper()
    address.SetBase(ns.Ipv4Address('10.0.0.0'), ns.Ipv4Mask('255.255.255.0'))
    for i in range(count - 1):
        last = i == count - 2
        helper = ns.PointToPointHelper()
        helper.SetDeviceAttribute('DataRate', ns.StringValue('100Mbps' if last else '1Gbps'))
        helper.SetChannelAttribute('Delay', ns.StringValue('10ms' if last else '1ms'))
        devices = helper.Install(nodes.Get(i), nodes.Get(i + 1))
        interfaces = address.Assign(devices)
        address.NewNetwork()
    if path == 'c':
        errors = ns.CreateObject['RateErrorModel']()
        errors.SetAttribute('ErrorRate', ns.DoubleValue(0.01))
        errors.SetAttribute('ErrorUnit', ns.StringValue('ERROR_UNIT_PACKET'))
        devices.Get(1).SetAttribute('ReceiveErrorModel', ns.PointerValue(errors))
    ns.Ipv4GlobalRoutingHelper.PopulateRoutingTables()
    target = ns.InetSocketAddress(interfaces.GetAddress(1), 5001).ConvertTo()
    sink = ns.PacketSinkHelper('ns3::TcpSocketFactory', ns.InetSocketAddress(ns.Ipv4Address.GetAny(), 5001).ConvertTo())
    sinks = sink.Install(nodes.Get(count - 1))
    sinks.Start(ns.Seconds(0))
    source = ns.BulkSendHelper('ns3::TcpSocketFactory', target)
    source.SetAttribute('MaxBytes', ns.UintegerValue(0))
    source.Install(nodes.Get(0)).Start(ns.Seconds(0))
    ns.Simulator.Stop(ns.Seconds(seconds))
    begin = time.perf_counter()
    ns.Simulator.Run()
    wall = time.perf_counter() - begin
    received = sinks.Get(0).GetObject[ns.PacketSink]().GetTotalRx()
    segments = received // MSS
    print(json.dumps({'segments': segments, 'wall_s': round(wall, 3), 'segments_per_s': round(segments / wall),
                      'goodput_mbit': round(received * 8e-6 / seconds, 2)}))


if __name__ == '__main__':
    main()
