"""A local installation whose logs go over a real Kafka broker."""

import os
import time
import unittest

from soak import Broker, soak
from stack import Stack, eventually


class Kafka(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()
        cls.addClassCleanup(cls.broker.close)
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.stack.run("up", "--dir", cls.stack.dir, "--kafka", cls.broker.address(), limit=180)

    def test_a_log_is_complete_when_logs_ends(self):
        number = self.stack.train(self.stack.project("short", "echo one; echo two"))
        self.assertEqual(self.stack.run("logs", "--raw", number), b"one\ntwo\n")
        self.assertTrue(os.listdir(os.path.join(self.stack.dir, "log-store", "claims")))

    def test_a_job_runs_on_while_the_broker_is_away(self):
        path = self.stack.project("away", "echo before; while [ ! -e $OUTPUT_DIR/go ]; do sleep 0.05; done; echo after")
        number = self.stack.train(path)
        self.stack.wait_state(number, "RUNNING")
        self.broker.kill()
        with open(os.path.join(self.stack.experiment(number)["output_path"], "go"), "w", encoding="ascii"):
            pass
        self.stack.run("wait", number, limit=60)
        logs = self.stack.popen("logs", "--raw", number)
        time.sleep(1)
        self.assertIsNone(logs.poll(), "logs ends only when all is stored")
        self.broker.start()
        out, err = logs.communicate(timeout=60)
        self.assertEqual((out, logs.returncode), (b"before\nafter\n", 0), err)

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


class ShortSoak(unittest.TestCase):
    def test_kafka(self):
        self.assertTrue(soak("kafka", 200_000, 4, 8, 20, seed=int(time.time())))

    def test_direct(self):
        self.assertTrue(soak("direct", 200_000, 4, 8, 20, seed=int(time.time())))


if __name__ == "__main__":
    unittest.main()
