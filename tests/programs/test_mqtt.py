# SPDX-License-Identifier: Apache-2.0
"""paho-mqtt's threaded client with amqtt's broker and client, unmodified."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet.lab import Host

need('amqtt')
need('paho.mqtt')

CONFIG = {
    'listeners': {'default': {'type': 'tcp', 'bind': '0.0.0.0:1883'}},
    'plugins': {'amqtt.plugins.authentication.AnonymousAuthPlugin': {'allow_anonymous': True}},
}


async def broker() -> None:
    from amqtt.broker import Broker

    logging.getLogger('amqtt').setLevel(logging.CRITICAL)
    logging.getLogger('transitions').setLevel(logging.CRITICAL)
    await Broker(CONFIG).start()
    await asyncio.Event().wait()


def test_mqtt(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            import paho.mqtt.client as mqtt

            done = threading.Event()

            def connected(paho: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
                out.append(str(reason))
                paho.subscribe('news/#', qos=1)

            def subscribed(paho: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
                for i in range(5):
                    paho.publish(f'news/{i}', b'text %d' % i, qos=1)
                paho.publish('news/big', b'x' * 100_000, qos=2)

            def heard(paho: Any, userdata: Any, message: Any) -> None:
                out.append((message.topic, len(message.payload)))
                if message.topic == 'news/end':
                    done.set()
                elif message.topic == 'news/big':
                    paho.publish('news/end', b'')

            paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id='paho')
            paho.on_connect, paho.on_subscribe, paho.on_message = connected, subscribed, heard
            paho.connect_async('server', 1883)
            threading.Event().wait(2)
            paho.loop_start()
            done.wait()
            paho.disconnect()
            paho.loop_stop()

        server.spawn(lambda: asyncio.run(broker()), daemon=True)
        client.spawn(talk)

    got = twice(tmp_path, build)
    assert got[0] == 'Success'
    assert sorted(got[1:]) == [*[(f'news/{i}', 6) for i in range(5)], ('news/big', 100_000), ('news/end', 0)]


def test_amqtt_client(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def talk() -> None:
            from amqtt.client import MQTTClient

            await asyncio.sleep(2)
            mine = MQTTClient(client_id='mine', config={'auto_reconnect': False})
            await mine.connect('mqtt://server/')
            await mine.subscribe([('a/b', 1)])
            await mine.publish('a/b', b'text', qos=1)
            out.append(bytes((await mine.deliver_message()).data))
            await mine.disconnect()

        server.spawn(lambda: asyncio.run(broker()), daemon=True)
        client.spawn(lambda: asyncio.run(talk()))

    assert twice(tmp_path, build) == [b'text']
