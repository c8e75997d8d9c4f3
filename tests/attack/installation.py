"""A fresh local installation with two users, the attacker and the victim, and its complete removal."""

import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import grpc  # noqa: E402

from stack import BIN, Stack, eventually  # noqa: E402

from rpc import Client, messages  # noqa: E402


def remove_tree(path):
    """Removes a tree of any depth with few descriptors: what lies below a directory is moved up before it goes."""
    if not os.path.isdir(path) or os.path.islink(path):
        return
    number = 0
    while True:
        entries = list(os.scandir(path))
        if not entries:
            break
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, stat.S_IRWXU)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, stat.S_IRWXU)
                    number += 1
                    os.rename(inner.path, os.path.join(path, f".up-{number}"))
                else:
                    os.unlink(inner.path)
            os.rmdir(entry.path)
    os.rmdir(path)


PROGRAMS = ("riseml", "postgres", "bwrap")


def _text(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def _belongs_to(pid, directory):
    """Whether a process is a service or a shipper of the installation in this directory, or lives in a sandbox of one of its jobs.

    A word of its own command line, or a mount of a name space that is not ours: nothing else counts, as the processes of others
    may name the directory as well.
    """
    mark = os.fsencode(directory)
    command = _text(pid, "cmdline").split(b"\0")
    program = os.path.basename(os.fsdecode(command[0]))
    if program.startswith(PROGRAMS) and any(word == mark or word.startswith(mark + b"/") for word in command[1:]):
        return True
    if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
        return False
    return any(mark in line for line in _text(pid, "mountinfo").split(b"\n"))


def processes_below(directory):
    """Processes of the installation in this directory and of its jobs, as (pid, descriptor); the caller closes the descriptors."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        pid = int(name)
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            continue
        try:  # what is read now is about the process that the descriptor means, or about none
            if _belongs_to(pid, directory):
                found.append((pid, descriptor))
                continue
        except OSError:
            pass
        os.close(descriptor)
    return found


class User:
    """One user of the installation, with a client configuration and a directory of projects."""

    def __init__(self, installation, name, key):
        self.installation = installation
        self.name = name
        self.key = key
        self.config = os.path.join(installation.stack.root, "config-" + name)
        with open(installation.stack.env["RISEML_CONFIG"], encoding="utf-8") as file:
            text = file.read()
        with open(os.open(self.config, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(re.sub(r"api-key: \S+", "api-key: " + key, text).replace("name: admin", "name: " + name))

    def popen(self, *args, **kwargs):
        return self.installation.stack.popen(*args, config=self.config, **kwargs)

    def run(self, *args, **kwargs):
        return self.installation.stack.run(*args, config=self.config, **kwargs)

    def project(self, name, run, files=None, **train):
        train = {"image": "python:3.11", "resources": {"cpus": 0.1, "mem": 100, "gpus": 0}, **train}
        return self.installation.stack.project(f"{self.name}-{name}", run, files, **train)

    def submit(self, name, run, files=None, **train):
        """Submits a project; returns the number of the experiment."""
        return self.run("train", "-q", cwd=self.project(name, run, files, **train)).decode().strip()

    def script(self, name, script, run=None, **train):
        """Submits a project whose command runs a Python script (its text); returns the number."""
        return self.submit(name, run or ["python a.py"], {"a.py": script}, **train)

    def experiment(self, number):
        return json.loads(self.run("status", number, "--json"))["experiment"]

    def state(self, number):
        return self.experiment(number)["state"]

    def wait_state(self, number, *states, limit=30.0):
        eventually(lambda: self.state(number) in states, f"{number} in {states}", limit)

    def wait(self, number, limit=60):
        self.run("wait", number, code=None, limit=limit)

    def log(self, number):
        return self.run("logs", "--raw", number, code=None).decode(errors="replace")

    def log_now(self, number, timeout=30):
        """What there is of the log of a job; empty when loghandler does not answer."""
        log = messages("v1/log")
        request = log.FollowRequest(name=f"{self.parent()}/experiments/{number}", no_follow=True)
        responses = self.client("loghandler.user").read("v1/log:LogService/Follow", request, timeout)
        try:
            return b"".join(response.chunk.data for response in responses).decode(errors="replace")
        except grpc.RpcError:
            return ""

    def terminal(self, *args):
        """What the program shows on a terminal."""
        master, slave = pty.openpty()
        env = {**self.installation.stack.env, "RISEML_CONFIG": self.config, "TERM": "xterm"}
        process = subprocess.Popen([os.path.join(BIN, "riseml"), *args], env=env, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        shown = b""
        try:
            while data := os.read(master, 65536):
                shown += data
        except OSError:
            pass  # the other side is closed
        os.close(master)
        process.wait(30)
        return shown.decode(errors="replace")

    def client(self, listener="api.user"):
        """Calls a listener as this user."""
        return self.installation.client(listener, self.key)

    def parent(self):
        return "users/" + self.name


class Installation:
    def __init__(self, disk_mb=0):
        self.stack = Stack()
        self.own_disk = disk_mb > 0
        if self.own_disk:
            os.mkdir(self.stack.dir)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m,mode=0755", "tmpfs", self.stack.dir], check=True)
        self.clients = []
        self.processes = []
        self.stack.popen = self._kept(self.stack.popen)
        try:
            self.stack.up()
            with open(os.path.join(self.stack.dir, "supervisor.json"), encoding="utf-8") as file:
                state = json.load(file)
            self.ports, self.sockets = state["ports"], state["postgres_socket_dir"]
            with open(os.path.join(self.stack.dir, "certs", "ca.crt"), "rb") as file:
                self.ca = file.read()
            with open(self.stack.env["RISEML_CONFIG"], encoding="utf-8") as file:
                self.admin_key = re.search(r"api-key: (\S+)", file.read()).group(1)
            self.attacker = self.user("attacker")
            self.victim = self.user("victim")
        except BaseException:
            self.close()
            raise

    def _kept(self, popen):
        """Remembers what is started, as whoever waits for it may give up."""
        def start(*args, **kwargs):
            process = popen(*args, **kwargs)
            self.processes.append(process)
            return process
        return start

    def user(self, name):
        said = self.stack.run("user", "create", "--username", name, "--email", name + "@example.org").decode()
        return User(self, name, next(word for word in said.split() if word.startswith("rml_")))

    def client(self, listener, credential):
        client = Client(self.address(listener), self.ca, credential)
        self.clients.append(client)
        return client

    def address(self, listener):
        """Internal listeners have a socket and no port."""
        return f"127.0.0.1:{self.ports[listener]}" if listener in self.ports else f"unix:{self.sockets}/{listener}"

    def path(self, *parts):
        return os.path.join(self.stack.dir, *parts)

    def run_directory(self):
        return self.path("run")

    def healthy(self):
        """What `riseml-supervisor status` complains about; empty when all is well."""
        program = os.path.join(os.environ["RISEML_BIN"], "riseml-supervisor")
        try:
            done = subprocess.run([program, "status", "--dir", self.stack.dir], env=self.stack.env, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return "riseml-supervisor status does not answer"
        text = done.stdout.decode(errors="replace")
        bad = [line.strip() for line in text.split("\n") if line.strip() and "healthy" not in line and "ADDRESS" not in line]
        return "" if done.returncode == 0 else "; ".join(bad) or text.strip()

    def close(self):
        """Stops services and jobs and removes every file, whatever state an attack has left them in."""
        for client in self.clients:
            client.close()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
        try:
            self.stack.run("down", "--dir", self.stack.dir, code=None, limit=40)
        except (subprocess.TimeoutExpired, OSError):
            pass
        deadline = time.monotonic() + 20
        while left := processes_below(self.stack.dir):
            for _, descriptor in left:
                try:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                except OSError:
                    pass
                os.close(descriptor)
            if time.monotonic() > deadline:
                print(f"processes {[pid for pid, _ in left]} of {self.stack.root} do not end", file=sys.stderr)
                break
            time.sleep(0.1)
        if self.own_disk:
            subprocess.run(["umount", "--lazy", self.stack.dir], check=False)
        try:
            remove_tree(self.stack.root)
        except OSError as error:
            print(f"{self.stack.root} remains: {error}", file=sys.stderr)
