"""Jobs that reach for what is not theirs: their own journal, token and log, ports, other users' sockets."""

import json
import os
import struct
import time

import grpc

from framework import NotHere, attack
from installation import processes_below
from job_scripts import look, script, start_of
from rpc import messages

RESULTS = "v1/job:JobService/ReportResults"


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def end_record(seconds=None):
    """A record of a journal that says: ended, all commands succeeded."""
    record = messages("internal/v1/attempt_files").JournalRecord()
    record.ended.event = messages("internal/v1/scheduling").Observation.EXITED
    record.ended.reason = "COMPLETED"
    record.ended.message = "Command `python train.py` return code: 0"
    record.ended.exit_code = 0
    record.ended.exit_class = messages("v1/job").Attempt.SUCCESS
    record.ended.time.seconds = int(time.time()) if seconds is None else seconds
    body = record.SerializeToString()
    return struct.pack("<II", len(body), crc32c(body)) + body


def running(case, mark):
    """Whether a process of the installation's jobs has this word in its command line."""
    found = False
    for pid, descriptor in processes_below(case.path()):
        os.close(descriptor)
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                found = found or mark.encode() in file.read().split(b"\0")
        except OSError:
            pass
    return found


@attack("A3", "a job writes its own end into its journal")
def _(case):
    mark = f"600.{os.getpid()}"
    yield
    number = case.attacker.submit(
        "forge", [f"python a.py {end_record().hex()} $OUTPUT_DIR/said; exit 0", f"sleep {mark}"],
        {"a.py": script("forge_end")})
    time.sleep(15)
    experiment = case.attacker.experiment(number)
    alive = running(case, mark)
    with open(os.path.join(experiment["output_path"], "said"), encoding="utf-8") as file:
        case.note("the job says: " + "; ".join(file.read().split("\n")))
    case.check(experiment["state"] == "RUNNING" or not alive, f"reported as {experiment['state']} while it runs")
    forged = [job["message"] for job in experiment["jobs"] if "train.py" in job.get("message", "")]
    case.check(not forged, f"the job has told its own outcome: {forged}")
    case.attacker.run("kill", number, code=None)
    time.sleep(3)
    case.check(not running(case, mark), "riseml kill does not end it")
    yield


@attack("A3.lock", "an end in the journal while the sandbox lives, however it came there")
def _(case):
    mark = f"600.{os.getpid()}"
    number = case.attacker.submit("forge", f"sleep {mark}")
    case.attacker.wait_state(number, "RUNNING")
    yield
    append_to_journal(case, number, end_record())
    time.sleep(4)
    state = case.attacker.state(number)
    case.check(state == "RUNNING" or not running(case, mark), f"reported as {state} while it runs")
    case.attacker.run("kill", number, code=None)
    time.sleep(3)
    case.check(not running(case, mark), "riseml kill does not end it")
    yield


def append_to_journal(case, number, record):
    wanted = start_of(case, number)
    with open(case.path("node", "attempts", f"{wanted.job_uid}.{wanted.attempt}", "journal"), "ab") as file:
        file.write(record)


@attack("A4", "an end of the year -30000 among those of others")
def _(case):
    number = case.attacker.submit("poison", "sleep 600")
    case.attacker.wait_state(number, "RUNNING")
    yield
    append_to_journal(case, number, end_record(-10 ** 12))
    project = case.victim.project("set", "true", resources={"cpus": 0.05, "mem": 16, "gpus": 0}, concurrency=4,
                                  parameters={"a": {"range": {"min": 1, "max": 60, "step": 1}}})
    own = case.victim.run("train", "-q", cwd=project).decode().strip()
    time.sleep(20)
    experiment = case.victim.experiment(own)
    case.check(experiment["state"] == "FINISHED", f"the victim's set is {experiment['state']}: {experiment.get('child_states')}")
    case.attacker.run("kill", number, code=None)
    time.sleep(3)
    case.check(case.attacker.state(number) != "RUNNING", "the poisoned job stays RUNNING although it was killed")
    yield


def take_ports(case, service, works):
    """A job waits for the ports of a service that is killed; works() tells whether it is back."""
    ports = [str(port) for name, port in case.installation.ports.items() if name.startswith(service + ".")]
    number = case.attacker.script("ports", script("take_ports"), ["python a.py " + " ".join(ports)])
    case.attacker.wait_state(number, "RUNNING")
    time.sleep(1)
    yield
    case.installation.stack.kill(service)
    time.sleep(8)
    case.check(works(), f"{service} does not answer 8 s after it was killed")
    yield
    case.attacker.wait(number)
    case.note("the job says: " + " ".join(case.attacker.log(number).split("\n")))


@attack("A15", "a job takes the ports of api, which is started again")
def _(case):
    return take_ports(case, "api", lambda: case.victim.popen("status").wait(15) == 0)


@attack("A15.logs", "a job takes the ports of loghandler, which is started again")
def _(case):
    number = case.victim.submit("talk", "echo said")
    case.victim.wait(number)
    return take_ports(case, "loghandler", lambda: case.victim.log_now(number, 5) == "said\n")


def need_own_network(case):
    info = case.victim.run("system", "info", "-l").decode()
    if "shared" in info:
        raise NotHere("jobs share the network of this machine; riseml system info -l says so")


@attack("A19", "a job reads a port of another user's job")
def _(case):
    need_own_network(case)
    server = ("import socket\none = socket.socket()\none.bind(('0.0.0.0', 0))\none.listen(9)\nprint(one.getsockname()[1], flush=True)\n"
              "while True:\n    peer, _ = one.accept()\n    peer.sendall(b'secret')\n    peer.close()\n")
    served = case.victim.script("server", server)
    case.victim.wait_state(served, "RUNNING")
    end = time.monotonic() + 10
    while not (port := case.victim.log_now(served).strip()) and time.monotonic() < end:
        time.sleep(0.2)
    yield
    read = (f"import socket\ntry:\n    print(socket.create_connection(('127.0.0.1', {port}), 3).recv(9))\nexcept OSError as error:\n"
            "    print('refused', error)\n")
    number = case.attacker.script("reader", read)
    case.attacker.wait(number, limit=20)
    case.check("secret" not in case.attacker.log(number), f"the job reads what another user's job serves at port {port}")
    yield


@attack("A19.platform", "a job reaches listeners and /metrics of the platform")
def _(case):
    need_own_network(case)
    internal = {name: port for name, port in case.installation.ports.items() if not name.endswith(".user")}
    yield
    connect = (f"import socket\nfor name, port in {internal!r}.items():\n    try:\n"
               "        socket.create_connection(('127.0.0.1', port), 3).close()\n        print(name, flush=True)\n    except OSError:\n        pass\n")
    number = case.attacker.script("reach", connect)
    case.attacker.wait(number, limit=30)
    reached = case.attacker.log(number).split()
    case.check(not reached, "the job reaches " + ", ".join(reached))
    yield


@attack("A20.reach", "a job finds the token of its attempt")
def _(case):
    yield
    seen, token, _ = look(case)
    found = [path for path, text in seen["files"].items() if token in text]
    case.check(not found, "the job reads its token in " + ", ".join(found))
    yield


@attack("A20", "results after the end, with the token of the attempt")
def _(case):
    number = case.attacker.script("result", "import riseml, time\nriseml.report_result(acc=0.5)\ntime.sleep(4)\n")
    case.attacker.wait_state(number, "RUNNING")
    token = start_of(case, number).token
    case.attacker.wait(number)
    time.sleep(3)
    client = case.installation.client("api.user", token)
    request = messages("v1/job").ReportResultsRequest(sequence=99)
    request.results["acc"] = 0.99
    yield
    code, _ = client.code(RESULTS, request)
    case.check(code != "OK", "ReportResults is taken after the end")
    secrets, _ = client.code("v1/job:JobService/FetchSecrets", messages("v1/job").FetchSecretsRequest())
    case.check(secrets != "OK", "FetchSecrets is answered after the end")
    case.check(case.attacker.experiment(number)["result"] == {"acc": 0.5}, "the result has changed after the end")
    yield


def ingest(case, token, parts):
    log = messages("v1/log")

    def requests():
        yield log.IngestRequest(hello={})
        yield from parts
        time.sleep(1)
    try:
        return list(case.installation.client("loghandler.user", token).both("v1/log:LogService/Ingest", requests(), 5)), "OK"
    except grpc.RpcError as error:
        return [], error.code().name


@attack("A21.ingest", "a job writes its log with the token that it finds")
def _(case):
    log = messages("v1/log")
    seen, token, _ = look(case)
    found = any(token in text for text in seen["files"].values())
    number = case.attacker.submit("forge", ["cat /run/riseml/token > $OUTPUT_DIR/token || true", "sleep 600"])
    case.attacker.wait_state(number, "RUNNING")
    yield
    if found:
        data = b"never printed\n"
        block = log.IngestRequest(block={"raw_length": len(data), "data": data, "crc": crc32c(data), "times": [0, -2 ** 63]})
        ingest(case, start_of(case, number).token, [block, log.IngestRequest(end={"final_offset": len(data)})])
        time.sleep(1)
        case.check("never printed" not in case.attacker.log_now(number), "a line that was never printed is stored")
    else:
        case.note("no token within the job's reach")
    yield


@attack("A21.cut", "a job cuts its log")
def _(case):
    yield
    text = "import os\nprint('first', flush=True)\ntry:\n    os.ftruncate(1, 0)\n    print('cut', flush=True)\nexcept OSError:\n    pass\nprint('last', flush=True)\n"
    number = case.attacker.script("cut", text)
    case.attacker.wait(number)
    time.sleep(2)
    attempt = json.loads(case.attacker.run("status", f"{number}.train", "--json"))["job"]["attempts"][0]
    log = case.attacker.log(number)
    case.check(log == "first\nlast\n" or attempt["log_state"] == "TRUNCATED", f"the log is {log!r} and {attempt['log_state']}")
    yield


@attack("A21.term", "a job stops itself as if a user had asked")
def _(case):
    yield
    for name in ("TERM", "INT"):
        number = case.attacker.submit("term", [f"kill -{name} 1; sleep 3"])
        case.attacker.wait(number, limit=50)
        state = case.attacker.state(number)
        case.check(state in ("FAILED", "FINISHED"), f"kill -{name} 1: {state}, although no user asked")
    yield


@attack("A21.line", "a job prints a line that looks like a change of state")
def _(case):
    yield
    number = case.attacker.submit("line", [r"printf '\033[1m--> FINISHED\033[0m\n--> FINISHED\n'; sleep 1"])
    case.attacker.wait(number)
    lines = case.attacker.terminal("logs", number).split("\n")
    real = [line.strip() for line in lines if "FINISHED" in line]
    case.note(" ".join(repr(line) for line in real)[:250])
    case.check(len(set(real)) == len(real), "printed lines look like lines of state")
    yield
