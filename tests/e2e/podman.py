"""The runtime of the tests' installations, and what one with containers needs before its first job."""

import functools
import json
import os
import shutil
import tempfile
import unittest

import python_image
from raw_image import Pusher

RUNTIME = os.environ.get("RISEML_E2E_RUNTIME", "process")
if RUNTIME not in ("process", "podman"):
    raise ValueError(f"RISEML_E2E_RUNTIME is {RUNTIME}; it must be process or podman")


def processes_only(why):
    """Marks tests of what only jobs have that are processes; with containers the test is reported as skipped."""
    return unittest.skipIf(RUNTIME == "podman", f"with processes only: {why}")


@functools.cache
def base_layer():
    """The files of the base image, as a layer."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "base.tar")
        python_image.write_tar(path)
        with open(path, "rb") as file:
            return file.read()


class Podman:
    """An installation whose jobs run in containers, seen from its administrator."""

    def __init__(self, directory, key):
        """`directory` is that of the installation, which is up; `key` the administrator's."""
        with open(os.path.join(directory, "supervisor.json"), encoding="utf-8") as file:
            self.registry = f"127.0.0.1:{json.load(file)['ports']['registry']}"
        with open(os.path.join(directory, "containers", "containers.conf"), encoding="utf-8") as file:
            self.state = next(line.split('"')[1] for line in file if line.startswith("tmp_dir"))
        self.key = key
        self.image = f"{self.registry}/library/python:3.11"

    def push_base(self):
        """Puts python:3.11, made of this machine's packages, into the registry."""
        Pusher(self.registry, self.key, "library/python").image(
            "3.11", [base_layer()], {"config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["python3"]}})

    def clean(self):
        """Removes what Podman keeps of running containers, in a short directory outside of the installation."""
        shutil.rmtree(os.path.dirname(self.state), ignore_errors=True)
