"""Calls that a user may make, in a size or number that hurts others."""

import concurrent.futures
import itertools
import threading
import time
import uuid

import grpc

from connections import hold
from framework import attack
from http2 import Connection
from job_scripts import token_of_job
from rpc import messages

EXPERIMENTS = "v1/experiment:ExperimentService/"
CREATE_LIMIT_S = 60
GRID = "project: %s\ntrain:\n  image: python:3.11\n  resources: {cpus: 0.1, mem: 100, gpus: 0}\n  concurrency: %d\n"


def revision(case, name):
    """Pushes a project of the attacker and ends its experiment; returns (project, commit)."""
    number = case.attacker.submit(name, "true")
    case.attacker.wait(number)
    return "attacker-" + name, case.attacker.experiment(number)["revision"].rsplit("/", 1)[1]


def creation(project, commit, text):
    return messages("v1/experiment").CreateExperimentRequest(
        parent="users/attacker", project=project, revision=commit, config_text=text, request_id=str(uuid.uuid4()))


def grid(project, commit, children, concurrency=1):
    return creation(project, commit, GRID % (project, concurrency) + "  run: 'true'\n  parameters: {a: {range: {min: 1, max: %d, step: 1}}}\n"
                    % children)


def large(project, commit, children=0):
    """A configuration of 61 KB with commands of 1 MB; with children, a set of as many that all wait for processors."""
    text = GRID % (project, max(1, children)) + '  run: [&c "#' + "x" * 61_000 + '", ' + "*c, " * 15 + "*c, 'true']\n"
    if children:
        text = text.replace("cpus: 0.1", "cpus: 1000")
        text += "  parameters: {a: {range: {min: 1, max: %d, step: 1}}}\n" % children
    return creation(project, commit, text)


def at_once(case, threads, seconds, one, client=None):
    """Calls one(client) in that many threads for that long; returns {code: number of calls}."""
    codes, lock, end = {}, threading.Lock(), time.monotonic() + seconds

    def work():
        mine = client or case.attacker.client()
        while time.monotonic() < end:
            code, _ = one(mine)
            with lock:
                codes[code] = codes.get(code, 0) + 1
            if code == "RESOURCE_EXHAUSTED":
                time.sleep(0.2)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    case.note(f"{threads} at once: {codes}")
    return codes


@attack("A6", "a set of 1,500 children with commands of 1 MB; 3 watchers")
def _(case):
    project, commit = revision(case, "large")
    client = case.attacker.client()
    yield
    code, text = client.code(EXPERIMENTS + "CreateExperiment", large(project, commit, 1500), CREATE_LIMIT_S)
    case.note(f"CreateExperiment: {code} {text}"[:200])
    request = messages("v1/experiment").WatchExperimentRequest(name="users/attacker/experiments/2").SerializeToString()
    for _ in range(3):
        one = case.closing(Connection(case.port("api.user"), window=65_535))
        one.send(one.request("/riseml.v1.ExperimentService/WatchExperiment", case.attacker.key, request))
    time.sleep(20)
    yield


@attack("A6.env", "the same bytes as variables of the request")
def _(case):
    project, commit = revision(case, "large")
    request = grid(project, commit, 1500, 1500)
    request.config_text = request.config_text.replace("cpus: 0.1", "cpus: 1000")
    request.env["X"] = "x" * 60_000
    client = case.attacker.client()
    yield
    code, text = client.code(EXPERIMENTS + "CreateExperiment", request, CREATE_LIMIT_S)
    case.note(f"CreateExperiment: {code} {text}"[:200])
    time.sleep(15)
    yield


def list_states(case, count):
    request = messages("v1/experiment").ListExperimentsRequest(parent="users/attacker", states=[6] * count).SerializeToString()
    at_once(case, 16, 15, lambda client: client.code(EXPERIMENTS + "ListExperiments", request))


@attack("A9", "ListExperiments with 1,000,000 states, 16 at once")
def _(case):
    yield
    list_states(case, 1_000_000)
    yield


@attack("A9.cursors", "Follow with 50,000 cursors, 16 at once")
def _(case):
    number = case.attacker.submit("talk", "echo said")
    case.attacker.wait(number)
    log = messages("v1/log")
    request = log.FollowRequest(name=f"users/attacker/experiments/{number}", no_follow=True, cursors=[
        log.StreamCursor(job_uid=str(uuid.uuid4()), attempt=1) for _ in range(50_000)]).SerializeToString()

    def one(client):
        try:
            for _ in client.read("v1/log:LogService/Follow", request):
                pass
            return "OK", ""
        except grpc.RpcError as error:
            return error.code().name, ""
    yield
    at_once(case, 16, 12, one, case.attacker.client("loghandler.user"))
    yield


@attack("A9.ids", "FindMissing with 50,000 ids, 16 at once")
def _(case):
    revision(case, "code")
    request = messages("v1/file").FindMissingRequest(
        project="users/attacker/projects/attacker-code", oids=[number.to_bytes(20, "big") for number in range(50_000)]).SerializeToString()
    yield
    at_once(case, 16, 12, lambda client: client.code("v1/file:FileService/FindMissing", request), case.attacker.client("gitsync.user"))
    yield


@attack("A11", "CreateExperiment with 10,000 children, 16 at once")
def _(case):
    project, commit = revision(case, "grid")
    yield
    at_once(case, 16, 15, lambda client: client.code(EXPERIMENTS + "CreateExperiment", grid(project, commit, 10_000), CREATE_LIMIT_S))
    yield


@attack("A11.same", "the same request_id, 16 at once")
def _(case):
    project, commit = revision(case, "grid")
    request = grid(project, commit, 10_000)
    yield
    at_once(case, 16, 12, lambda client: client.code(EXPERIMENTS + "CreateExperiment", request, CREATE_LIMIT_S))
    yield


@attack("A11.kill", "KillExperiment of a set of 10,000, 16 at once")
def _(case):
    project, commit = revision(case, "grid")
    made = case.attacker.client().call(EXPERIMENTS + "CreateExperiment", grid(project, commit, 10_000), CREATE_LIMIT_S)
    yield
    at_once(case, 16, 12, lambda client: client.code(EXPERIMENTS + "KillExperiment", messages("v1/experiment").KillExperimentRequest(
        name=made.name, request_id=str(uuid.uuid4())), CREATE_LIMIT_S))
    yield


def results_without_end(case, token, stop):
    """Reports results with a job's token until stop is set."""
    client, request = case.installation.client("api.user", token), messages("v1/job").ReportResultsRequest()
    for sequence in itertools.count(1):
        if stop.is_set():
            case.note(f"{sequence} results")
            return
        request.sequence = sequence
        request.results["x"] = sequence
        client.code("v1/job:JobService/ReportResults", request, 5)


def watch_many(case, connections):
    token = token_of_job(case)
    request = messages("v1/experiment").WatchExperimentRequest(name="users/attacker/experiments/1").SerializeToString()
    stop = threading.Event()
    yield
    thread = threading.Thread(target=results_without_end, args=(case, token, stop), daemon=True)
    thread.start()
    try:
        hold(case, "api.user", "/riseml.v1.ExperimentService/WatchExperiment", case.attacker.key, request, True, connections, 100, 20)
    finally:
        stop.set()
        thread.join()
    yield


@attack("A12.2000", "2,000 watches of one experiment that reports results")
def _(case):
    return watch_many(case, 20)


@attack("A12", "10,000 watches of one experiment that reports results")
def _(case):
    return watch_many(case, 100)


@attack("A13", "4,200 readers of one log")
def _(case):
    number = case.attacker.submit("talk", "echo said; sleep 600")
    case.attacker.wait_state(number, "RUNNING")
    victims = case.victim.submit("talk", "echo said")
    case.victim.wait(victims)
    request = messages("v1/log").FollowRequest(name=f"users/attacker/experiments/{number}").SerializeToString()
    read = []
    yield
    hold(case, "loghandler.user", "/riseml.v1.LogService/Follow", case.attacker.key, request, True, 42, 100, 12,
         lambda: read.append(case.victim.log(victims)))
    yield
    case.check(read == ["said\n"], "the victim could not read a log meanwhile")


@attack("A16", "20 experiments with commands of 1 MB")
def _(case):
    project, commit = revision(case, "large")
    client = case.attacker.client()
    yield
    for _ in range(20):
        client.code(EXPERIMENTS + "CreateExperiment", large(project, commit), CREATE_LIMIT_S)
    for options in (("-u", "-a", "-n", "50"), ("-a", "-n", "30")):
        run = case.installation.stack.run if "-u" in options else case.attacker.run
        try:
            run("status", *options)
        except AssertionError as error:
            case.check(False, str(error).replace("\n", " ").replace("ERROR", ""))
    yield


@attack("A17.rows", "sets of 10,000 until somebody says that it is enough")
def _(case):
    project, commit = revision(case, "grid")
    client = case.attacker.client()
    yield
    made = 0
    begin = time.monotonic()
    code = "OK"
    while code == "OK" and made < 12 and time.monotonic() - begin < 40:
        code, _ = client.code(EXPERIMENTS + "CreateExperiment", grid(project, commit, 10_000), CREATE_LIMIT_S)
        made += code == "OK"
    case.note(f"{made * 10_000} experiments in {time.monotonic() - begin:.0f} s, then {code}")
    case.check(code == "RESOURCE_EXHAUSTED", f"one user made {made * 10_000} experiments and nothing refuses the next")
    yield


def victim_pushes(case, name):
    try:
        case.victim.wait(case.victim.submit(name, "true", {"new.txt": name}), limit=20)
        return ""
    except Exception as error:  # whatever keeps the victim from it
        return str(error).replace("\n", " ")


@attack("A18", "12 pushes of two users that send nothing")
def _(case):
    other = case.installation.user("accomplice")
    header = messages("v1/file").PushRequest(header={"project": "", "tree": b"\1" * 20})
    yield
    for user in (case.attacker, other):
        one = case.closing(Connection(case.port("gitsync.user")))
        header.header.project = user.parent() + "/projects/slow"
        one.send(b"".join(one.request("/riseml.v1.FileService/Push", user.key, header.SerializeToString(), False) for _ in range(20)))
    time.sleep(3)
    complaint = victim_pushes(case, "fresh")
    case.check(not complaint, "the victim cannot push: " + complaint)
    time.sleep(3)
    yield


@attack("A18.read", "40 archives of two users that nobody reads")
def _(case):
    other = case.installation.user("accomplice")
    requests = []
    for user in (case.attacker, other):
        number = user.submit("code", "true", {f"{at}.txt": str(at) * 500_000 for at in range(9)})
        user.wait(number)
        requests.append(messages("v1/file").GetArchiveRequest(revision=user.experiment(number)["revision"]).SerializeToString())
    yield
    for user, request in zip((case.attacker, other), requests):
        one = case.closing(Connection(case.port("gitsync.user"), window=65_535))
        one.send(b"".join(one.request("/riseml.v1.FileService/GetArchive", user.key, request) for _ in range(20)))
    time.sleep(3)
    complaint = victim_pushes(case, "fresh")
    case.check(not complaint, "the victim cannot push: " + complaint)
    time.sleep(3)
    yield
