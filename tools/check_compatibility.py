#!/usr/bin/python3
"""Compares the protos with those of an earlier version: what it has written and sent is still read.

    tools/check_compatibility.py [VERSION]    default: the newest release (a tag v…); without one, the main branch

A field keeps its number, type and label, or its number is reserved. A value of an enum keeps its number, or that is reserved. A method keeps
its messages and whether they stream. Names of fields may change: nothing of ours writes protos as text for long.
"""

import os
import re
import subprocess
import sys

import check_protos

FIELD = re.compile(r"^(?P<type>.+?)\s*\b(?P<name>\w+)\s*=\s*(?P<number>\d+)")
VALUE = re.compile(r"^(?P<name>\w+)\s*=\s*(?P<number>-?\d+)")


def git(*words):
    done = subprocess.run(["git", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def earlier_version():
    for words in (("describe", "--tags", "--abbrev=0", "--match", "v*"), ("rev-parse", "--verify", "origin/main"), ("rev-parse", "--verify", "main")):
        if name := git(*words).strip():
            return name
    return ""


def numbers(text):
    """The numbers of "reserved 4, 6 to 9"; names count for nothing."""
    found = set()
    for first, last in re.findall(r"(\d+)(?:\s+to\s+(\d+|max))?", text):
        end = int(first) if not last else int(first) + 1000 if last == "max" else int(last)
        found.update(range(int(first), end + 1))
    return found


def promises(root):
    """{(kind, path, number or name): what must stay} and {path: reserved numbers}."""
    out, reserved = {}, {}
    for element in check_protos.walk(root):
        parent = element.parent
        while parent.kind == "oneof":  # the wire does not know of it
            parent = parent.parent
        path = check_protos.path_of(parent)
        if element.kind == "field" and (match := FIELD.match(element.text)):
            out["field", path, int(match["number"])] = re.sub(r"\s+", "", match["type"]).removeprefix("optional")
        elif element.kind == "value" and (match := VALUE.match(element.text)):
            out["value", path, int(match["number"])] = match["name"]
        elif element.kind == "reserved":
            reserved.setdefault(path, set()).update(numbers(element.text))
        elif element.kind == "rpc":
            out["rpc", path, element.name] = re.sub(r"\s+", "", element.text.split(element.name, 1)[1])
    return out, reserved


def compare(path, before, after):
    old, _ = promises(check_protos.parse_text(before, path))
    new, reserved = promises(check_protos.parse_text(after, path))
    for key, was in sorted(old.items(), key=str):
        kind, place, name = key
        if key in new and new[key] != was:
            yield f"{path}: {kind} {name} of {place} was {was} and is {new[key]}"
        elif key not in new and kind == "rpc":
            yield f"{path}: rpc {place}.{name} is gone"
        elif key not in new and name not in reserved.get(place, ()):
            yield f"{path}: {kind} {name} of {place} ({was}) is gone and its number is not reserved"


def read(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    version = sys.argv[1] if len(sys.argv) > 1 else earlier_version()
    if not version:
        print("protos are compared with nothing: there is no tag v… and no branch main", file=sys.stderr)
        return 0
    bad = []
    for path in git("ls-tree", "-r", "--name-only", version, check_protos.ROOT).split():
        if path.endswith(".proto"):
            bad += compare(path, git("show", f"{version}:{path}"), read(path))
    for line in bad:
        print(f"{line}, unlike in {version}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
