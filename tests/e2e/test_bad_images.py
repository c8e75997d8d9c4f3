"""Base images that cannot be built upon, and install steps that ask, never end, print too much or are not allowed."""

import glob
import gzip
import os
import shutil
import subprocess
import unittest

from containers import ContainersTest, compressed, shell
from raw_image import LAYER, Pusher, digest, layer, member
from stack import eventually

ZEROS = 64 << 20
BOMB_MEMBERS = 18  # more than the disk has


class BadImages(ContainersTest):
    def blob(self, content):
        """The file in which the registry keeps a layer."""
        hexes = digest(compressed(content)[0])[7:]
        return glob.glob(f"{self.stack.dir}/registry/**/blobs/sha256/{hexes[:2]}/{hexes}/data", recursive=True)[0]

    def test_a_layer_that_the_registry_has_lost(self):
        content = shell(member("lost"))
        image = self.push("lost", [content])
        os.unlink(self.blob(content))
        _, said = self.build_fails(self.project("lost", image))
        self.assertRegex(said, "build image from .*/lost:1.*reading blob sha256:[0-9a-f]{64}: .*404")

    def test_a_layer_that_is_another_one(self):
        content = shell(member("changed"))
        image = self.push("changed", [content])
        with open(self.blob(content), "r+b") as file:
            file.write(bytes(100))
        _, said = self.build_fails(self.project("changed", image))
        self.assertRegex(said, "build image from .*/changed:1.*Digest did not match, expected sha256:")

    def test_a_base_whose_history_is_wrong(self):
        for number, history in enumerate(([{"created_by": "a test"}], [{"created_by": "a test"}] * 3)):
            with self.subTest(history):
                image = self.push(f"history-{number}", [shell(), layer(member(f"other-{number}"))], config={"history": history})
                _, said = self.build_fails(self.project(f"history-{number}", image))
                self.assertIn("the base image cannot be built upon: its configuration lists other layers in `history` than it has", said)

    def test_layers_that_linux_cannot_stack(self):
        layers = [shell()] + [layer(member(f"file-{number}")) for number in range(127)]
        before = self.stack.json("status", "--all").get("experiments", [])
        said = self.stack.fails("train", cwd=self.project("many", self.push("many", layers)))
        self.assertIn("the image has 128 layers; Linux can stack 127", said)
        image = self.push("less", layers[:125])
        said = self.stack.fails("train", cwd=self.project("less", image, install=["true"]))
        self.assertRegex(said, f"image {image} has 125 layers; with those of 1 install steps .* at least 128, .* use an image with fewer layers")
        self.assertEqual(self.stack.json("status", "--all").get("experiments", []), before, "nothing is made")


class BadSteps(ContainersTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.image = cls.push("shell", [shell()])

    def build_log(self, name, *steps):
        """Builds with steps the last of which fails; returns the log."""
        number, said = self.build_fails(self.project(name, self.image, install=list(steps)))
        self.assertIn(f"step {len(steps)} of {len(steps)} failed: `{steps[-1]}` return code: ", said)
        return self.stack.run("logs", "--raw", f"{number}.build").decode()

    def test_a_step_that_asks_gets_no_answer(self):
        self.assertIn("Continue? no answer\n", self.build_log("asks", "true", "printf 'Continue? '; read x || echo no answer; [ -n \"$x\" ]"))

    def test_a_step_may_not_mount(self):
        self.assertIn("mount: permission denied", self.build_log("mounts", "busybox mount -t tmpfs none /bin"))

    def test_a_step_that_reads_a_file_that_is_not_there(self):
        self.assertIn("can't open 'missing.txt': No such file or directory", self.build_log("reads", "busybox cat missing.txt"))

    def test_a_step_that_never_ends_can_be_killed(self):
        number = self.stack.train(self.project("endless", self.image, install=["trap '' TERM INT HUP; echo beg$((1))n; while :; do busybox sleep 1; done"]))
        eventually(lambda: b"beg1n\n" in self.stack.run("logs", "--raw", "--no-follow", f"{number}.build", code=None), "the step runs")
        self.assertEqual(self.stack.state(number), "BUILDING")
        self.assertIn("BUILDING", self.stack.run("status").decode())
        self.stack.run("kill", number)
        self.stack.run("wait", number, code=None)
        self.assertEqual(self.stack.state(number), "KILLED")

    def test_a_step_that_prints_much(self):
        number = self.stack.train(self.project("prints", self.image, install=[f"busybox yes {'x' * 999} | busybox head -c 50000000"]))
        self.stack.run("wait", number, limit=300)
        self.assertEqual(self.stack.run("logs", "--raw", f"{number}.build").count(b"x" * 999 + b"\n"), 50000)


@unittest.skipUnless(os.geteuid() == 0, "takes root")
class Bombs(ContainersTest):
    """A disk of 1 GiB, of which the services keep 256 MiB free."""

    @classmethod
    def prepare(cls):
        os.mkdir(cls.stack.dir, 0o755)
        disk = os.path.join(cls.stack.root, "disk")
        with open(disk, "wb") as file:
            file.truncate(1 << 30)
        subprocess.run(["mkfs.ext4", "-q", disk], check=True)
        subprocess.run(["mount", "-o", "loop", disk, cls.stack.dir], check=True)
        os.rmdir(os.path.join(cls.stack.dir, "lost+found"))

    @classmethod
    def close(cls):
        super().close()
        subprocess.run(["umount", "--lazy", cls.stack.dir], check=False)
        shutil.rmtree(cls.stack.root)

    def free(self):
        disk = os.statvfs(self.stack.dir)
        return disk.f_bavail * disk.f_frsize

    def test_a_layer_that_fills_the_disk(self):
        calm = self.push("calm", [shell()])
        other = self.stack.train(self.project("calm", calm, "busybox sleep 600"))
        self.stack.wait_state(other, "RUNNING")
        before = self.free()
        info, _ = member("zeros")
        info.size = ZEROS * BOMB_MEMBERS
        bomb = gzip.compress(info.tobuf()) + gzip.compress(bytes(ZEROS)) * BOMB_MEMBERS
        pusher = Pusher(self.registry, self.admin_key, "library/bomb")
        blob = pusher.blob(bomb)
        pusher.image("1", [shell()], config={"rootfs": {"type": "layers", "diff_ids": [compressed(shell())[1], "sha256:" + "1" * 64]},
                                             "history": [{"created_by": "a test"}] * 2},
                     change=lambda manifest: manifest["layers"].append({"mediaType": LAYER, **blob}))
        number = self.stack.train(self.project("bomb", f"{self.registry}/library/bomb:1"))
        self.stack.run("wait", number, code=1, limit=120)
        self.assertRegex(self.stack.run("status", number).decode(), r"the disk of node .* was nearly full .*this job's files .*took .*, most of all jobs")
        self.assertIn("Reason: DISK_FULL", self.stack.run("logs", f"{number}.build").decode())
        self.assertEqual(self.stack.state(other), "RUNNING")
        eventually(lambda: self.free() > before - (128 << 20), "the layers of the build are removed", limit=100)
