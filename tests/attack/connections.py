"""Connections, half-sent and endless calls in masses."""

import collections
import concurrent.futures
import os
import resource
import socket
import subprocess
import sys
import time
import urllib.request

from framework import attack
from http2 import Connection
from rpc import messages

SOCKETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sockets.py")
GET_CALLER = "/riseml.v1.UserService/GetCaller"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"


class Sockets:
    """Many TCP connections, without TLS, held by other processes."""

    def __init__(self, port, count):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = hard - 100
        self.processes = []
        self.port = port
        while count > 0:
            self.processes.append(subprocess.Popen([sys.executable, SOCKETS, str(port), str(min(count, most))],
                                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            count -= most
        self.count = sum(int(process.stdout.readline() or 0) for process in self.processes)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


def descriptors_of(case, service):
    """Limit of open files of a service."""
    with open(f"/proc/{case.installation.stack.pid(service)}/limits", encoding="ascii") as file:
        return next(int(line.split()[3]) for line in file if line.startswith("Max open files"))


def all_descriptors(case, service):
    limit = max(descriptors_of(case, unit) for unit in (service, "edge") if os.path.exists(case.path("run", unit + ".pid")))
    count = limit + 200
    sockets = case.closing(Sockets(case.port(service + ".user"), count))
    time.sleep(10)
    case.note(f"{sockets.count} connections; {service} may have {limit} files open")


@attack("A7.api", "as many connections as api has descriptors, no TLS")
def _(case):
    yield
    all_descriptors(case, "api")
    yield


@attack("A7.logs", "the same at loghandler")
def _(case):
    number = case.victim.submit("talk", "echo said")
    case.victim.wait(number)
    yield
    all_descriptors(case, "loghandler")
    yield
    case.check(case.victim.log_now(number, 5) == "said\n", "the victim cannot read a log after it")


@attack("A7.code", "the same at gitsync")
def _(case):
    yield
    all_descriptors(case, "gitsync")
    yield


@attack("load.open", "10,000 connections without handshake, 500 of them slow")
def _(case):
    yield
    case.closing(Sockets(case.port("api.user"), 9_500))
    slow = [case.closing(socket.create_connection(("127.0.0.1", case.port("api.user")))) for _ in range(500)]
    for _ in range(12):
        for one in slow:
            try:
                one.send(b"\x16")
            except OSError:
                pass
        time.sleep(1)
    yield


def hold(case, listener, path, credential, serialised, end, connections, streams, seconds, meanwhile=None):
    """Many streams that stay open; what comes is read. `meanwhile` is called once all are open."""
    opened = []
    begin = time.monotonic()
    for _ in range(connections):
        try:
            one = case.closing(Connection(case.port(listener)))
        except OSError:
            continue
        one.drain(0.05)
        one.send(b"".join(one.request(path, credential, serialised, end) for _ in range(streams)))
        opened.append(one)
    case.note(f"{len(opened)} connections with {streams} streams each in {time.monotonic() - begin:.1f} s")
    if meanwhile:
        time.sleep(2)
        meanwhile()
    while time.monotonic() - begin < seconds:
        for one in opened:
            one.drain()
        time.sleep(0.2)
    case.note(f"{sum(one.closed for one in opened)} connections ended by the server; "
              f"{sum(one.bytes_received for one in opened) / 1e6:.1f} MB received")


@attack("load.half", "10,000 half-sent unary calls, with a key")
def _(case):
    yield
    hold(case, "api.user", GET_CALLER, case.attacker.key, None, False, 100, 100, 12)
    yield


@attack("load.health", "5,000 Health/Watch streams, no credential")
def _(case):
    yield
    hold(case, "api.user", HEALTH_WATCH, "", b"", True, 50, 100, 12)
    yield


@attack("load.keys", "calls with unknown keys, as many as go")
def _(case):
    clients = [case.installation.client("api.user", f"rml_{number:010}" + "a" * 48) for number in range(8)]
    request = messages("v1/user").GetCallerRequest()
    yield

    def work(client):
        made = collections.Counter()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            made[client.code("v1/user:UserService/GetCaller", request)[0]] += 1
        return made

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = sum(pool.map(work, clients), collections.Counter())
    case.note(f"{sum(codes.values()) / 10:.0f} calls/s: {dict(codes)}")
    case.check("OK" not in codes, "an unknown key is taken")
    yield


@attack("A22", "60 half-sent GET /metrics of each service")
def _(case):
    names = [name for name in case.installation.ports if name.endswith(".metrics")]
    for name in names:
        scrape(case, name)
    yield
    sockets = []
    for name in names:
        for _ in range(60):
            one = socket.create_connection(("127.0.0.1", case.port(name)), 5)
            one.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
            sockets.append(case.closing(one))
    for name in names:
        took = scrape(case, name)
        case.check(took < 1, f"{name} takes {took:.1f} s")
    yield


def scrape(case, name):
    """Seconds until /metrics is read; 5 when it is not."""
    begin = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{case.port(name)}/metrics", timeout=5) as answer:
            answer.read()
    except OSError:
        return 5.0
    return time.monotonic() - begin
