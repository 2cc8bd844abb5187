#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Usage: redis_client.py HOST PORT pipelines|pubsub|monitor|fill

What redis-cli cannot do: pipelines whose every answer is checked, a subscriber and a
monitor that must see all there was in the right order. Non-blocking sockets (asyncio).
Prints what it saw; exits with 1 if something was wrong.
"""

import asyncio
import hashlib
import sys

from payload import SIZES, payload

HOST, PORT = sys.argv[1], int(sys.argv[2])


class Connection:
    """One connection that speaks RESP."""

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(HOST, PORT)
        return self

    def send(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.writer.write(b"".join(parts))

    async def answer(self):
        line = (await self.reader.readuntil(b"\r\n"))[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            return (await self.reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return [await self.answer() for _ in range(int(rest))]
        raise ValueError(f"redis said {line!r}")

    async def call(self, *words):
        self.send(*words)
        return await self.answer()

    async def close(self):
        self.writer.close()
        await self.writer.wait_closed()

    async def chat(self, rounds=50):
        """Request and response, for which flows are spliced."""
        for number in range(rounds):
            assert await self.call("ECHO", number) == str(number).encode()


async def one_pipeliner(number):
    connection = await Connection().open()
    digest = hashlib.sha256()
    for turn in range(60):
        size = SIZES[turn % len(SIZES)]
        depth = 1 + turn * 7 % 32
        keys = [f"{number}:{turn}:{i}" for i in range(depth)]
        for key in keys:
            connection.send("SET", key, payload(key, size))
        for key in keys:
            connection.send("GET", key)
        await connection.writer.drain()
        for key in keys:
            assert await connection.answer() == b"OK"
        for key in keys:
            value = await connection.answer()
            assert value == payload(key, size), f"{key} came back wrong"
            digest.update(value)
    await connection.close()
    return digest.hexdigest()


async def pipelines():
    for digest in await asyncio.gather(*(one_pipeliner(i) for i in range(6))):
        print(digest)


async def pubsub():
    subscriber = await Connection().open()
    publisher = await Connection().open()
    count = 5000
    await publisher.chat()
    await subscriber.chat()
    await subscriber.call("SUBSCRIBE", "news")
    for number in range(50):  # a conversation goes on while subscribed
        assert await subscriber.call("PING", number) == [b"pong", str(number).encode()]

    async def publish():
        for number in range(count):
            message = payload(number, SIZES[number % 5])
            publisher.send("PUBLISH", "news", b"%d " % number + message)
            if number % 10 == 9:
                for _ in range(10):
                    assert await publisher.answer() == 1

    task = asyncio.create_task(publish())
    digest = hashlib.sha256()
    for number in range(count):
        kind, channel, message = await subscriber.answer()
        assert (kind, channel) == (b"message", b"news")
        assert message.split(b" ", 1)[0] == b"%d" % number, "out of sequence"
        digest.update(message)
    await task
    print(count, digest.hexdigest())
    await publisher.close()
    await subscriber.close()


async def monitor():
    watcher = await Connection().open()
    writer = await Connection().open()
    count = 3000
    await watcher.chat()
    await writer.chat()
    assert await watcher.call("MONITOR") == b"OK"

    async def write():
        for number in range(count):
            assert await writer.call("SET", "watched", payload(number, number % 300)) == b"OK"

    task = asyncio.create_task(write())
    digest = hashlib.sha256()
    for _ in range(count):
        # +TIME [0 ADDRESS] "SET" ...
        words = (await watcher.answer()).split(b"] ", 1)[1]
        digest.update(words)
    await task
    print(count, digest.hexdigest())
    await writer.close()
    await watcher.close()


async def fill():
    """20 MB, for a replica."""
    connection = await Connection().open()
    for number in range(20000):
        connection.send("SET", f"fill:{number}", payload(number, 1000))
        if number % 10 == 9:
            for _ in range(10):
                assert await connection.answer() == b"OK"
    print(await connection.call("DBSIZE"))
    await connection.close()


COMMANDS = {"pipelines": pipelines, "pubsub": pubsub, "monitor": monitor, "fill": fill}
asyncio.run(COMMANDS[sys.argv[3]]())
