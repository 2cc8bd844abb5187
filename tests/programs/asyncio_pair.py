#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Usage: asyncio_pair.py serve PORT | call HOST PORT
          asyncio_pair.py serve-ws PORT | call-ws URL

A server that echoes messages with a length in front, or WebSocket messages, and clients
that send while they receive and check every byte.
"""

import asyncio
import hashlib
import sys

from payload import SIZES, payload

CONNECTIONS = 6


# ---- streams ------------------------------------------------------------------


async def echo(reader, writer):
    try:
        while True:
            head = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(head, "big"))
            writer.write(head + body)
            await writer.drain()
    except asyncio.IncompleteReadError as end:
        assert not end.partial, "ended within a message"
    writer.close()


async def serve(port):
    server = await asyncio.start_server(echo, "0.0.0.0", int(port))
    print("ready", flush=True)
    await server.serve_forever()


async def caller(host, port, number):
    reader, writer = await asyncio.open_connection(host, int(port))
    digest = hashlib.sha256()
    for turn in range(200):
        size = SIZES[turn % len(SIZES)]
        depth = 1 + turn * 5 % 12  # messages under way at once
        for i in range(depth):
            writer.write(size.to_bytes(4, "big") + payload((number, turn, i), size))
        drained = asyncio.ensure_future(writer.drain())
        for i in range(depth):
            assert int.from_bytes(await reader.readexactly(4), "big") == size
            body = await reader.readexactly(size)
            assert body == payload((number, turn, i), size), f"turn {turn} came back wrong"
            digest.update(body)
        await drained
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    return digest.hexdigest()


async def call(host, port):
    for digest in await asyncio.gather(*(caller(host, port, i) for i in range(CONNECTIONS))):
        print(digest)


# ---- WebSocket ----------------------------------------------------------------


async def echo_ws(socket):
    async for message in socket:
        await socket.send(message)


async def serve_ws(port):
    from websockets.asyncio.server import serve

    async with serve(echo_ws, "0.0.0.0", int(port), compression=None) as server:
        print("ready", flush=True)
        await server.serve_forever()


async def caller_ws(url, number):
    from websockets.asyncio.client import connect

    digest = hashlib.sha256()
    async with connect(url, compression=None) as socket:
        for turn in range(200):
            data = payload((number, turn), SIZES[turn % len(SIZES)])
            depth = 1 + turn % 4
            for _ in range(depth):
                await socket.send(data)
            for _ in range(depth):
                assert await socket.recv() == data, f"turn {turn} came back wrong"
            digest.update(data)
        await (await socket.ping())
    return digest.hexdigest()


async def call_ws(url):
    for digest in await asyncio.gather(*(caller_ws(url, i) for i in range(CONNECTIONS))):
        print(digest)


COMMANDS = {"serve": serve, "call": call, "serve-ws": serve_ws, "call-ws": call_ws}
asyncio.run(COMMANDS[sys.argv[1]](*sys.argv[2:]))
