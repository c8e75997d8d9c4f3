"""Pushes hand-made git objects to gitsync."""

import hashlib
import struct

from rpc import messages

BLOB, TREE = 1, 2
ZSTD_BLOCK = 128 << 10


class Object:
    def __init__(self, kind, content):
        self.kind = kind
        self.content = content
        self.oid = hashlib.sha1(b"%s %d\0" % (b"blob" if kind == BLOB else b"tree", len(content)) + content).digest()


def blob(content):
    return Object(BLOB, content)


def tree(entries, mode=None):
    """A tree of (name, object) in the order given; names are bytes or text."""
    content = b""
    for name, entry in entries:
        kind = mode or (b"40000" if entry.kind == TREE else b"100644")
        content += kind + b" " + (name if isinstance(name, bytes) else name.encode()) + b"\0" + entry.oid
    return Object(TREE, content)


def zstd(data):
    """A zstd frame that holds the data as it is."""
    out = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data))
    blocks = [data[at:at + ZSTD_BLOCK] for at in range(0, len(data), ZSTD_BLOCK)] or [b""]
    for number, block in enumerate(blocks):
        out += struct.pack("<I", (number == len(blocks) - 1) | len(block) << 3)[:3] + block
    return out


def requests(project, objects, root, parent=""):
    file = messages("v1/file")
    yield file.PushRequest(header={"project": project, "tree": root.oid, "parent": parent})
    for one in objects:
        piece = file.ObjectPiece(oid=one.oid, kind=one.kind, object_bytes=len(one.content), piece_bytes=len(one.content))
        yield file.PushRequest(frame={"data": zstd(one.content), "pieces": [piece]})


def push(case, project, objects, root):
    """Pushes as the attacker; returns the commit."""
    # The edge takes large calls of keys only that it has seen before.
    case.attacker.client().call("v1/user:UserService/GetCaller", messages("v1/user").GetCallerRequest())
    call = case.attacker.client("gitsync.user").write(
        "v1/file:FileService/Push", requests(case.attacker.parent() + "/projects/" + project, objects, root))
    return call.revision.name.rsplit("/", 1)[1]
