"""How long the victim waits: `riseml status`, and a small job from its submission to its end."""

import os
import subprocess
import threading
import time

STATUS_LIMIT_S = 15.0
JOB_LIMIT_S = 25.0
PAUSE_S = 0.25


class Times:
    """What the probes of one moment measured: seconds, and what went wrong."""

    def __init__(self):
        self.seconds = []
        self.errors = []

    def worst(self):
        return max(self.seconds, default=0.0)

    def middle(self):
        ordered = sorted(self.seconds)
        return ordered[len(ordered) // 2] if ordered else 0.0


class Probe:
    """One thing that the victim does again and again."""

    def __init__(self, limit):
        self.limit = limit
        self._stop = threading.Event()
        self._thread = None
        self._process = None
        self.during = Times()

    def steps(self):
        """Yields a function of one step after the other; each returns the command line to run, given the last output."""
        raise NotImplementedError

    def once(self, times):
        """Does it once; a failure is an error and counts as the time it took."""
        start = time.perf_counter()
        output = b""
        for step in self.steps():
            self._process = process = step(output)
            try:
                output, errors = process.communicate(timeout=max(0.1, self.limit - (time.perf_counter() - start)))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                times.errors.append(f"no answer in {self.limit:.0f} s")
                break
            if self._stop.is_set() and process.returncode < 0:
                times.errors.append("no answer until after the attack")
                break
            if process.returncode != 0:
                text = errors.decode(errors="replace").strip().split("\n")[0]
                times.errors.append(f"exit code {process.returncode}: {text}")
                break
        times.seconds.append(time.perf_counter() - start)

    def several(self, count):
        """Does it a few times, but not again after a failure."""
        times = Times()
        while len(times.seconds) < count and not times.errors:
            self.once(times)
        return times

    def start(self):
        self.during = Times()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            self.once(self.during)
            self._stop.wait(PAUSE_S)

    def stop(self, patience):
        """Ends the probes; one that still waits `patience` seconds later is ended and counts as failed."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join(patience)
        if self._thread.is_alive():
            if self._process is not None:
                self._process.kill()
            self._thread.join()
        self._thread = None
        self._stop.clear()


class StatusProbe(Probe):
    def __init__(self, user):
        super().__init__(STATUS_LIMIT_S)
        self.user = user

    def steps(self):
        yield lambda _: self.user.popen("status")


class JobProbe(Probe):
    def __init__(self, user):
        super().__init__(JOB_LIMIT_S)
        self.user = user
        self.path = user.project("small", "true")

    def steps(self):
        yield lambda _: self.user.popen("train", "-q", cwd=self.path)
        yield lambda number: self.user.popen("wait", os.fsdecode(number).strip())


def times_when_busy(other, user, statuses=50, jobs=15):
    """Seconds that the slowest status and the slowest job of `user` take while `other` trains what keeps all processors busy.

    An attacker, as anybody, may use the processors that are free; so these are the times that an attack is compared with.
    """
    status, job = StatusProbe(user), JobProbe(user)
    status.several(2), job.several(2)
    resources = {"cpus": 0.1, "mem": 16, "gpus": 0}
    trials = other.submit("trials", "true", resources=resources, concurrency=8, parameters={"a": {"range": {"min": 1, "max": 2000, "step": 1}}})
    other.wait_state(trials, "RUNNING")
    waited = status.several(statuses), job.several(jobs)
    if errors := waited[0].errors + waited[1].errors:
        raise RuntimeError("without an attack: " + errors[0])
    if other.state(trials) != "RUNNING":
        raise RuntimeError("the trials that should have kept the processors busy have ended")
    return waited[0].worst(), waited[1].worst()
