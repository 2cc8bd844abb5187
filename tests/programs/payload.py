# SPDX-License-Identifier: Apache-2.0
"""Bytes that tell where they belong, for the clients and servers here."""

import hashlib

SIZES = [1, 10, 100, 1000, 4096, 20000, 100000]


def payload(seed, size):
    block = hashlib.sha256(str(seed).encode()).digest()
    return (block * (size // len(block) + 1))[:size]
