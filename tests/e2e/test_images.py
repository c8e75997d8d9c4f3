"""Jobs in containers of Podman: images built from steps, code as a layer, what users may pull."""

import json
import os
import subprocess
import tarfile
import time
import unittest

from raw_image import Pusher, layer, member
from stack import Stack

class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack("podman")
        cls.addClassCleanup(cls.stack.close)
        cls.stack.up()
        cls.registry = cls.stack.podman.registry
        cls.admin_key = cls.stack.podman.key

    def test_steps_are_built_once_and_an_edit_builds_nothing(self):
        path = self.stack.project("built", ["python3 -c 'import step; print(step.answer)'", "cat note"],
                            {"note": "first\n", "step.sh": "echo unused\n"},
                            install=["mkdir -p /opt/lib && echo answer=42 > /opt/lib/step.py", "export ANSWER=7",
                                     "echo $ANSWER > /opt/lib/kept"],
                            env={"PYTHONPATH": "/opt/lib"}, resources={"cpus": 0.5, "mem": 256, "gpus": 0})
        number = self.stack.train(path)
        self.stack.run("wait", number, limit=300)
        self.assertEqual(self.stack.run("logs", "--raw", f"{number}.train"), b"42\nfirst\n")
        build = self.stack.run("logs", "--raw", f"{number}.build").decode()
        self.assertIn("==> step 1 of 3: mkdir -p /opt/lib", build)
        self.assertIn("==> step 3 of 3: ", build)
        with open(os.path.join(path, "note"), "w", encoding="ascii") as file:
            file.write("second\n")
        begin = time.monotonic()
        number = self.stack.train(path)
        self.stack.run("wait", number)
        print(f"an edited project ran again in {time.monotonic() - begin:.2f} s")
        self.assertEqual(self.stack.run("logs", "--raw", number), b"42\nsecond\n")
        jobs = [job["name"].rsplit("/", 1)[1] for job in self.stack.experiment(number)["jobs"]]
        self.assertEqual(jobs, ["train"], "nothing is built")

    def test_a_step_that_fails_is_named(self):
        number = self.stack.train(self.stack.project("failing", "true", install=["true", "echo no such thing >&2; exit 3"]))
        self.stack.run("wait", number, code=1, limit=300)
        self.assertIn("step 2 of 2 failed", self.stack.run("status", number).decode())
        self.assertIn("return code: 3", self.stack.run("logs", "--raw", f"{number}.build").decode())

    def test_another_user_cannot_pull_the_image(self):
        number = self.stack.train(self.stack.project("private", "echo mine"))
        self.stack.run("wait", number, limit=300)
        other = self.stack.key_in(self.stack.add_user("mallory"))
        owner, project = self.repository(number)

        def inspect(user, key):
            return subprocess.run(["skopeo", "list-tags", "--tls-verify=false", "--creds", f"{user}:{key}",
                                   f"docker://{self.registry}/{owner}/{project}"], capture_output=True, text=True, check=False)

        own = inspect("admin", self.admin_key)
        self.assertEqual(own.returncode, 0, own.stderr)
        tag = json.loads(own.stdout)["Tags"][0]
        self.assertNotEqual(inspect("mallory", other).returncode, 0)
        self.assertNotEqual(inspect("admin", other).returncode, 0)
        shown = subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--creds", f"admin:{self.admin_key}",
                                f"docker://{self.registry}/{owner}/{project}:{tag}"], capture_output=True, text=True, check=True)
        self.assertGreaterEqual(len(json.loads(shown.stdout)["Layers"]), 2)

    def repository(self, number):
        """UUIDs of the owner and the project of an experiment."""
        experiment = self.stack.experiment(number)
        projects = self.stack.json("project", "list")["projects"]
        project = next(p for p in projects if experiment["project"].endswith(p["name"].rsplit("/", 1)[1]))
        return self.stack.json("whoami")["user"]["uid"], project["uid"]

    def test_images_that_there_are_not(self):
        path = self.stack.project("none", "true", image=f"{self.registry}/library/python:9")
        self.assertIn("python:9 not found", self.stack.fails("train", cwd=path))
        path = self.stack.project("wrong", "true", image="library/Python")
        self.assertIn("upper-case", self.stack.fails("train", cwd=path))

    def test_names_that_no_image_has(self):
        digest = "sha256:" + "0" * 64
        before = self.stack.json("status", "--all").get("experiments", [])
        for image in ("pyth\u00f6n", "python:", "python:a b", "-python", "a//b", "python@sha256:12", "x" * 300, f"python:1@{digest}1",
                      f"{self.registry}/library/python@{digest}", f"{self.registry}/library/python:{'t' * 129}", "127.0.0.1:1:2/a"):
            with self.subTest(image):
                said = self.stack.fails("train", cwd=self.stack.project("names", "true", image=image))
                self.assertIn("image", said)
        self.assertEqual(self.stack.json("status", "--all").get("experiments", []), before, "nothing is made")

    @staticmethod
    def shell():
        with open("/bin/busybox", "rb") as file:
            return member("bin/busybox", file.read()), member("bin/sh", kind=tarfile.SYMTYPE, link="busybox")

    def run_on(self, name, layers, commands, **raw):
        """Runs a job on an image made by hand; returns its experiment and what status says of it."""
        Pusher(self.registry, self.admin_key, f"library/{name}").image("1", layers, **raw)
        number = self.stack.train(self.stack.project(name, commands, image=f"{self.registry}/library/{name}:1"))
        self.stack.run("wait", number, code=None, limit=300)
        return number, self.stack.run("status", number).decode()

    def test_layers_that_lead_out_of_the_image(self):
        target = os.path.join(self.stack.root, "outside")
        inside = {
            "dots": [layer(*self.shell(), member("../" * 12 + target[1:], b"out"))],
            "absolute": [layer(*self.shell(), member("out", kind=tarfile.SYMTYPE, link=self.stack.root)), layer(member("out/outside", b"out"))],
            "device": [layer(*self.shell(), member("mem", kind=tarfile.CHRTYPE, mode=0o666))],
        }
        for name, layers in inside.items():
            with self.subTest(name):
                number, said = self.run_on(name, layers, "busybox ls -l /; ! busybox head -c 1 /mem")
                self.assertEqual(self.stack.state(number), "FINISHED", said)
                self.assertFalse(os.path.exists(target))
        stolen = [layer(*self.shell(), member("stolen", kind=tarfile.LNKTYPE, link="../" * 12 + "etc/shadow"))]
        number, said = self.run_on("hard", stolen, "busybox cat /stolen")
        self.assertIn("BUILD_FAILED", said)
        self.assertIn("no such file or directory", said)

    def test_an_image_is_what_its_digests_say(self):
        def size(manifest):
            manifest["layers"][0]["size"] += 1

        for name, raw in (("size", {"change": size}), ("diff", {"config": {"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}}})):
            with self.subTest(name):
                number, said = self.run_on(f"lie-{name}", [layer(*self.shell(), member("here", b"whole"))], "busybox cat /here", **raw)
                self.assertEqual(self.stack.state(number), "FINISHED", said)
                self.assertEqual(self.stack.run("logs", "--raw", f"{number}.train"), b"whole")

    def test_the_data_volume_is_readable(self):
        with open(os.path.join(self.stack.dir, "data", "set.txt"), "w", encoding="ascii") as file:
            file.write("seen\n")
        number = self.stack.train(self.stack.project("data", ["cat /data/set.txt", "touch /data/x || echo read-only"]))
        self.stack.run("wait", number, limit=300)
        log = self.stack.run("logs", "--raw", f"{number}.train").decode()
        self.assertIn("seen\n", log)
        self.assertIn("read-only\n", log)

    def test_a_build_shows_its_steps_while_they_run(self):
        path = self.stack.project("slow", "true", install=["echo be$((1))gun; sleep 5; echo over"])
        number = self.stack.train(path)
        logs = self.stack.popen("logs", f"{number}.build")
        seen = b""
        while b"be1gun" not in seen:
            line = logs.stdout.readline()
            self.assertTrue(line, seen)
            seen += line
        self.assertNotIn(self.stack.state(f"{number}"), ("FINISHED", "FAILED"))
        logs.communicate(timeout=60)
        self.stack.run("wait", number, limit=300)
