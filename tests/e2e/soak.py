"""Numbered lines of several jobs while the parts of the log's way are killed at random: none is lost, none repeated.

    soak.py [--lines N] [--jobs N] [--kills N] [--seconds N] [--frozen N] [--transport kafka|direct|both] [--seed N]

Prints one line per transport with what was counted; exit code 1 when a line is missing, repeated or out of place.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from stack import Stack, eventually, processes_with

TESTBED = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "kafka_testbed")
SCRIPT = """
import os, sys, time
lines, seconds, job = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
log = os.fdopen(1, "wb", buffering=0)
step = max(1, min(1000, lines // 200))
begin = time.monotonic()
for start in range(0, lines, step):
    log.write(b"".join(b"%s %08d of the log\\n" % (job.encode(), i) for i in range(start, min(start + step, lines))))
    ahead = start / lines * seconds - (time.monotonic() - begin)
    if ahead > 0:
        time.sleep(ahead)
"""


WARNINGS = 60  # lines of each service that a failure prints


class Broker:
    """A Kafka broker of its own."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="riseml-kafka-")
        self.process = None
        subprocess.run([TESTBED, "fetch"], check=True, stdout=subprocess.DEVNULL)
        self.start()

    def start(self):
        with open(os.path.join(self.root, "log"), "ab") as log:
            self.process = subprocess.Popen([TESTBED, "run", os.path.join(self.root, "broker")], stdout=log, stderr=log)

    def address(self):
        path = os.path.join(self.root, "broker", "address")
        eventually(lambda: os.path.exists(path) and os.path.getsize(path) > 0, "the broker has an address")
        with open(path, encoding="ascii") as file:
            return file.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self, seconds):
        """Stops it for a while: longer than 6 s and the log handlers lose their partitions, longer than 30 s and producers begin anew."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)


def difference(wanted, out):
    """Says which lines are missing, as ranges, and how many come twice."""
    lines, got = wanted.split(b"\n")[:-1], out.split(b"\n")[:-1]
    have = set(got)
    missing = [i for i, line in enumerate(lines) if line not in have]
    ends = [i for i in missing if i + 1 == len(lines) or lines[i + 1] in have]
    begins = [i for i in missing if i == 0 or lines[i - 1] in have]
    ranges = ", ".join(f"{begin}-{end}" for begin, end in zip(begins, ends))
    return f"{len(missing)} of {len(lines)} lines lost ({ranges}), {len(got) - len(have)} repeated"


class Soak:
    def __init__(self, transport, lines, jobs, kills, seconds, seed, frozen):
        self.transport, self.lines, self.jobs, self.kills, self.seconds = transport, lines, jobs, kills, seconds
        self.frozen = frozen
        self.random = random.Random(seed)
        self.broker = Broker() if transport == "kafka" else None
        self.stack = Stack()
        self.done = {}

    def close(self):
        self.stack.close()
        if self.broker:
            self.broker.close()

    def ships(self):
        """Processes that ship logs of this installation."""
        return [pid for pid in processes_with("ship", "--dir") if self.of_stack(pid)]

    def of_stack(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return self.stack.dir.encode() in file.read()
        except OSError:
            return False

    def kill_one(self):
        victims = ["ship", "agent", "loghandler"] + (["broker", "frozen broker"] if self.broker else [])
        victim = self.random.choice(victims)
        try:
            if victim == "broker":
                self.broker.kill()
                time.sleep(self.random.random())
                self.broker.start()
            elif victim == "frozen broker":
                self.broker.freeze(self.frozen)
            elif victim == "ship":
                for pid in self.ships()[:4]:
                    os.kill(pid, signal.SIGKILL)
            else:
                self.stack.kill(victim)
        except (OSError, ValueError):
            return  # it is just being started again
        self.done[victim] = self.done.get(victim, 0) + 1

    def warnings(self, service):
        """What a service has said of logs and of trouble, for whoever looks for the reason of a wrong log."""
        with open(os.path.join(self.stack.dir, "logs", f"{service}.log"), encoding="utf-8", errors="replace") as file:
            return [line.rstrip() for line in file if "log_" in line or '"severity":"INFO"' not in line][-WARNINGS:]

    def run(self):
        """Returns (lines, wrong logs)."""
        self.stack.up(*(("--kafka", self.broker.address()) if self.broker else ()))
        numbers = []
        for job in range(self.jobs):
            path = self.stack.project(f"soak{job}", f"python print.py {self.lines // self.jobs} {self.seconds} j{job}",
                                      files={"print.py": SCRIPT})
            numbers.append(self.stack.train(path))
        for number in numbers:
            self.stack.wait_state(number, "RUNNING", limit=120)
        for _ in range(self.kills):
            self.kill_one()
            time.sleep(self.seconds / (self.kills + 1) * self.random.uniform(0.5, 1.5))
        wrong = []
        total = 0
        for job, number in enumerate(numbers):
            self.stack.run("wait", number, limit=600 + self.seconds)
            out = self.stack.run("logs", "--raw", number, limit=600)
            count = self.lines // self.jobs
            wanted = b"".join(b"j%d %08d of the log\n" % (job, i) for i in range(count))
            total += out.count(b"\n")
            if out != wanted:
                wrong.append(f"job {number}: {difference(wanted, out)}")
            state = self.stack.experiment(number)["jobs"][0]
            if state["attempt_count"] != 1:
                wrong.append(f"job {number}: {state['attempt_count']} attempts")
        if wrong:
            wrong += [line for service in ("loghandler", "agent") for line in self.warnings(service)]
        return total, wrong


def soak(transport, lines, jobs, kills, seconds, seed, frozen=20):
    one = Soak(transport, lines, jobs, kills, seconds, seed, frozen)
    begin = time.monotonic()
    try:
        total, wrong = one.run()
    finally:
        one.close()
    print(f"{transport}: {total} of {lines // jobs * jobs} lines, kills {one.done}, {len(wrong)} logs wrong, "
          f"{time.monotonic() - begin:.0f} s, seed {seed}", flush=True)
    for line in wrong:
        print(line)
    return not wrong and total == lines // jobs * jobs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--frozen", type=float, default=20, help="seconds for which a frozen broker stays so")
    parser.add_argument("--transport", choices=("kafka", "direct", "both"), default="both")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    transports = ("kafka", "direct") if options.transport == "both" else (options.transport,)
    good = [soak(one, options.lines, options.jobs, options.kills, options.seconds, options.seed, options.frozen)
            for one in transports]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
