"""What an administrator allows builds of images: time, disk, network, registries."""

import json
import os
import subprocess
import unittest
from unittest import mock

from stack import Stack


class Builds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack("podman")
        cls.addClassCleanup(cls.stack.close)
        cls.stack.env.update(RISEML_BUILD_MAX_TIME="40s", RISEML_BUILD_MAX_BYTES="300M", RISEML_BUILD_NETWORK="off",
                             RISEML_PRIVATE_REGISTRIES="127.0.0.1:9")
        cls.stack.up()

    def build(self, name, *steps):
        """Runs a project with these install steps to its end; returns its number, what status says, and the log of the build."""
        number = self.stack.train(self.stack.project(name, "cat /made || true", install=list(steps)))
        self.stack.run("wait", number, code=None, limit=300)
        return number, self.stack.run("status", number).decode(), self.stack.run("logs", "--raw", f"{number}.build").decode()

    def layers(self):
        """Megabytes of the layers that builds have left."""
        return sum(int(line.split()[0]) for line in subprocess.run(
            f"du -sm {self.stack.dir}/environments/*/work/containers/layers", shell=True, capture_output=True, text=True,
            check=True).stdout.splitlines())

    def test_a_build_with_too_many_bytes_is_ended_and_the_next_one_removes_what_it_left(self):
        _, said, _ = self.build("large", "dd if=/dev/zero of=/big bs=1M count=600; sleep 30")
        self.assertIn("BUILD_DISK_LIMIT", said)
        self.assertIn("where a build may have 300 MiB", said)
        left = self.layers()
        number, said, log = self.build("small", "echo fine > /made")
        self.assertEqual(self.stack.run("logs", "--raw", f"{number}.train"), b"fine\n", log + said)
        self.assertLess(self.layers(), left - 400)

    def test_a_build_that_takes_too_long_is_ended(self):
        _, said, _ = self.build("slow", "sleep 1000")
        self.assertIn("BUILD_TIME_LIMIT", said)
        self.assertIn("ended after 40s, the longest time that a build may take", said)

    def test_steps_have_no_network_though_the_base_image_is_pulled(self):
        connect = "import socket; socket.create_connection(('10.0.2.3', 53), 5)"
        _, said, log = self.build("connects", f'python3 -c "{connect}"')
        self.assertIn("Install steps have no network here.", log)
        self.assertIn("Network is unreachable", log)
        self.assertIn("step 1 of 1 failed", said)

    def test_settings_are_remembered(self):
        with open(os.path.join(self.stack.dir, "supervisor.json"), encoding="utf-8") as file:
            state = json.load(file)
        self.assertEqual(state["build_max_seconds"], "40")
        self.stack.up()  # with the same variables
        with mock.patch.dict(self.stack.env, RISEML_BUILD_MAX_TIME="50s"):
            self.assertIn("read at its start; run `riseml down` first", self.stack.fails("up", "--dir", self.stack.dir))
        path = self.stack.project("away", "true", image="127.0.0.1:9/library/none:1")
        self.assertIn("127.0.0.1:9", self.stack.fails("train", cwd=path))
        self.assertNotIn("private", self.stack.fails("train", cwd=path))


if __name__ == "__main__":
    unittest.main()
