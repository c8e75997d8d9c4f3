"""Registries of base images that refuse, lie, or do not answer: `riseml train` says so soon, and makes no experiment."""

import os
import subprocess
import time

from bad_registry import BadRegistry
from containers import ContainersTest, compressed, shell
from stack import BIN, eventually

# Faults of the registry, and the text that the user reads after the name of the image.
REFUSED = {
    "absent": "not found: .*status 404",
    "forbidden": 'status 403, "not for you"',
    "range": "status 416",
    "broken": "status 500; try again later",
    "limited": "status 429; it limits how often it may be called, try again in 1s; try again later",
    "closed": "status 429; it limits how often it may be called, try again in 1h; try again later",
    "cut": "transfer closed with [0-9]+ bytes remaining to read; try again later",
    "circle": "it redirects in circles",
    "inside": "127.0.0.1:1 has a private address; an administrator can allow it",
    "huge": "is larger than 4194304 bytes",
    "html": "the manifest is not a JSON object",
    "nonsense": "the manifest is not a JSON object",
    "other": "has the digest sha256:[0-9a-f]{64} instead of sha256:1{64}",
    "platform": "not found: the image does not exist for linux/[a-z0-9]+, only for linux/s390x",
    "urls": "layer 1 is a foreign layer, which lies outside of the registry",
    "basic": "does not exist, or .* wants a user and a password for it .*: riseml registry login 127.0.0.1",
    "unwilling": "does not exist, or .* wants a user and a password for it .*gives no token .*: riseml registry login 127.0.0.1",
}
NEVER_ANSWERED = ("slow", "drip", "config_drip")
# The registry is asked once if it refuses, and three times if it may be better soon; clients ask no further.
REQUESTS = {"broken": 3, "limited": 3, "cut": 3, "closed": 1, "absent": 1, "forbidden": 1}


class BadRegistries(ContainersTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bad, cls.elsewhere = BadRegistry(compressed(shell())), BadRegistry(compressed(shell()))
        cls.addClassCleanup(cls.bad.close)
        cls.addClassCleanup(cls.elsewhere.close)
        cls.bad.elsewhere = cls.elsewhere.host
        config = cls.stack.config("builder")
        config["images"]["private_registries"] = [cls.bad.host, cls.elsewhere.host]
        config["images"]["registries_without_tls"] = [cls.bad.host]
        cls.stack.restart_with("builder", config)
        # Until builder listens again, clients wait for it.
        eventually(lambda: cls.answers("absent"), "builder asks the registry")

    @classmethod
    def answers(cls, name):
        cls.stack.run("train", "-q", cwd=cls.stack.project(name, "true", image=f"{cls.bad.host}/{name}:1"), code=None)
        return cls.bad.called(name)

    def bad_project(self, name):
        return self.project(name, f"{self.bad.host}/{name}:1")

    def experiments(self):
        return [one["name"] for one in self.stack.json("status", "--all").get("experiments", [])]

    def test_train_names_the_image_and_the_reason(self):
        before = self.experiments()
        for name, reason in REFUSED.items():
            with self.subTest(name):
                self.bad.calls.clear()
                said = self.stack.fails("train", cwd=self.bad_project(name))
                self.assertRegex(said, f"image {self.bad.host}/{name}:1.*{reason}")
                self.assertNotIn("not authorized", said, "it is not the API key that is wrong")
                self.assertLessEqual(said.count("cannot read"), 1)
                if name in REQUESTS:
                    self.assertEqual(len(self.bad.called(name)), REQUESTS[name])
        self.assertEqual(self.experiments(), before, "nothing is made")

    def test_nobody_waits_for_a_registry_that_does_not_answer(self):
        before = self.experiments()
        running = {name: self.stack.popen("train", "-q", cwd=self.bad_project(name)) for name in NEVER_ANSWERED}
        for name, process in running.items():
            with self.subTest(name):
                _, said = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 1)
                self.assertIn(f"image {self.bad.host}/{name}:1: {self.bad.host} is too slow", said.decode())
        self.assertEqual(self.experiments(), before)

    def test_passwords_go_to_their_registry_only(self):
        subprocess.run([os.path.join(BIN, "riseml"), "registry", "login", self.bad.host, "-u", "ann"], env=self.stack.env, input=b"s3cr3t\n",
                       check=True, capture_output=True)
        self.addCleanup(self.stack.run, "registry", "logout", self.bad.host)
        for name, reason in {"foreign": "asks to send its password to auth.example.org, another host",
                             "unwilling": "refuses the stored user and password .*: riseml registry login",
                             "basic": "refuses the stored user and password .*: riseml registry login"}.items():
            with self.subTest(name):
                self.assertRegex(self.stack.fails("train", cwd=self.bad_project(name)), f"image {self.bad.host}/{name}:1.*{reason}")
        self.assertEqual([call for call in self.bad.called("foreign") if call[2]], [], "only its authorization server gets the password")
        number = self.stack.train(self.bad_project("elsewhere"))
        self.stack.run("kill", number)
        self.assertTrue(any(authorization for _, _, authorization in self.bad.called("elsewhere")))
        self.assertTrue(self.elsewhere.calls)
        self.assertEqual({call[3] for call in self.elsewhere.calls}, {""})

    def test_a_busy_registry_is_asked_again(self):
        begin = time.monotonic()
        number = self.stack.train(self.bad_project("busy"))
        self.assertGreaterEqual(time.monotonic() - begin, 2, "as long as it wants")
        self.stack.run("kill", number)
