"""Attacks that have always failed, and must go on failing: TLS, compression, rights, hostile input, secrets on the disk."""

import base64
import glob
import gzip
import os
import random
import socket
import ssl
import stat
import time
import uuid

import grpc

from calls import CREATE_LIMIT_S, EXPERIMENTS, at_once, creation, revision
from framework import attack
from http2 import DATA, END_HEADERS, HEADERS, Connection, frame, request_fields
from job_scripts import token_of_job
from rpc import PROTOS, messages

STREAMS = ("Follow", "WatchExperiment", "GetArchive")  # of responses
READING = ("Get", "List", "Watch", "Follow")
PUBLIC_MODULES = sorted("v1/" + os.path.basename(path)[:-6] for path in glob.glob(os.path.join(PROTOS, "riseml", "v1", "*.proto")))


def public_methods():
    """(name for Client, method) of every method that is served to users."""
    for module in PUBLIC_MODULES:
        for service in messages(module).DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"{module}:{service.name}/{method.name}", method


def listener_of(method):
    return {"FileService": "gitsync.user", "LogService": "loghandler.user"}.get(method.containing_service.name, "api.user")


def handshake(port, version, ciphers):
    """Whether the server agrees to a version of TLS and some ciphers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.set_ciphers(ciphers)
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", port), 5) as raw, context.wrap_socket(raw):
            return True
    except (OSError, ssl.SSLError, ValueError):
        return False


@attack("tls", "old versions of TLS, weak ciphers, no TLS, no certificate")
def _(case):
    yield
    for name, port in case.installation.ports.items():
        if name.endswith(".metrics"):
            continue
        for version in (ssl.TLSVersion.SSLv3, ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            case.check(not handshake(port, version, "ALL:@SECLEVEL=0"), f"{name} speaks {version.name}")
        case.check(not handshake(port, ssl.TLSVersion.TLSv1_2, "NULL:EXPORT:RC4:3DES:aNULL:@SECLEVEL=0"), f"{name} takes weak ciphers")
        with socket.create_connection(("127.0.0.1", port), 5) as raw:
            raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
            raw.settimeout(2)
            try:
                case.check(not raw.recv(9).startswith(b"\0\0"), f"{name} answers without TLS")
            except OSError:
                pass
    for name in ("api.internal", "builder.internal", "gitsync.internal", "scheduler.internal", "agent.internal"):
        client = case.installation.client(name, case.installation.admin_key)
        code, _ = client.code("v1/user:UserService/GetCaller", messages("v1/user").GetCallerRequest(), 5)
        case.check(code != "OK", f"{name} answers without a client certificate")
    directory = os.stat(case.installation.sockets)
    case.check(directory.st_mode & 0o077 == 0, "others may enter the directory of sockets")
    yield


@attack("gzip", "256 MiB of zeros in 261 KB, 8 times")
def _(case):
    body = gzip.compress(bytes(256 << 20))
    yield
    for _ in range(8):
        one = case.closing(Connection(case.port("api.user")))
        stream = one.stream()
        one.send(frame(HEADERS, END_HEADERS, stream, request_fields("/riseml.v1.UserService/GetCaller", case.attacker.key, [("grpc-encoding", "gzip")])))
        data = b"\1" + len(body).to_bytes(4, "big") + body
        for at in range(0, len(data), 16_384):
            one.send(frame(DATA, int(at + 16_384 >= len(data)), stream, data[at:at + 16_384]))
            one.drain()
    time.sleep(5)
    yield


def fill(message, names):
    """Fills the text fields of a message that name something with the victim's names."""
    for field in message.DESCRIPTOR.fields:
        if field.type == field.TYPE_STRING and field.label != field.LABEL_REPEATED and field.name in names:
            setattr(message, field.name, names[field.name])
        elif field.name == "request_id":
            message.request_id = str(uuid.uuid4())


@attack("rights", "every method with another user's names, or without a right")
def _(case):
    number = case.victim.submit("secret", "echo secret", {"code.txt": "secret"})
    case.victim.wait(number)
    theirs = case.victim.experiment(number)
    token = token_of_job(case)
    yield
    present = {"experiment": theirs["name"], "job": theirs["name"] + "/jobs/train", "project": theirs["project"],
               "revision": theirs["revision"], "user": "users/victim", "secret": "users/victim/secrets/X"}
    absent = {"experiment": "users/victim/experiments/999", "job": "users/victim/experiments/999/jobs/train", "project": "users/victim/projects/none",
              "revision": "users/victim/projects/none/revisions/" + "0" * 40, "user": "users/nobody", "secret": "users/victim/secrets/Y"}
    tried = own = 0
    for who, credential in (("the victim", case.victim.key), ("another user", case.attacker.key), ("a job", token), ("nobody", "")):
        clients = {name: case.installation.client(name, credential) for name in ("api.user", "gitsync.user", "loghandler.user")}
        for name, method in public_methods():
            if method.name in ("Push", "Ingest") or who == "the victim" and not method.name.startswith(READING):
                continue
            answers = []
            for names in (present, absent):
                for kind, value in names.items():
                    request = method.input_type._concrete_class()
                    fill(request, {field: value for field in ("name", "parent", "user", "experiment", "job", "revision", "project")})
                    answers.append((kind, *answer(clients[listener_of(method)], name, method, request)))
                    tried += 1
            if who == "the victim":
                own += any(code == "OK" and mentions(text, theirs) for _, code, text in answers)
                continue
            for (kind, code, text), (_, absent_code, absent_text) in zip(answers[:6], answers[6:]):
                case.check(code != "OK" or not mentions(text, theirs), f"{who} gets an answer of {name} about the victim's {kind}")
                if kind == "experiment" and code == "NOT_FOUND":
                    case.check(code == absent_code, f"{who}: {name} tells the victim's experiments from absent ones")
    case.check(own >= 8, f"only {own} methods answer the victim's own calls: the others' say nothing")
    case.note(f"{tried} calls; {own} methods answer the victim's own")
    yield


def answer(client, name, method, request):
    """(code, text of the response or message) of a call of any kind."""
    try:
        if method.name in STREAMS:
            return "OK", str(next(iter(client.read(name, request, 1)), ""))
        return "OK", str(client.call(name, request, 5))
    except grpc.RpcError as error:
        return error.code().name, error.details()


def mentions(text, experiment):
    return "users/victim/" in text or experiment["uid"] in text or "secret" in text


@attack("yaml", "alias bombs, deep nesting and large numbers in riseml.yml")
def _(case):
    project, commit = revision(case, "yaml")
    client = case.attacker.client()
    bomb = "project: %s\na0: &a0 [x, x]\n" % project + "".join(
        f"a{n}: &a{n} [{', '.join(['*a%d' % (n - 1)] * 9)}]\n" for n in range(1, 12))
    texts = {
        "aliases": bomb + "train: {image: 'python:3.11', resources: {}, run: *a11}\n",
        "aliases in env": bomb + "train: {image: 'python:3.11', resources: {}, run: 'true', env: *a11}\n",
        "itself": f"project: {project}\ntrain: &t {{image: 'python:3.11', resources: {{}}, run: [*t]}}\n",
        "brackets": f"project: {project}\ntrain: " + "[" * 30_000,
        "braces": f"project: {project}\ntrain: " + "{a: " * 15_000,
        "indentation": f"project: {project}\n" + "".join(" " * n + "a:\n" for n in range(300)),
        "range": f"project: {project}\ntrain: {{image: 'python:3.11', resources: {{}}, run: 'true', parameters: {{a: {{range: "
                 "{min: 1, max: 1e300, step: 1e-300}}}}}\n",
        "product": f"project: {project}\ntrain: {{image: 'python:3.11', resources: {{}}, run: 'true', parameters: {{" + ", ".join(
            f"p{n}: [1, 2, 3, 4, 5, 6, 7, 8, 9]" for n in range(60)) + "}}\n",
        "cores": f"project: {project}\ntrain: {{image: 'python:3.11', resources: {{cpus: 1e308, mem: 1e308}}, run: 'true'}}\n",
        "tag": f"project: {project}\ntrain: !!python/object/apply:os.system ['true']\n",
        "bytes": f"project: {project}\n\x00\x01\x02",
    }
    yield
    for what, text in texts.items():
        begin = time.monotonic()
        code, _ = client.code(EXPERIMENTS + "CreateExperiment", creation(project, commit, text), CREATE_LIMIT_S)
        took = time.monotonic() - begin
        case.check(code == "INVALID_ARGUMENT" or what == "cores" and code == "OK", f"{what}: {code}")
        case.check(took < 2, f"{what} takes {took:.1f} s")
    at_once(case, 4, 5, lambda one: one.code(EXPERIMENTS + "CreateExperiment", creation(project, commit, texts["aliases"]), CREATE_LIMIT_S))
    yield


@attack("protobuf", "broken, nested and random messages for every method")
def _(case):
    random.seed(11)
    yield
    deep = b""
    for _ in range(5000):
        deep = b"\x0a" + varint(len(deep)) + deep
        if len(deep) > 60_000:
            break
    sent = 0
    for name, method in public_methods():
        path = f"/{method.containing_service.full_name}/{method.name}"
        one = case.closing(Connection(case.port(listener_of(method))))
        bodies = [b"\xff" * 50, deep, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 10_000, b""] + [random.randbytes(200) for _ in range(15)]
        for body in bodies:
            one.send(one.request(path, case.attacker.key, body))
            sent += 1
        one.drain(0.05)
        one.close()
    case.note(f"{sent} messages")
    yield


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


@attack("secrets", "keys and tokens in files and logs of the installation")
def _(case):
    token = token_of_job(case)
    yield
    needles = [text.encode() for text in (token, case.attacker.key, case.victim.key, case.installation.admin_key)]
    needles += [base64.b64encode(needle) for needle in needles]
    for path in glob.glob(case.path("logs", "*")) + glob.glob(case.path("config", "*")):
        with open(path, "rb") as file:
            text = file.read()
        case.check(not any(needle in text for needle in needles), f"{os.path.relpath(path, case.path())} holds a key or token")
    for pattern in ("secrets/*", "certs/*.key"):
        for path in glob.glob(case.path(*pattern.split("/"))):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            case.check(mode & 0o077 == 0, f"{os.path.relpath(path, case.path())} has mode {mode:o}")
    time.sleep(1)
    yield
