"""An installation whose jobs run in containers, with an image of nothing but a shell."""

import tarfile
import unittest

import raw_image
from raw_image import Pusher, digest, layer, member
from stack import Stack


def shell(*more):
    """A layer with a shell, and `more`."""
    with open("/bin/busybox", "rb") as file:
        return layer(member("bin/busybox", file.read()), member("bin/sh", kind=tarfile.SYMTYPE, link="busybox"), *more)


def compressed(content):
    """A layer as the registry has it, and the digest of its content."""
    return raw_image.compressed(content), digest(content)


class ContainersTest(unittest.TestCase):
    """Tests of one class share an installation."""

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack("podman")
        cls.addClassCleanup(cls.close)
        cls.prepare()
        cls.stack.up()
        cls.registry = cls.stack.podman.registry
        cls.admin_key = cls.stack.podman.key

    @classmethod
    def prepare(cls):
        """Is called before the installation is made."""

    @classmethod
    def close(cls):
        cls.stack.close()

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
