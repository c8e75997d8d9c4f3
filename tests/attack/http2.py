"""A small HTTP/2 client over TLS that says whatever it is told to: frames, without a state machine that would forbid any."""

import os
import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
CANCEL = 8
LARGEST_WINDOW = (1 << 31) - 1
LARGEST_FRAME = 16384


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, prefix_bits, first=0):
    """An integer in HPACK's form."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytearray([first | most])
    value -= most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(name, value):
    """A header field, literal and not indexed."""
    name, value = (os.fsencode(text) for text in (name, value))
    return b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value


def indexed_field(name, value):
    """A header field that the receiver is to keep in its table."""
    name, value = (os.fsencode(text) for text in (name, value))
    return b"\x40" + integer(len(name), 7) + name + integer(len(value), 7) + value


def reference(index):
    """A field of the receiver's table, 62 or more for those that were sent."""
    return integer(index, 7, 0x80)


def request_fields(path, credential="", extra=()):
    pairs = [(":method", "POST"), (":scheme", "https"), (":path", path), (":authority", "localhost"),
             ("content-type", "application/grpc"), ("te", "trailers")]
    if credential:
        pairs.append(("authorization", "Bearer " + credential))
    return b"".join(field(name, value) for name, value in (*pairs, *extra))


def message(serialised):
    """A message in gRPC's frame."""
    return struct.pack(">BI", 0, len(serialised)) + serialised


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


class Connection:
    """One connection. Lives on one thread. What the server sends is read and counted by drain(), never answered but for SETTINGS and PING."""

    def __init__(self, port, timeout=10.0, window=LARGEST_WINDOW):
        raw = socket.create_connection(("127.0.0.1", port), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls_context().wrap_socket(raw)
        self.socket.settimeout(timeout)
        self.timeout = timeout
        self.next_stream = 1
        self.received = {}  # frames by kind
        self.bytes_received = 0
        self.closed = False
        self.answers = True  # SETTINGS and PING
        self.goaway = None
        self._buffer = b""
        self.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)) +
                  (frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", window - 65535)) if window > 65535 else b""))
        for _ in range(10):  # its settings first: they may not be answered within a header
            if SETTINGS in self.received or self.closed:
                break
            self.drain(0.2)

    def stream(self):
        self.next_stream += 2
        return self.next_stream - 2

    def send(self, data):
        """False once the server has closed the connection."""
        if self.closed:
            return False
        try:
            self.socket.sendall(data)
        except (OSError, ssl.SSLError):
            self.closed = True
        return not self.closed

    def request(self, path, credential, serialised=None, end=True, extra=()):
        """Begins a call; without a message the stream stays half sent. Returns the frames."""
        stream = self.stream()
        out = frame(HEADERS, END_HEADERS, stream, request_fields(path, credential, extra))
        if serialised is not None:
            body = message(serialised)
            pieces = [body[at:at + LARGEST_FRAME] for at in range(0, len(body), LARGEST_FRAME)]
            for piece in pieces[:-1]:
                out += frame(DATA, 0, stream, piece)
            out += frame(DATA, END_STREAM if end else 0, stream, pieces[-1])
        return out

    def drain(self, wait=0.0):
        """Reads what there is, waiting at most `wait` seconds for the first byte."""
        self.socket.settimeout(wait if wait > 0 else 0.0)
        try:
            while not self.closed:
                data = self.socket.recv(1 << 16)
                if not data:
                    self.closed = True
                self.bytes_received += len(data)
                self._take(data)
                self.socket.settimeout(0.0)
        except (ssl.SSLWantReadError, BlockingIOError, socket.timeout, TimeoutError):
            pass
        except (OSError, ssl.SSLError):
            self.closed = True
        finally:
            try:
                self.socket.settimeout(self.timeout)
            except OSError:
                self.closed = True

    def _take(self, data):
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= 9:
            size = int.from_bytes(self._buffer[at:at + 3], "big")
            if len(self._buffer) - at < 9 + size:
                break
            kind, flags = self._buffer[at + 3], self._buffer[at + 4]
            payload = self._buffer[at + 9:at + 9 + size]
            at += 9 + size
            self.received[kind] = self.received.get(kind, 0) + 1
            if not self.answers:
                continue
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self.send(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY:
                self.goaway = (int.from_bytes(payload[4:8], "big"), payload[8:])
        self._buffer = self._buffer[at:]

    def close(self):
        self.closed = True
        try:
            self.socket.close()
        except OSError:
            pass
