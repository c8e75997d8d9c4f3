"""Opens TCP connections and keeps them until its standard input ends: `sockets.py PORT COUNT`. Prints how many there are.

A program of its own, as one process may have no more descriptors than the service that it attacks.
"""

import resource
import socket
import sys
import time


def main():
    port, count = int(sys.argv[1]), int(sys.argv[2])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened = []
    for number in range(count):
        try:
            one = socket.socket()
            one.setblocking(False)
            # One loopback address has too few ports.
            one.bind((f"127.0.1.{1 + number // 15_000}", 0))
            one.connect_ex(("127.0.0.1", port))
            opened.append(one)
        except OSError:
            break
        if number % 100 == 99:
            time.sleep(0.01)  # the backlog
    print(len(opened), flush=True)
    while sys.stdin.read(1):
        pass


if __name__ == "__main__":
    main()
