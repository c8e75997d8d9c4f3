"""What an attack is, how one is run, and when it has failed."""

import dataclasses
import os
import signal
import time
import traceback

import grpc

from installation import Installation
from sampling import Sampler
from victim import JobProbe, StatusProbe, times_when_busy

ATTACK_LIMIT_S = 60  # of the part between the two yields
PREPARATION_LIMIT_S = 120
RECOVERY_S = 5.0
GROWTH_LIMIT_MB = 64
FACTOR = 2.0

ATTACKS = {}


@dataclasses.dataclass
class Attack:
    id: str
    what: str
    group: str
    body: object
    not_run: str = ""  # why it is listed only
    disk_mb: int = 0  # the installation has a disk of its own, of this size; takes root


def attack(attack_id, what, disk_mb=0):
    """Registers a generator function of one Case as an attack.

    What comes before its first `yield` prepares; the victim's times before the attack are measured then. Between the two yields it
    attacks, while the victim works. What follows the second one is run after everything should be back to normal.
    """
    def register(body):
        if attack_id in ATTACKS:
            raise ValueError(f"two attacks {attack_id}")
        ATTACKS[attack_id] = Attack(attack_id, what, body.__module__, body, disk_mb=disk_mb)
        return body
    return register


def not_run(attack_id, what, group, why):
    ATTACKS[attack_id] = Attack(attack_id, what, group, None, why)


class TimeUp(Exception):
    """The time of a part of an attack is over."""


class Limit:
    """Raises TimeUp in the main thread after some seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        signal.signal(signal.SIGALRM, self._up)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)

    @staticmethod
    def _up(*_):
        raise TimeUp


class Case:
    """What the body of an attack works with."""

    def __init__(self, installation):
        self.installation = installation
        self.attacker = installation.attacker
        self.victim = installation.victim
        self.reasons = []
        self.notes = []
        self._closers = []

    def port(self, listener):
        return self.installation.ports[listener]

    def path(self, *parts):
        return self.installation.path(*parts)

    def check(self, good, reason):
        """The attack's own criterion: without it, it has succeeded."""
        if not good:
            self.reasons.append(reason)
        return good

    def note(self, text):
        self.notes.append(text)

    def closing(self, thing):
        """Closes thing when the attack is over."""
        self._closers.append(thing)
        return thing

    def end(self):
        for thing in self._closers:
            thing.close()
        self._closers = []


class NotHere(Exception):
    """The machine lacks what the attack is about; the text says what."""


@dataclasses.dataclass
class Row:
    """A row of the table."""
    id: str
    what: str
    not_here: str = ""  # why it could not be run on this machine
    status: tuple = (0.0, 0.0, 0.0)  # seconds before, worst during, after
    job: tuple = (0.0, 0.0, 0.0)
    growth: tuple = (0.0, "")
    cpu: tuple = (0.0, "")
    seconds: float = 0.0
    reasons: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)

    def held(self):
        return not self.reasons


def _judge(row, name, probe, times, busy, after):
    before, during, later = times
    limit = FACTOR * max(before, busy)
    for text in list(dict.fromkeys(probe.during.errors))[:2]:
        row.reasons.append(f"{name} during it: {text}")
    if during > limit:
        row.reasons.append(f"{name} took {during:.2f} s, {before:.2f} before and {busy:.2f} when busy")
    for text in list(dict.fromkeys(after.errors))[:1]:
        row.reasons.append(f"{name} {RECOVERY_S:.0f} s after it: {text}")
    if later > limit:
        row.reasons.append(f"{name} still takes {later:.2f} s {RECOVERY_S:.0f} s after it")


def _what(error):
    """One line of an exception; of a call its code and message."""
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}".split("\n")[0]


def _advance(body, seconds):
    """Runs a generator to its next yield; True when its time was up."""
    try:
        with Limit(seconds):
            next(body, None)
    except TimeUp:
        return True
    return False


def measure_busy():
    """The times that attacks are compared with: (status, job), in seconds."""
    installation = Installation()
    try:
        return times_when_busy(installation.attacker, installation.victim)
    finally:
        installation.close()


def run(one, busy):
    """Runs one attack against an installation of its own; returns its row. `busy` comes from measure_busy()."""
    row = Row(one.id, one.what)
    installation = Installation(one.disk_mb)
    case = Case(installation)
    try:
        status, job = StatusProbe(case.victim), JobProbe(case.victim)
        status.several(2), job.several(2)  # caches, connections, the first revision
        body = one.body(case)
        if _advance(body, PREPARATION_LIMIT_S):
            raise RuntimeError("the preparation took too long")
        status_before, job_before = status.several(5), job.several(3)
        if errors := status_before.errors + job_before.errors:
            raise RuntimeError("before the attack: " + errors[0])
        if os.getloadavg()[0] > 1.5 * os.cpu_count():
            row.notes.append(f"others use the machine too: load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores before it")
        sampler = Sampler(installation.run_directory())
        status.start(), job.start()
        begin = time.monotonic()
        try:
            if _advance(body, ATTACK_LIMIT_S):
                row.notes.append(f"ended after {ATTACK_LIMIT_S} s")
        finally:
            end = time.monotonic()
            case.end()
            status.stop(RECOVERY_S), job.stop(max(0.0, end + RECOVERY_S - time.monotonic()))
            sampler.stop()
        row.seconds = end - begin
        time.sleep(max(0.0, end + RECOVERY_S - time.monotonic()))
        status_after, job_after = status.several(3), job.several(3)
        row.status = (status_before.worst(), status.during.worst(), status_after.middle())
        row.job = (job_before.worst(), job.during.worst(), job_after.middle())
        row.growth, row.cpu = sampler.growth(), sampler.busiest()
        _judge(row, "status", status, row.status, busy[0], status_after)
        _judge(row, "job", job, row.job, busy[1], job_after)
        if row.growth[0] > GROWTH_LIMIT_MB:
            row.reasons.append(f"{row.growth[1]} grew by {row.growth[0]:.0f} MB")
        if unhealthy := installation.healthy():
            row.reasons.append("not healthy after it: " + unhealthy)
        if sampler.restarted:
            row.notes.append("restarted: " + ", ".join(sorted(sampler.restarted)))
        if _advance(body, PREPARATION_LIMIT_S):
            row.reasons.append("what should hold after it could not be checked in time")
    except NotHere as error:
        row.not_here = str(error)
    except Exception as error:  # an attack that breaks says nothing about what it attacks
        traceback.print_exc()
        row.reasons.append("broke: " + _what(error))
    finally:
        case.end()
        installation.close()
    row.reasons = case.reasons + row.reasons
    row.notes = case.notes + row.notes
    return row
