"""An installation whose jobs run in containers, with an image of nothing but a shell."""

import gzip
import json
import os
import shutil
import tarfile
import unittest

from raw_image import Pusher, digest, layer, member
from stack import Stack


def shell(*more):
    """A layer with a shell, and `more`."""
    with open("/bin/busybox", "rb") as file:
        return layer(member("bin/busybox", file.read()), member("bin/sh", kind=tarfile.SYMTYPE, link="busybox"), *more)


def compressed(content):
    return gzip.compress(content, mtime=0), digest(content)


class ContainersTest(unittest.TestCase):
    """Tests of one class share an installation."""

    podman_state = ""

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.close)
        cls.prepare()
        cls.stack.run("up", "--dir", cls.stack.dir, "--runtime", "podman", limit=180)
        with open(os.path.join(cls.stack.dir, "containers", "containers.conf"), encoding="utf-8") as file:
            cls.podman_state = next(line.split('"')[1] for line in file if line.startswith("tmp_dir"))
        with open(os.path.join(cls.stack.dir, "supervisor.json"), encoding="utf-8") as file:
            cls.registry = f"127.0.0.1:{json.load(file)['ports']['registry']}"
        with open(cls.stack.env["RISEML_CONFIG"], encoding="utf-8") as file:
            cls.admin_key = next(word for word in file.read().split() if word.startswith("rml_"))

    @classmethod
    def prepare(cls):
        """Is called before the installation is made."""

    @classmethod
    def close(cls):
        cls.stack.close()
        # What Podman keeps of running containers lies in a short directory outside of the installation.
        if cls.podman_state:
            shutil.rmtree(os.path.dirname(cls.podman_state), ignore_errors=True)

    @classmethod
    def push(cls, name, layers, **raw):
        """Pushes an image as an administrator; returns its name for riseml.yml."""
        Pusher(cls.registry, cls.admin_key, f"library/{name}").image("1", layers, **raw)
        return f"{cls.registry}/library/{name}:1"

    def project(self, name, image, commands="true", **train):
        return self.stack.project(name, commands, image=image, **train)

    def build_fails(self, path):
        """Submits a project whose build fails; returns the number of the experiment and its message."""
        number = self.stack.train(path)
        self.stack.run("wait", number, code=1, limit=120)
        experiment = self.stack.experiment(number)
        self.assertEqual((experiment["state"], experiment["reason"]), ("FAILED", "BUILD_FAILED"), experiment)
        return number, experiment["message"]
