"""Memory and CPU time of the processes of an installation, read from /proc."""

import os
import threading

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
INTERVAL_S = 0.2
# Programs whose work is done by children; the children of all others are short-lived copies or not theirs.
WITH_CHILDREN = ("postgres", "edge", "haproxy", "nginx")


def _fields(pid):
    """Fields of /proc/PID/stat that follow the name of the program."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()


def children_of(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += [int(child) for child in file.read().split()]
    return found


def private_mb(pid):
    """Resident memory without what is shared: PostgreSQL's processes share their buffers."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        _, resident, shared = (int(word) for word in file.read().split()[:3])
    return (resident - shared) * PAGE_MB


def cpu_s(pid, ended_children):
    return sum(int(field) for field in _fields(pid)[11:15 if ended_children else 13]) / TICKS


class Usage:
    """What each service uses at one moment: {name: (pid, MB, CPU seconds)}. A service that is down is left out."""

    def __init__(self, run_directory):
        self.of = {}
        for file_name in os.listdir(run_directory):
            name, suffix = os.path.splitext(file_name)
            if suffix != ".pid":
                continue
            try:
                with open(os.path.join(run_directory, file_name), encoding="ascii") as file:
                    pid = int(file.read())
                family = name in WITH_CHILDREN
                memory, cpu = private_mb(pid), cpu_s(pid, family)
            except (OSError, ValueError, IndexError):
                continue
            for child in children_of(pid) if family else ():
                try:
                    memory += private_mb(child)
                    cpu += cpu_s(child, False)
                except (OSError, IndexError):
                    pass  # it has ended; its time is its parent's now
            self.of[name] = (pid, memory, cpu)


class Sampler:
    """Keeps the largest memory of each service from start() to stop()."""

    def __init__(self, run_directory):
        self.directory = run_directory
        self.before = Usage(run_directory).of
        self.peak = {name: memory for name, (_, memory, _) in self.before.items()}
        self.restarted = set()
        self.cpu = {}
        self._last = dict(self.before)
        self._spent = {name: 0.0 for name in self.before}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _look(self):
        for name, (pid, memory, cpu) in Usage(self.directory).of.items():
            self.peak[name] = max(self.peak.get(name, 0.0), memory)
            old_pid, _, old_cpu = self._last.get(name, (pid, 0, 0.0))
            if old_pid != pid:
                self.restarted.add(name)
                old_cpu = 0.0
            self._spent[name] = self._spent.get(name, 0.0) + max(0.0, cpu - old_cpu)
            self._last[name] = (pid, memory, cpu)

    def _run(self):
        while not self._stop.wait(INTERVAL_S):
            self._look()

    def stop(self):
        self._stop.set()
        self._thread.join()
        self._look()
        self.cpu = self._spent

    def growth(self):
        """(MB, name) of the service that grew most."""
        return max((self.peak[name] - (self.before[name][1] if name in self.before else 0.0), name) for name in self.peak)

    def busiest(self):
        """(CPU seconds, name) of the service that worked most."""
        return max((seconds, name) for name, seconds in self.cpu.items())
