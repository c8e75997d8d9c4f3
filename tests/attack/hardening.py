"""What surrounds a job: file systems, limits, name spaces, variables, the queue."""

import os
import time
import uuid

from framework import attack
from job_scripts import look


@attack("A29.disk", "a job's root and /dev are as large as memory, or writable")
def _(case):
    yield
    seen, _, _ = look(case)
    case.check(not seen["root_writable"], "/ is writable")
    for name in ("root", "dev", "shm"):
        size = seen[name + "_bytes"]
        case.check(size <= 1 << 30 or not seen.get(name + "_writable", True), f"{name} has {size / 2**30:.1f} GB")
    yield


@attack("A29.limits", "name spaces, system calls and core dumps of a job")
def _(case):
    yield
    seen, _, _ = look(case)
    case.check(not seen["user_namespace"], "a job makes user name spaces, where it is root")
    case.check(seen["seccomp"] != "0", "no system call is refused")
    case.check(seen["core"] == 0, f"core dumps of {seen['core']} bytes")
    case.check(0 < seen["processes"] <= 32_768, f"{seen['processes']} processes")
    case.check(not seen["installation"], "a job reads " + ", ".join(seen["installation"]))
    yield


@attack("A29.threads", "a job starts processes until it cannot")
def _(case):
    yield
    number = case.attacker.script("fork", "import os, time\nmade = 0\ntry:\n    while made < 20_000:\n        if os.fork() == 0:\n            time.sleep(15)\n"
                                  "            os._exit(0)\n        made += 1\nexcept OSError:\n    pass\nprint(made, flush=True)\ntime.sleep(5)\n")
    time.sleep(12)
    case.attacker.run("kill", number, code=None, limit=30)
    yield
    case.note("processes started: " + case.attacker.log(number).strip()[:40])


@attack("A29.password", "passwords of the node in a job's variables")
def _(case):
    secret = uuid.uuid4().hex
    stack = case.installation.stack
    stack.down()
    stack.env["PIP_INDEX_URL"] = stack.env["HTTPS_PROXY"] = f"http://user:{secret}@127.0.0.1:9"
    stack.env["NO_PROXY"] = "127.0.0.1"
    stack.up()
    yield
    seen, _, _ = look(case)
    case.check(not any(secret in value for value in seen["variables"].values()),
               "a job gets " + ", ".join(name for name, value in seen["variables"].items() if secret in value))
    found = [path for path, text in seen["files"].items() if secret in text]
    case.check(not found, "a job reads it in " + ", ".join(found[:3]))
    with open(f"/proc/{stack.pid('supervisor')}/environ", "rb") as file:
        case.check(secret.encode() not in file.read(), "the supervisor keeps it in its environment")
    yield


@attack("A29.queue", "jobs that need the whole machine wait before a small one of another user")
def _(case):
    cores = os.cpu_count()
    number = case.attacker.submit("half", "sleep 600", resources={"cpus": cores - 1, "mem": 64, "gpus": 0})
    case.attacker.wait_state(number, "RUNNING")
    yield
    for _ in range(3):
        case.attacker.submit("whole", "sleep 600", resources={"cpus": cores, "mem": 64, "gpus": 0})
    time.sleep(10)
    for own in case.attacker.run("status", "-q", code=None).decode().split():
        case.attacker.run("kill", own, code=None)
    yield
