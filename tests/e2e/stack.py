"""A local installation of the test's own: real binaries, real PostgreSQL, ports chosen by the system."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from podman import RUNTIME, Podman

BIN = os.environ["RISEML_BIN"]
SERVICES = ("api", "gitsync", "builder", "loghandler", "scheduler", "agent")


def eventually(predicate, what, limit=60.0):
    """Returns the first true value of predicate(); fails naming what was waited for."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        value = predicate()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {limit} s: {what}")


def processes_with(*words):
    """Numbers of the processes that have all these words in their command line."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if set(words) <= set(command):
            found.append(int(name))
    return found


def deliveries(directory):
    """Numbers of the processes that deliver logs of attempts in an installation."""
    attempts = os.path.join(directory, "node", "attempts")
    return [pid for name in (os.listdir(attempts) if os.path.isdir(attempts) else ())
            for pid in processes_with("ship", os.path.join(attempts, name))]


class Stack:
    """`riseml up` in a temporary directory, and the `riseml` program against it. Jobs run as RISEML_E2E_RUNTIME says."""

    def __init__(self, runtime=RUNTIME):
        self.runtime = runtime
        self.podman = None  # from the first `up` with this runtime
        self.image = "python:3.11"  # of projects that name none
        self.root = tempfile.mkdtemp(prefix="riseml-e2e-")
        os.chmod(self.root, 0o755)
        self.dir = os.path.join(self.root, "installation")
        self.env = {
            **os.environ,
            "HOME": self.root,
            "XDG_CACHE_HOME": os.path.join(self.root, "cache"),
            "RISEML_CONFIG": os.path.join(self.root, "config"),
            "LC_ALL": "C.UTF-8",
        }

    def popen(self, *args, config=None, cwd=None, **kwargs):
        env = dict(self.env)
        if config:
            env["RISEML_CONFIG"] = config
        return subprocess.Popen(
            [os.path.join(BIN, "riseml"), *args], env=env, cwd=cwd or self.root, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **kwargs)

    def run(self, *args, code=0, limit=120, **kwargs):
        """Runs the program; returns its standard output. Any other exit code than `code` fails the test."""
        process = self.popen(*args, **kwargs)
        out, err = process.communicate(timeout=limit)
        if code is not None and process.returncode != code:
            raise AssertionError(
                f"riseml {' '.join(args)}: exit code {process.returncode}, expected {code}\n{out.decode(errors='replace')}\n"
                f"{err.decode(errors='replace')}")
        return out

    def add_user(self, name, *options):
        """Creates a user; returns the path of a client configuration of theirs, for `run(…, config=…)`."""
        made = self.run("user", "create", "--username", name, "--email", f"{name}@example.org", *options).decode()
        key = next(word for word in made.split() if word.startswith("rml_"))
        with open(self.env["RISEML_CONFIG"], encoding="utf-8") as file:
            text = file.read()
        own_key = self.key_in(self.env["RISEML_CONFIG"])
        config = os.path.join(self.root, name)
        with open(os.open(config, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(text.replace(own_key, key).replace("name: admin", f"name: {name}"))
        return config

    @staticmethod
    def key_in(config):
        """The API key in a client configuration."""
        with open(config, encoding="utf-8") as file:
            return next(word for word in file.read().split() if word.startswith("rml_"))

    def fails(self, *args, code=1, **kwargs):
        """Runs the program, which is to fail; returns what it said on standard error."""
        process = self.popen(*args, **kwargs)
        _, err = process.communicate(timeout=120)
        if process.returncode != code:
            raise AssertionError(f"riseml {' '.join(args)}: exit code {process.returncode}, expected {code}\n{err.decode()}")
        return err.decode()

    def json(self, *args, **kwargs):
        return json.loads(self.run(*args, "--json", **kwargs))

    def up(self, *options):
        first = self.runtime == "podman" and not self.podman
        self.run("up", "--dir", self.dir, *(("--runtime", "podman") if first else ()), *options, limit=180)
        if first:
            self.podman = Podman(self.dir, self.key_in(self.env["RISEML_CONFIG"]))
            self.podman.push_base()
            self.image = self.podman.image

    def down(self):
        self.run("down", "--dir", self.dir, limit=120)

    def pid(self, name):
        with open(os.path.join(self.dir, "run", name + ".pid"), encoding="ascii") as file:
            return int(file.read())

    def config(self, name):
        """The configuration of one service, as `up` has written it."""
        with open(self.config_path(name), encoding="utf-8") as file:
            return json.loads("".join(line for line in file if not line.startswith("#")))

    def config_path(self, name):
        return os.path.join(self.dir, "config", name + ".yaml")

    def write_config(self, name, config):
        with open(self.config_path(name), "w", encoding="utf-8") as file:
            json.dump(config, file)  # JSON is YAML

    def restart_with(self, name, config):
        """Has one service started again with another configuration, which lasts until the next `up`."""
        self.write_config(name, config)
        killed = self.kill(name)
        eventually(lambda: self.restarted(name, killed), f"{name} is started again")

    def restarted(self, name, killed):
        """True once a process other than the killed one runs."""
        try:
            pid = self.pid(name)
            os.kill(pid, 0)
            return pid != killed
        except (OSError, ValueError):
            return False

    def kill(self, name, number=signal.SIGKILL):
        """Kills one process of the installation by its own pid file; returns the pid."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def close(self):
        """Stops everything, running jobs too: they would outlive the installation."""
        for number in self.run("status", "-q", code=None).split():
            self.run("kill", number.decode(), code=None)
            self.run("wait", number.decode(), code=None)
        self.run("down", "--dir", self.dir, code=None)
        if self.podman:
            # Podman removes a container a moment after the job in it has ended, and waits forever for files that are gone.
            eventually(lambda: not processes_with("run", f"{self.dir}/containers/images"), "Podman has removed all containers")
            self.podman.clean()
        for pid in deliveries(self.dir):
            os.kill(pid, signal.SIGTERM)  # it waits for the installation to come up again, to deliver the end of a log
        shutil.rmtree(self.root, ignore_errors=True)

    def project(self, name, run, files=None, **train):
        """Writes a project; `run` is a command or a list. Returns its directory."""
        path = os.path.join(self.root, "projects", name)
        os.makedirs(path, exist_ok=True)
        spec = {"image": self.image, "resources": {"cpus": 0.1, "mem": 64, "gpus": 0}, **train, "run": run}
        with open(os.path.join(path, "riseml.yml"), "w", encoding="utf-8") as file:
            json.dump({"project": name, "train": spec}, file)  # JSON is YAML
        for file_name, text in (files or {}).items():
            with open(os.path.join(path, file_name), "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def train(self, path, *args, **kwargs):
        """Submits a project; returns the number of the experiment."""
        return self.run("train", "-q", *args, cwd=path, **kwargs).decode().strip()

    def experiment(self, number, **kwargs):
        return self.json("status", number, **kwargs)["experiment"]

    def state(self, number, **kwargs):
        return self.experiment(number, **kwargs)["state"]

    def wait_state(self, number, *states, limit=None):
        """Waits for one of these states. An experiment that has ended in another one, or is late, fails the test with what is known."""
        def reached():
            state = self.state(number)
            return state if state in (*states, "FINISHED", "FAILED", "KILLED") else ""

        try:
            # A container's image is built first.
            state = eventually(reached, f"{number} in {states}", limit or (180 if self.podman else 60))
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.known_of(number)}") from late
        if state not in states:
            raise AssertionError(f"{number} is {state}, not in {states}\n{self.known_of(number)}")

    def known_of(self, number):
        """What status, the log of the build and the warnings of the services say."""
        said = [self.run("status", number, code=None).decode(errors="replace")]
        for job in self.experiment(number)["jobs"]:
            name = job["name"].rsplit("/", 1)[1]
            log = self.popen("logs", "--raw", f"{number}.{name}")
            try:
                said.append(f"{name}: {log.communicate(timeout=10)[0].decode(errors='replace')[-3000:]}")
            except subprocess.TimeoutExpired:
                log.kill()
                said.append(f"{name}: {log.communicate()[0].decode(errors='replace')[-3000:]}")
        for name in sorted(os.listdir(os.path.join(self.dir, "logs"))):
            with open(os.path.join(self.dir, "logs", name), encoding="utf-8", errors="replace") as file:
                said += [f"{name}: {line.rstrip()[:400]}" for line in file if " WARN" in line or " ERROR" in line][-10:]
        return "\n".join(said)


class StackTest(unittest.TestCase):
    """Tests of one class share an installation."""

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.stack.up()


class Follower:
    """`riseml logs --raw` in the background; `bytes` is what it has shown so far, `said` its standard error."""

    def __init__(self, stack, number):
        self.process = stack.popen("logs", "--raw", number)
        self.bytes = self.said = b""
        self.threads = [threading.Thread(target=self._read, args=what)
                        for what in ((self.process.stdout, "bytes"), (self.process.stderr, "said"))]
        for thread in self.threads:
            thread.start()

    def _read(self, pipe, name):
        while piece := pipe.read1(1 << 20):
            setattr(self, name, getattr(self, name) + piece)

    def started(self):
        """Waits for the first byte: from here on a lost connection is found again, before it the command may give up."""
        eventually(lambda: self.bytes, "riseml logs shows something")

    def wait(self):
        """Its exit code, and what it said on standard error."""
        for thread in self.threads:
            thread.join(300)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.wait(10), self.said.decode()
