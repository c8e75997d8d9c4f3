"""What hostile jobs run, and what their owners see of it."""

import glob
import json
import os

from rpc import messages

HERE = os.path.dirname(os.path.abspath(__file__))


def script(name):
    """Text of jobs/NAME.py."""
    with open(os.path.join(HERE, "jobs", name + ".py"), encoding="utf-8") as file:
        return file.read()


def start_of(case, number):
    """The StartAttemptRequest that the node keeps of an experiment's job; None when it has none."""
    wanted = f"users/attacker/experiments/{number}/jobs/"
    for path in glob.glob(case.path("node", "attempts", "*", "start.pb")):
        start = messages("internal/v1/node_agent").StartAttemptRequest()
        with open(path, "rb") as file:
            start.ParseFromString(file.read())
        if start.job.startswith(wanted):
            return start
    return None


def token_of_job(case):
    """The token of a job of the attacker that goes on running, taken from the node: it need not be within the job's reach."""
    number = case.attacker.submit("token", "sleep 600")
    case.attacker.wait_state(number, "RUNNING")
    return start_of(case, number).token


def look(case):
    """What a job says that it can reach."""
    number = case.attacker.script("look", script("look"), ["python a.py > $OUTPUT_DIR/look.json; sleep 5"])
    case.attacker.wait_state(number, "RUNNING")
    token = start_of(case, number).token
    case.attacker.wait(number)
    with open(os.path.join(case.attacker.experiment(number)["output_path"], "look.json"), encoding="utf-8") as file:
        return json.load(file), token, number
