"""The bytes of outputs and logs that a user may have."""

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
        self.assertRegex(said, r"you keep 20(\.\d)? MiB of outputs and logs, 10 MiB are allowed; delete experiments that you do not need: "
                               r"riseml rm ID")
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

    def remove(self, number):
        """Deletes an experiment, once its log is stored."""
        eventually(lambda: b"deleted" in self.stack.run("rm", "--yes", number, code=None), f"{number} is deleted")

    def stored(self):
        return int(self.stack.json("whoami")["user"]["stored_bytes"])


if __name__ == "__main__":
    unittest.main()
