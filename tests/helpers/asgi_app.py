# SPDX-License-Identifier: Apache-2.0
"""An application served by uvicorn on port 8000: /big is 3 MB, all else says where it was asked for. No word of Linnet."""
from __future__ import annotations

from typing import Any

import uvicorn

BIG = bytes(range(256)) * 12_000


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI."""
    if scope['type'] == 'lifespan':
        while True:
            message = await receive()
            await send({'type': message['type'] + '.complete'})
            if message['type'] == 'lifespan.shutdown':
                return
    body = BIG if scope['path'] == '/big' else scope['path'].encode()
    head = [(b'content-length', b'%d' % len(body))]
    await send({'type': 'http.response.start', 'status': 200, 'headers': head})
    await send({'type': 'http.response.body', 'body': body})


if __name__ == '__main__':
    uvicorn.run(app, host='0.0.0.0', port=8000, log_level='warning')
