"""kill -9 of everything, while a job prints 200,000 numbered lines and a `logs` is open all along."""

import json
import os
import signal
import subprocess
import time
import unittest

from stack import SERVICES, Follower, Stack, eventually

LINES = 200_000
SCRIPT = f"""
import os, time
copy = open(os.environ["OUTPUT_DIR"] + "/copy", "wb", buffering=0)
log = os.fdopen(1, "wb", buffering=0)
for start in range(0, {LINES}, 200):
    block = b"".join(b"line %d of many\\n" % i for i in range(start, start + 200))
    copy.write(block)
    log.write(block)
    time.sleep(0.04)
"""


class DownByRoot(unittest.TestCase):
    """The records of processes belong to the account of the services, which may write anything into them."""

    @unittest.skipUnless(os.geteuid() == 0, "takes root")
    def test_down_ends_no_process_that_a_record_names(self):
        stack = Stack()
        self.addCleanup(stack.close)
        stack.up()
        others = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2)]
        for other in others:
            self.addCleanup(other.wait)
            self.addCleanup(other.kill)
        before = self.forge(stack, "supervisor", others[0].pid)
        down = stack.popen("down", "--dir", stack.dir)
        time.sleep(2)
        self.assertIsNone(others[0].poll(), "root's down has ended a process that is no supervisor")
        down.kill()
        down.communicate()
        os.kill(before, signal.SIGKILL)
        scheduler = self.forge(stack, "scheduler", others[1].pid)
        self.addCleanup(os.kill, scheduler, signal.SIGKILL)  # nobody stops it now
        stack.run("down", "--dir", stack.dir)
        self.assertIsNone(others[1].poll(), "root's down has ended a process that is no service")

    @staticmethod
    def forge(stack, name, pid):
        """Lets the record of a process name another one; returns the pid that it had."""
        path = os.path.join(stack.dir, "run", name + ".process")
        with open(path, encoding="ascii") as file:
            record = json.load(file)
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            ticks = file.read().rsplit(")", 1)[1].split()[19]
        with open(path, "w", encoding="ascii") as file:
            json.dump({**record, "pid": pid, "start_ticks": ticks}, file)
        return record["pid"]


class Kill9(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.close)
        self.stack.up()
        path = self.stack.project("lines", "python print.py", files={"print.py": SCRIPT})
        self.number = self.stack.train(path)
        self.stack.wait_state(self.number, "RUNNING")
        self.follower = Follower(self.stack, self.number)
        self.follower.started()
        self.output = self.stack.experiment(self.number)["output_path"]

    def grown(self, by=200_000):
        """Waits until the job has gone on for a while."""
        path = os.path.join(self.output, "copy")
        size = os.path.getsize(path)
        done = LINES * 12
        eventually(lambda: os.path.getsize(path) >= min(size + by, done), "the job goes on")

    def finish(self):
        self.stack.run("wait", self.number, limit=300)
        with open(os.path.join(self.output, "copy"), "rb") as file:
            copy = file.read()
        self.assertEqual(copy.count(b"\n"), LINES)
        self.assertTrue(self.stack.run("logs", "--raw", self.number, limit=120) == copy, "the stored log is not what was printed")
        code, said = self.follower.wait()
        self.assertEqual(code, 0, said)
        self.assertTrue(self.follower.bytes == copy, "what was followed is not what was printed")
        self.assertEqual(self.stack.experiment(self.number)["jobs"][0]["attempt_count"], 1)

    def healthy(self):
        eventually(lambda: b"admin" in self.stack.run("whoami", code=None), "api answers")

    def test_one_by_one(self):
        for name in (*SERVICES, "edge", "postgres"):
            killed = self.stack.kill(name)
            eventually(lambda n=name, k=killed: self.stack.restarted(n, k), f"{name} is started again")
            self.healthy()
            self.grown(100_000)
        self.stack.kill("supervisor")
        self.grown(100_000)
        self.stack.up()
        self.finish()

    def test_all_at_once(self):
        pids = [self.stack.pid(name) for name in ("supervisor", *SERVICES, "edge", "postgres")]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.grown(100_000)
        self.stack.up()
        self.finish()


if __name__ == "__main__":
    unittest.main()
