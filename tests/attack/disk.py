"""Jobs that fill the disk, on an installation with a small one."""

import os

from framework import attack

DISK_MB = 1500

# Goes on when the disk is full, and takes what anybody gives back.
FILL = """
import os, sys, time
path = os.path.expandvars(sys.argv[1])
block = bytes(1 << 20)
end = time.time() + 100
file = os.open(path + "/fill", os.O_RDWR | os.O_CREAT)
if "nameless" in sys.argv:
    os.unlink(path + "/fill")
while time.time() < end:
    try:
        os.write(file, block)
    except OSError:
        time.sleep(0.01)
"""
# Says so when one of its small writes fails.
WRITE_A_LITTLE = """
import os, sys, time
for number in range(80):
    with open(os.environ["OUTPUT_DIR"] + f"/{number}", "w") as file:
        file.write("x" * 4096)
        file.flush()
        os.fsync(file.fileno())
    time.sleep(0.25)
print("all is written")
"""


def push_works(user, name):
    """A push of code that is new, and a job that runs it."""
    number = user.submit(name, ["python b.py"], {"b.py": f"print({os.getpid()!r})\n"})
    user.wait(number, limit=40)
    return user.state(number)


def await_end(case, number):
    """The job that fills the disk fails, and is told why."""
    case.attacker.wait(number, limit=30)
    experiment = case.attacker.experiment(number)
    case.check(experiment["state"] == "FAILED", f"the job that fills the disk is {experiment['state']}")
    status = case.attacker.run("status", number).decode()
    case.check("the disk of node local was nearly full" in status and "most of all jobs" in status, f"its status says nothing of the disk: {status}")


def note_room(case):
    room = os.statvfs(case.path())
    case.note(f"{room.f_bavail * room.f_frsize >> 20} MB of {DISK_MB} are free")


def check_victim(case, number):
    """The job that ran all the time has written everything, and no service has died."""
    case.victim.wait(number, limit=40)
    case.check(case.victim.state(number) == "FINISHED", f"the victim's running job is {case.victim.state(number)}")
    case.check("all is written" in case.victim.log(number), "the victim's running job could not write")
    case.check(not case.installation.healthy(), "a service has died: " + case.installation.healthy())


def fill(case, arguments, jobs=1):
    """The attacker's jobs fill the disk one after the other, while a job of the victim writes a little."""
    victims = case.victim.script("little", WRITE_A_LITTLE)
    case.victim.wait_state(victims, "RUNNING")
    yield
    for done in range(jobs):
        path = case.attacker.project("fill", [f"python a.py {arguments}"], {"a.py": FILL})
        process = case.attacker.popen("train", "-q", cwd=path)
        number, errors = process.communicate(timeout=60)
        if done and b"are allowed" in errors:
            case.note("the attacker's bytes are at their bound: the next job is refused")
            break
        case.check(process.returncode == 0, "riseml train: " + errors.decode())
        await_end(case, number.decode().strip())
    case.check(push_works(case.victim, "pushed") == "FINISHED", "the victim's new code does not run")
    note_room(case)
    yield
    check_victim(case, victims)


FILLED = (
    ("A17.disk", "a job fills the disk with its output", "/output", 1),
    ("A17.disk.tmp", "the same in /tmp, twice", "/tmp", 2),
    ("A17.disk.code", "the same in /code", "/code", 1),
    ("A17.disk.home", "the same in HOME", "$HOME", 1),
    ("A17.disk.cache", "the same in the cache", "$XDG_CACHE_HOME", 1),
    ("A17.disk.open", "the same in a file without a name", "/tmp nameless", 1),
    ("A17.disk.again", "two jobs after each other fill it with output that stays", "/output", 2),
)


def filling(place, jobs):
    def body(case):
        return fill(case, place, jobs)
    return body


for attack_id, what, place, jobs in FILLED:
    attack(attack_id, what, disk_mb=DISK_MB)(filling(place, jobs))
