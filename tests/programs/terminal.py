#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Usage: terminal.py COMMAND...

Types into a command on a terminal of its own, key by key, and waits each time until the
far end has echoed the key. Prints what was on the screen.
"""

import os
import pty
import re
import select
import sys

LINES = [f"echo line {i} $(({i} * {i}))" for i in range(40)]


def screen_until(fd, wanted):
    shown = b""
    while wanted not in shown:
        if not select.select([fd], [], [], 60)[0]:
            sys.exit(f"waited for {wanted!r}, found {shown!r}")
        shown += os.read(fd, 4096)
    return shown


def main():
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    screen_until(fd, b"> ")
    for line in LINES:
        for key in line.encode():
            os.write(fd, bytes([key]))
            screen_until(fd, bytes([key]))
        os.write(fd, b"\r")
        answer = screen_until(fd, b"\n> ").decode()
        print(re.sub(r"\s+", " ", answer))
    # much output, and a stop of it by the interrupt key
    os.write(fd, b"yes | head -n 200000; echo the end\r")
    screen_until(fd, b"\nthe end")
    os.write(fd, b"sleep 600\r")
    screen_until(fd, b"sleep 600")
    os.write(fd, b"\x03")
    screen_until(fd, b"> ")
    os.write(fd, b"exit 5\r")
    print("exit code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


main()
