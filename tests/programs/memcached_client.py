#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Usage: memcached_client.py HOST PORT

Sets, gets and deletes by memcached's text protocol, several at once, every answer
checked, on connections that stay. Non-blocking sockets (asyncio).
"""

import asyncio
import hashlib
import sys

from payload import SIZES, payload

HOST, PORT = sys.argv[1], int(sys.argv[2])


async def expect(reader, line):
    got = await reader.readline()
    assert got == line + b"\r\n", f"expected {line!r}, found {got!r}"


async def caller(number):
    reader, writer = await asyncio.open_connection(HOST, PORT)
    digest = hashlib.sha256()
    for turn in range(150):
        size = SIZES[turn % len(SIZES)]
        keys = [b"%d-%d-%d" % (number, turn, i) for i in range(1 + turn % 9)]
        for key in keys:
            writer.write(b"set %s 0 0 %d\r\n%s\r\n" % (key, size, payload(key, size)))
        await writer.drain()
        for _ in keys:
            await expect(reader, b"STORED")
        writer.write(b"get %s\r\n" % b" ".join(keys))
        for key in keys:
            await expect(reader, b"VALUE %s 0 %d" % (key, size))
            value = (await reader.readexactly(size + 2))[:-2]
            assert value == payload(key, size), f"{key} came back wrong"
            digest.update(value)
        await expect(reader, b"END")
        writer.write(b"delete %s\r\n" % keys[0])
        await expect(reader, b"DELETED")
    writer.close()
    await writer.wait_closed()
    return digest.hexdigest()


async def main():
    for digest in await asyncio.gather(*(caller(i) for i in range(8))):
        print(digest)


asyncio.run(main())
