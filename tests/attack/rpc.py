"""Calls with messages made by protoc; no code is generated for services, their descriptors are enough."""

import glob
import importlib
import os
import subprocess
import sys

import grpc

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROTOS = os.path.join(ROOT, "protos")
GOOGLE = "/usr/share/gocode/src/github.com/gogo/googleapis"
OUT = os.path.join(ROOT, "build", "attack", "protos")
TIMEOUT_S = 30


def generate():
    """Makes the messages in build/attack/protos and lets them be imported."""
    sources = sorted(glob.glob(os.path.join(PROTOS, "riseml", "**", "*.proto"), recursive=True))
    os.makedirs(OUT, exist_ok=True)
    subprocess.run(["protoc", f"-I{PROTOS}", f"-I{GOOGLE}", f"--python_out={OUT}", *sources], check=True)
    if OUT not in sys.path:
        sys.path.insert(0, OUT)


def messages(path):
    """The module of a file, e.g. messages("v1/experiment")."""
    return importlib.import_module("riseml." + path.replace("/", ".") + "_pb2")


def _bytes_of(request):
    """Messages may come as bytes. To serialise a million values holds up all threads of this process, the victim's clock as well."""
    return request if isinstance(request, bytes) else request.SerializeToString()


class Client:
    """Calls one listener with one credential."""

    def __init__(self, address, ca, credential):
        # One channel each: gRPC shares connections of equal channels otherwise.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 64 << 20)]
        self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca), options)
        self.metadata = (("authorization", "Bearer " + credential),) if credential else ()

    def _method(self, name):
        """Descriptor of e.g. "v1/experiment:ExperimentService/GetExperiment"."""
        module, _, rest = name.partition(":")
        service, _, method = rest.partition("/")
        return messages(module).DESCRIPTOR.services_by_name[service].methods_by_name[method]

    def _path(self, method):
        return f"/{method.containing_service.full_name}/{method.name}"

    def _make(self, kind, name):
        method = self._method(name)
        return getattr(self.channel, kind)(
            self._path(method), request_serializer=_bytes_of,
            response_deserializer=method.output_type._concrete_class.FromString)

    def call(self, name, request, timeout=TIMEOUT_S):
        return self._make("unary_unary", name)(request, timeout=timeout, metadata=self.metadata)

    def code(self, name, request, timeout=TIMEOUT_S):
        """(name of the code, message) of a call."""
        try:
            self.call(name, request, timeout)
            return "OK", ""
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def read(self, name, request, timeout=TIMEOUT_S):
        """An iterator over a stream of responses."""
        return self._make("unary_stream", name)(request, timeout=timeout, metadata=self.metadata)

    def write(self, name, requests, timeout=TIMEOUT_S):
        return self._make("stream_unary", name)(requests, timeout=timeout, metadata=self.metadata)

    def both(self, name, requests, timeout=TIMEOUT_S):
        return self._make("stream_stream", name)(requests, timeout=timeout, metadata=self.metadata)

    def close(self):
        self.channel.close()
