"""Binds ports as soon as they are free, for half a minute: `take_ports.py PORT…`. Says which it got."""

import socket
import sys
import time

open_ports = [int(word) for word in sys.argv[1:]]
taken = []
end = time.monotonic() + 30
print("ready", flush=True)
while time.monotonic() < end:
    for port in list(open_ports):
        one = socket.socket()
        try:
            one.bind(("127.0.0.1", port))
            one.listen(1)
        except OSError:
            one.close()
            continue
        taken.append(one)
        open_ports.remove(port)
        print(f"took {port}", flush=True)
