"""Names and texts that mean something else to whoever reads them."""

import base64

import grpc

from calls import EXPERIMENTS
from framework import attack, not_run
from gitpush import blob, push, tree
from rpc import messages

# Right-to-left override, isolate, zero-width joiner, bell, escape.
HOSTILE = "\u202eevil\u2066\u200d"
FORBIDDEN = ("\u202e", "\u2066", "\u200d", "\u200f", "\ufeff", "\x07")


@attack("A23", "text that runs from right to left, on every terminal")
def _(case):
    stack, attacker = case.installation.stack, case.attacker
    stack.run("user", "create", "--username", "bidi", "--email", HOSTILE + "@example.org", code=None)
    path = attacker.project("bidi", [f"echo '{HOSTILE}'; python a.py", f"exit 3 # {HOSTILE}"], {
        "a.py": "import riseml\nriseml.report_result(**{%r: %r})\n" % ("a" + HOSTILE, HOSTILE)},
        parameters={"p" + HOSTILE: [HOSTILE]}, env={"E": HOSTILE})
    fallback = attacker.project("plain", [f"echo '{HOSTILE}'; python a.py", f"exit 3 # {HOSTILE}"], {
        "a.py": "import riseml\nriseml.report_result(a=%r)\n" % HOSTILE}, parameters={"p": [HOSTILE]}, env={"E": HOSTILE})
    made = []
    for project in (path, fallback):
        done = attacker.popen("train", "-q", "--name", HOSTILE, "--description", HOSTILE, "--label", f"a{HOSTILE}={HOSTILE}", cwd=project)
        out, _ = done.communicate(timeout=60)
        if done.returncode == 0:
            made.append(out.decode().strip())
    for number in made:
        attacker.wait(number)
    case.note(f"{len(made)} experiments made")
    yield
    shown = {}
    for args in (("user", "list"), ("user", "display", "bidi"), ("status", "-u", "-a"), ("status", "-u", "-a", "-l")):
        shown["admin " + " ".join(args)] = stack.run(*args, code=None).decode()
    for number in made:
        for args in (("status", number), ("status", f"{number}.1"), ("status", f"{number}.1.train"), ("logs", number), ("status", "-a", "-l"),
                     ("validate",)):
            shown[" ".join(args)] = attacker.run(*args, code=None, cwd=fallback).decode()
            shown["terminal " + " ".join(args)] = attacker.terminal(*args)
    for what, text in shown.items():
        found = [f"U+{ord(sign):04X}" for sign in FORBIDDEN if sign in text]
        case.check(not found, f"{what} prints {' '.join(found)}")
    yield


LOOK_ALIKES = {
    "zero-width non-joiner": b".g\xe2\x80\x8cit", "byte order mark": b"\xef\xbb\xbf.git", "upper case": b".GIT", "NTFS short name": b"git~1",
    "NTFS stream": b".git::$INDEX_ALLOCATION", "trailing dot": b".git.", "trailing blank": b".git ", "left-to-right mark": b".gi\xe2\x80\x8et",
}
HOSTILE_TREES = {
    "parent": b"..", "itself": b".", "slash": b"a/b", "absolute": b"/etc", "empty": b"", "line": b"a\nb",
}


def pushed(case, name, objects, root):
    """Whether gitsync takes a tree, and what it says."""
    try:
        push(case, name, objects, root)
        return True, ""
    except grpc.RpcError as error:
        return False, f"{error.code().name} {error.details()}"


@attack("A25", "names that git takes for .git on other systems")
def _(case):
    file = blob(b"x")
    yield
    for number, (what, name) in enumerate(LOOK_ALIKES.items()):
        inner = tree([(b"config", file)])
        root = tree([(name, inner)])
        taken, _ = pushed(case, f"alike{number}", [file, inner, root], root)
        case.check(not taken, f"{what} is taken: {name!r}")
    twins = tree([(b"README", file), (b"readme", file)])
    taken, _ = pushed(case, "twins", [file, twins], twins)
    case.note("names that differ in case only are " + ("taken" if taken else "refused"))
    yield


@attack("trees", "trees with names that leave the project, links, duplicates")
def _(case):
    file = blob(b"x")
    yield
    for number, (what, name) in enumerate(HOSTILE_TREES.items()):
        root = tree([(name, file)])
        taken, said = pushed(case, f"hostile{number}", [file, root], root)
        if what != "line":
            case.check(not taken, f"{what} is taken: {name!r}")
        case.check(not said.startswith(("INTERNAL", "UNKNOWN")), f"{what}: {said}")
    double = tree([(b"a", file), (b"a", file)])
    case.check(not pushed(case, "double", [file, double], double)[0], "a name twice is taken")
    module = tree([(b"a", file)], mode=b"160000")
    case.check(not pushed(case, "module", [file, module], module)[0], "a submodule is taken")
    outside = blob(b"/etc/passwd")
    link = tree([(b"link", outside)], mode=b"120000")
    taken, _ = pushed(case, "link", [outside, link], link)
    case.note("a link to /etc/passwd is " + ("taken" if taken else "refused"))
    nested = [file, tree([(b"a", file)])]
    for _ in range(300):
        nested.append(tree([(b"a", nested[-1])]))
    case.check(not pushed(case, "nested", nested, nested[-1])[0], "300 nested directories are taken")
    yield


SQL_WORDS = ("select", "relation", "malformed array", "invalid byte", "out of range", "syntax error", "pg_", "constraint")


def tokens_with(client, name, request, keys):
    """Page tokens of the right form with other keys."""
    request.page_size = 1
    token = client.call(name, request).next_page_token
    parts = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).split(b"\n")
    for key in keys:
        yield base64.urlsafe_b64encode(b"\n".join([parts[0], key, *parts[2:]])).decode().rstrip("=")


@attack("A24", "page tokens, states and names that PostgreSQL refuses")
def _(case):
    for name in ("aa", "bb"):
        case.attacker.wait(case.attacker.submit(name, "true"))
    client, admin = case.attacker.client(), case.installation.client("api.user", case.installation.admin_key)
    experiment, project, user = messages("v1/experiment"), messages("v1/project"), messages("v1/user")
    yield
    calls = []
    keys = (b"9223372036854775807", b"-1", b"99999999999999999999", b"\xff", b"a\0b", b"'")
    for who, name, request in (
            (client, EXPERIMENTS + "ListExperiments", experiment.ListExperimentsRequest(parent="users/attacker")),
            (client, "v1/project:ProjectService/ListProjects", project.ListProjectsRequest(parent="users/attacker")),
            (admin, "v1/user:UserService/ListUsers", user.ListUsersRequest()),
            (client, EXPERIMENTS + "ListTransitions", experiment.ListTransitionsRequest(parent="users/attacker/experiments/1"))):
        for token in tokens_with(who, name, request, keys):
            request.page_token = token
            calls.append((name + " token", *who.code(name, request)))
    for states in ([99, 98], [99], [0], [-1]):
        code, text = client.code(EXPERIMENTS + "ListExperiments", experiment.ListExperimentsRequest(parent="users/attacker", states=states))
        case.check(code == "INVALID_ARGUMENT", f"states={states}: {code}")
        calls.append((f"states={states}", code, text))
    for name in ("users/attacker/experiments/99999999999999999999", "users/attacker/experiments/1\0", "users/\0"):
        calls.append((repr(name), *client.code(EXPERIMENTS + "GetExperiment", experiment.GetExperimentRequest(name=name))))
    request = experiment.ListExperimentsRequest(parent="users/attacker", project="attacker-aa\0b")
    code, text = client.code(EXPERIMENTS + "ListExperiments", request)
    calls.append(("project with NUL", code, text))
    case.check(code != "OK" or not client.call(EXPERIMENTS + "ListExperiments", request).experiments, "a\\0b filters for a")
    for what, code, text in calls:
        case.check(code not in ("INTERNAL", "UNKNOWN") and not any(word in text.lower() for word in SQL_WORDS), f"{what}: {code} {text}")
    yield


@attack("A28", "a new email of a disabled user")
def _(case):
    other = case.installation.user("other")
    run = case.installation.stack.run
    yield
    run("user", "disable", "other", "-y")
    case.check(other.popen("whoami").wait(20) != 0, "a disabled user is let in")
    run("user", "update", "--username", "other", "--email", "new@example.org")
    case.check(other.popen("whoami").wait(20) != 0, "a new email lets a disabled user in again")
    yield


not_run("A26", "riseml down by root ends a process that the services name", __name__, "stops the installation: tests/e2e/test_faults.py has it, on one of its own")
