"""The bytes of outputs, logs and code that a user may have."""

import os
import unittest

from stack import Stack, StackTest, eventually

WRITE_20_MB = "dd if=/dev/urandom of=$OUTPUT_DIR/weights bs=1M count=20 status=none"


class Quota(StackTest):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.stack.env["RISEML_USER_MAX_BYTES"] = "10M"
        cls.stack.up()

    def finish(self, path):
        number = self.stack.train(path)
        self.stack.run("wait", number, limit=300)
        return number

    def test_who_keeps_too_much_is_refused_until_something_is_deleted(self):
        small = self.stack.project("small", "echo hello > $OUTPUT_DIR/greeting")
        self.finish(small)
        self.assertRegex(self.stack.run("whoami").decode(), r"\nStored: [0-9.]+ KiB of 10 MiB, \d+ of 100,000 experiments\n")

        number = self.finish(self.stack.project("large", WRITE_20_MB))
        self.assertGreater(int(self.stack.experiment(number)["output_bytes"]), 20 << 20)
        self.assertRegex(self.stack.run("status", number).decode(), r"\nOutput Size: 20(\.\d)? MiB\n")
        self.assertRegex(self.stack.run("user", "list").decode(), r"\nadmin .* 20(\.\d)? MiB\n")

        said = self.stack.fails("train", cwd=small)
        self.assertRegex(said, r"you keep 20(\.\d)? MiB of outputs, logs and code, 10 MiB are allowed; delete what you do not need with "
                               r"riseml rm ID or riseml project rm NAME")
        self.remove(number)
        self.assertRegex(self.stack.run("whoami").decode(), r"\nStored: [0-9.]+ KiB of 10 MiB")
        self.finish(small)

    def test_what_children_of_a_set_share_counts_once(self):
        before = self.stored()
        path = self.stack.project("sweep", "dd if=/dev/urandom of=$RISEML_SHARED_DIR/all bs=1M count=4 status=none",
                                  parameters={"lr": [1, 2]})
        number = self.finish(path)
        grown = self.stored() - before
        self.assertGreaterEqual(grown, 4 << 20)
        self.assertLess(grown, 5 << 20)
        self.remove(number)
        self.assertLess(self.stored() - before, 1 << 20)

    def test_code_counts_until_its_project_is_deleted(self):
        before = self.stored()
        path = self.stack.project("code", "true")
        self.write(path, "weights", 6)
        number = self.finish(path)
        project = self.projects()["code"]
        self.assertGreater(int(project["stored_bytes"]), 6 << 20)
        self.assertGreaterEqual(self.stored() - before, int(project["stored_bytes"]))
        self.assertRegex(self.stack.run("project", "list").decode(), r"\ncode +6(\.\d)? MiB ")

        self.write(path, "weights", 5)
        said = self.stack.fails("train", cwd=path)
        self.assertRegex(said, r"you keep \d(\.\d)? MiB of outputs, logs and code, this push adds 5(\.\d)? MiB, 10 MiB are allowed; ")
        self.assertEqual(self.projects()["code"], project, "nothing was added")

        self.assertIn(f"project code has 1 experiment; delete it first: riseml rm {number}",
                      self.stack.fails("project", "rm", "--yes", "code"))
        self.remove(number)
        repository = os.path.join(self.stack.dir, "repositories", f"{project['uid']}.git")
        self.assertTrue(os.path.isdir(repository))
        self.stack.kill("gitsync")  # what a service misses it removes later
        self.assertIn("deleted project code, 6", self.stack.run("project", "rm", "--yes", "code").decode())
        self.assertNotIn("code", self.projects())
        self.assertLess(self.stored() - before, 1 << 20)
        eventually(lambda: not os.path.exists(repository), "the repository is removed")

        number = self.finish(path)
        self.assertNotEqual(self.projects()["code"]["uid"], project["uid"])
        self.remove(number)
        self.stack.run("project", "rm", "--yes", "code")

    def projects(self):
        """The projects of the caller, by name."""
        return {project["name"].rsplit("/", 1)[1]: project for project in self.stack.json("project", "list")["projects"]}

    def write(self, path, name, megabytes):
        with open(os.path.join(path, name), "wb") as file:
            file.write(os.urandom(megabytes << 20))

    def remove(self, number):
        """Deletes an experiment, once its log is stored."""
        eventually(lambda: b"deleted" in self.stack.run("rm", "--yes", number, code=None), f"{number} is deleted")

    def stored(self):
        return int(self.stack.json("whoami")["user"]["stored_bytes"])


if __name__ == "__main__":
    unittest.main()
