"""A local installation whose logs go over a real Kafka broker."""

import os
import re
import time
import unittest

from log_handlers import OtherLogHandler
from soak import Broker, soak
from stack import Follower, Stack, eventually

LINES = 1_200
# Prints lines at an even pace, then the longest time that one of them took.
EVEN = f"""
import os, time
log = os.fdopen(1, "wb", buffering=0)
longest = 0
for i in range({LINES}):
    begin = time.monotonic()
    log.write(b"line %08d of the log\\n" % i)
    longest = max(longest, time.monotonic() - begin)
    time.sleep(0.02)
log.write(b"longest %.3f\\n" % longest)
"""
EVEN_LINES = b"".join(b"line %08d of the log\n" % i for i in range(LINES))
# Prints 8 MB between two lines, once the test says so.
MUCH = """
import os, time
print("before", flush=True)
while not os.path.exists(os.environ["OUTPUT_DIR"] + "/go"):
    time.sleep(0.05)
for i in range(400_000):
    print("line %014d" % i)
print("after", flush=True)
"""
LIMIT = 1 << 20
WINDOW = 4 << 20  # handed over and not acknowledged, at most: these bytes arrive, too
WAITS = b"not stored yet"


class Kafka(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()
        cls.addClassCleanup(cls.broker.close)
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.stack.up("--kafka", cls.broker.address())

    def go(self, number):
        """Lets a job go on that waits for this file."""
        with open(os.path.join(self.stack.experiment(number)["output_path"], "go"), "w", encoding="ascii"):
            pass

    def test_a_log_is_complete_when_logs_ends(self):
        number = self.stack.train(self.stack.project("short", "echo one; echo two"))
        self.assertEqual(self.stack.run("logs", "--raw", number), b"one\ntwo\n")
        self.assertTrue(os.listdir(os.path.join(self.stack.dir, "log-store", "claims")))

    def test_a_job_runs_on_while_the_broker_is_away(self):
        path = self.stack.project("away", "echo before; while [ ! -e $OUTPUT_DIR/go ]; do sleep 0.05; done; echo after")
        number = self.stack.train(path)
        self.stack.wait_state(number, "RUNNING")
        self.broker.kill()
        self.go(number)
        self.stack.run("wait", number, limit=60)
        logs = Follower(self.stack, number)
        eventually(lambda: WAITS in self.stack.run("status", number), "status says what waits", limit=30)
        self.assertIn(WAITS, self.stack.run("status", "--all"), "the list says it too")
        eventually(lambda: WAITS in logs.said, "logs says it too", limit=30)
        self.assertIsNone(logs.process.poll(), "logs ends only when all is stored")
        self.broker.start()
        code, said = logs.wait()
        self.assertEqual((logs.bytes, code), (b"before\nafter\n", 0), said)
        self.assertNotIn(WAITS, self.stack.run("status", number))

    def test_a_broker_frozen_for_20_s_holds_up_no_job_and_nothing_is_lost_or_repeated(self):
        number = self.stack.train(self.stack.project("frozen", "python print.py", files={"print.py": EVEN}))
        follower = Follower(self.stack, number)
        follower.started()
        self.broker.freeze(20)
        code, said = follower.wait()
        self.assertEqual(code, 0, said)
        lines, longest = follower.bytes[:-len(b"longest 0.000\n")], follower.bytes.split()[-1]
        self.assertEqual(lines, EVEN_LINES)
        self.assertLess(float(longest), 2, "printing a line took this long")

    def test_a_log_that_outgrows_the_file_loses_its_oldest_bytes_and_logs_says_how_many(self):
        self.stack.restart_with("agent", {**self.stack.config("agent"), "unshipped_bytes_limit": LIMIT})
        number = self.stack.train(self.stack.project("full", "python print.py", files={"print.py": MUCH}))
        follower = Follower(self.stack, number)
        follower.started()
        self.broker.kill()
        self.go(number)
        self.stack.run("wait", number, limit=60)  # the job waits for nobody
        eventually(lambda: b"before them are lost" in self.stack.run("status", number), "status says what is lost", limit=30)
        self.broker.start()
        code, said = follower.wait()
        self.assertEqual(code, 0, said)
        lost = sum(map(int, re.findall(r"WARNING: (\d+) bytes of the log were lost on the node", said)))
        whole = b"before\n" + b"".join(b"line %014d\n" % i for i in range(400_000)) + b"after\n"
        self.assertEqual(len(follower.bytes) + lost, len(whole))
        self.assertGreater(lost, len(whole) - 2 * LIMIT - WINDOW)
        self.assertTrue(follower.bytes.startswith(b"before\n"))
        self.assertTrue(whole.endswith(follower.bytes[-LIMIT // 2:]))

    def test_up_again_while_the_broker_is_away(self):
        number = self.stack.train(self.stack.project("kept", "echo kept"))
        self.assertEqual(self.stack.run("logs", "--raw", number), b"kept\n")
        self.stack.down()
        self.broker.kill()
        try:
            self.stack.up()
            self.assertEqual(self.stack.run("logs", "--raw", number), b"kept\n")
        finally:
            self.broker.start()
        number = self.stack.train(self.stack.project("later", "echo later"))
        eventually(lambda: self.stack.run("logs", "--raw", number, code=None) == b"later\n", "the log arrives")


class TwoLogHandlers(unittest.TestCase):
    def test_one_is_killed_and_an_open_logs_goes_on_at_the_other_one_within_15_s(self):
        broker = Broker()
        self.addCleanup(broker.close)
        stack = Stack()
        self.addCleanup(stack.close)
        stack.up("--kafka", broker.address())
        other = OtherLogHandler(stack)
        self.addCleanup(other.kill)
        eventually(lambda: len(set(other.owners().values())) == 2, "both log handlers have partitions")
        path = stack.project("lines", "python print.py", files={"print.py": EVEN})
        followed = []
        # The CLI first calls the log handler of `up`. A log of the other one shows that it has gone on there.
        while not followed or followed[-1][1] != other.name:
            number = stack.train(path)
            follower = Follower(stack, number)
            follower.started()
            followed.append((follower, other.owner_of(stack.experiment(number)["jobs"][0]["uid"])))
        last = followed[-1][0]
        eventually(lambda: last.bytes.count(b"\n") >= 20, "logs shows lines")
        other.kill()
        shown = last.bytes.count(b"\n")
        begin = time.monotonic()
        eventually(lambda: other.name not in other.owners().values(), "all partitions are taken over", limit=15)
        left = 15 - (time.monotonic() - begin)
        eventually(lambda: last.bytes.count(b"\n") >= shown + 50, "logs goes on", limit=left)
        for follower, _ in followed:
            code, said = follower.wait()
            self.assertEqual(code, 0, said)
            self.assertEqual(follower.bytes[:-len(b"longest 0.000\n")], EVEN_LINES)


class ShortSoak(unittest.TestCase):
    def test_kafka(self):
        self.assertTrue(soak("kafka", 200_000, 4, 8, 20, seed=int(time.time()), frozen=2))

    def test_direct(self):
        self.assertTrue(soak("direct", 200_000, 4, 8, 20, seed=int(time.time())))


if __name__ == "__main__":
    unittest.main()
