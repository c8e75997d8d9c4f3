"""What jobs leave behind: deep trees, many files, pipes, long logs."""

import os
import time
import uuid

from calls import EXPERIMENTS, GRID, creation
from framework import attack
from gitpush import blob, push, tree
from job_scripts import script
from rpc import messages

LEVELS = 21_000
VICTIMS_BUILD_LIMIT_S = 25


def nest(case, name, directory, levels=LEVELS):
    return case.attacker.submit(name, [f"python a.py {directory} {levels}"], {"a.py": script("nest")})


def restart_agent(case):
    """Kills the agent, as an upgrade or a crash would, and waits for the next one; complains when it does not stay."""
    old = case.installation.stack.kill("agent")
    end = time.monotonic() + 15
    while time.monotonic() < end:
        time.sleep(0.5)
        try:
            pid = case.installation.stack.pid("agent")
            os.kill(pid, 0)
        except (OSError, ValueError):
            continue
        if pid != old and not case.installation.healthy():
            return
    case.check(False, "the agent does not start again: " + case.installation.healthy())


def deep_then_restart(case, directory):
    yield
    number = nest(case, "deep", directory)
    case.attacker.wait(number, limit=30)
    case.note("the job is " + case.attacker.state(number))
    time.sleep(2)
    restart_agent(case)
    yield
    attempts = [name for name in os.listdir(case.path("node", "attempts")) if name not in ("epoch", ".", "..")]
    case.note(f"left in node/attempts: {len(attempts)}")


@attack("A1", "21,000 nested directories in /run/riseml, then a restart")
def _(case):
    return deep_then_restart(case, "/run/riseml")


@attack("A1.code", "the same in /code")
def _(case):
    return deep_then_restart(case, "/code")


@attack("A1.cache", "the same in the cache")
def _(case):
    return deep_then_restart(case, "$XDG_CACHE_HOME")


def delete(case, number, limit):
    """Deletes an experiment of the attacker as soon as its log is stored."""
    request = messages("v1/experiment").DeleteExperimentRequest(name=f"users/attacker/experiments/{number}", request_id=str(uuid.uuid4()))
    client = case.attacker.client()
    end = time.monotonic() + limit
    while (code := client.code(EXPERIMENTS + "DeleteExperiment", request)[0]) != "OK" and time.monotonic() < end:
        time.sleep(0.5)
    case.check(code == "OK", f"DeleteExperiment: {code}")


@attack("A1.output", "the same in the output, which is then deleted")
def _(case):
    yield
    number = nest(case, "deep", "$OUTPUT_DIR")
    case.attacker.wait(number, limit=30)
    path = case.attacker.experiment(number)["output_path"]
    delete(case, number, 20)
    restart_agent(case)
    yield
    end = time.monotonic() + 30
    while os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.5)
    case.check(not os.path.exists(path), "the output of a deleted experiment stays")


@attack("A2", "ten jobs with 21,000 nested directories in /tmp")
def _(case):
    yield
    numbers = [nest(case, "deep", "/tmp") for _ in range(10)]
    for number in numbers:
        case.attacker.wait(number, limit=30)
    time.sleep(5)
    yield


@attack("A2.wide", "two jobs with 100,000 files in /tmp")
def _(case):
    yield
    numbers = [case.attacker.script("wide", "for number in range(100_000):\n    open(f'/tmp/{number}', 'w').close()\n") for _ in range(2)]
    for number in numbers:
        case.attacker.wait(number, limit=40)
    time.sleep(5)
    yield


def build(user, name, code, limit):
    """Seconds of a build that runs `code`, and the state of its experiment then."""
    begin = time.monotonic()
    number = user.submit(name, "true", {"b.py": code}, install=["python b.py"])
    end = begin + limit
    while (state := user.state(number)) not in ("FINISHED", "FAILED", "KILLED") and time.monotonic() < end:
        time.sleep(0.1)
    return time.monotonic() - begin, state


def leave_as_marker(case, statement):
    """A build of the attacker leaves something where the builder looks for the marker of a complete environment; builds of the victim."""
    before, state = build(case.victim, "built", "print('one')", VICTIMS_BUILD_LIMIT_S)
    case.check(state == "FINISHED", f"the victim's build before it is {state}")
    yield
    code = "import os, sys\npath = os.environ['VIRTUAL_ENV'] + '/.riseml-complete'\n" + statement + "\nsys.exit(1)\n"
    number = case.attacker.submit("marker", "true", {"b.py": code}, install=["python b.py"])
    case.attacker.wait(number, limit=30)
    case.attacker.submit("marker", "true", {"b.py": code}, install=["python b.py"])
    time.sleep(5)
    during, state = build(case.victim, "built", "print('two')", VICTIMS_BUILD_LIMIT_S)
    case.note(f"the victim's build: {before:.1f} s before, {during:.1f} s during it")
    case.check(state == "FINISHED" and during < max(2 * before, 8), f"the victim's build is {state} after {during:.1f} s, {before:.1f} before")
    yield
    after, state = build(case.victim, "built", "print('three')", VICTIMS_BUILD_LIMIT_S)
    case.check(state == "FINISHED", f"the victim's build after it is {state} after {after:.1f} s")


@attack("A5", "a named pipe as the marker of a complete environment")
def _(case):
    return leave_as_marker(case, "os.mkfifo(path)")


@attack("A5.link", "a link to an endless device as that marker")
def _(case):
    return leave_as_marker(case, "os.symlink('/dev/zero', path)")


@attack("A5.large", "a marker of 8 GB without content")
def _(case):
    return leave_as_marker(case, "open(path, 'w').truncate(8 << 30)")


@attack("A5.job", "named pipes in every directory of a job")
def _(case):
    yield
    numbers = [case.attacker.script("pipes", script("pipes_left")) for _ in range(4)]
    time.sleep(10)
    for number in numbers:
        case.check(case.attacker.state(number) in ("FINISHED", "FAILED"), f"the job is {case.attacker.state(number)} 10 s later")
    yield


@attack("A5.follow", "links to files of the installation in the output")
def _(case):
    def state():
        with open(case.path("FORMAT"), "rb") as file:
            return file.read(), sorted(os.listdir(case.path("config"))), sorted(os.listdir(case.path("secrets")))
    before = state()
    yield
    number = case.attacker.script("links", script("links_left"), retries={"error": 1})
    case.attacker.wait(number, limit=40)
    delete(case, number, 10)
    time.sleep(3)
    case.check(state() == before, f"files of the installation have changed: {state()}, before {before}")
    yield


@attack("A14", "code of 198,916 files in 15 KB, for four children")
def _(case):
    file = blob(b"x" * 2500)
    inner = tree([(f"f{number:03}", file) for number in range(446)])
    root = tree([(f"d{number:03}", inner) for number in range(446)])
    commit = push(case, "many", [file, inner, root], root)
    text = GRID % ("many", 4) + "  run: 'true'\n  parameters: {a: {range: {min: 1, max: 4, step: 1}}}\n"
    yield
    case.attacker.client().call(EXPERIMENTS + "CreateExperiment", creation("many", commit, text))
    time.sleep(40)
    yield


@attack("A27", "a hole of 64 GB in the log")
def _(case):
    yield
    number = case.attacker.script("hole", "import os, time\ntry:\n    os.ftruncate(1, 1 << 36)\nexcept OSError as error:\n    print(error, flush=True)\n"
                                  "time.sleep(8)\n")
    time.sleep(12)
    yield
    case.note("the job says: " + case.attacker.log(number)[:60].strip())


@attack("A27.zeros", "four jobs that print zeros as fast as they can")
def _(case):
    yield
    for _ in range(4):
        case.attacker.script("zeros", "import os, time\nend = time.time() + 12\nblock = bytes(1 << 20)\nwhile time.time() < end:\n    os.write(1, block)\n")
    time.sleep(15)
    yield
