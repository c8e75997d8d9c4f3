#!/usr/bin/python3
"""Checks who may include whom: services know common/ and themselves; each third-party library has its homes."""

import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]')

# Folder -> folders it may include from besides its own. The longest matching folder decides.
LAYERS = {
    "services/common/base": [],
    "services/common/git": ["services/common/base"],
    "services/common/logtext": ["services/common/base"],
    "services/common/spec": ["services/common/base"],
    "services/common/kafka": ["services/common/base"],
    "services/common/config": ["services/common/base"],
    "services/common/metrics": ["services/common/base"],
    "services/common/client_config": ["services/common/base"],
    "services/common/cmdline": ["services/common/base"],
    "services/common/runtime": ["services/common/base", "services/common/cmdline"],
    "services/common/sql": ["services/common/base"],
    "services/common": ["services/common"],
    "services": ["services/common"],
    "cli": ["services/common"],
    "tests": ["services", "cli"],
    "protos": [],
    "bench": ["services", "cli"],
}

# A reader finds a file in a room of this size by its name.
MOST_FILES = 40

# Rooms of a service. Each may include those behind it and none before it; files above the rooms may include all of them.
ROOMS = {
    "services/agent": ["node", "disk", "launch", "environment", "ship", "output", "run", "shell", "attempt", "machine", "process"],
    "services/api": ["handler", "watch", "scheduling", "experiment", "code", "user", "data"],
    "services/builder": ["image", "registry", "environment", "reads"],
    "services/gitsync": ["repository"],
    "services/loghandler": ["partitions", "follow", "ingest", "store"],
    "services/scheduler": ["controller", "engine", "cluster"],
    "services/supervisor": ["stack", "install", "process"],
}

# Prefix of a third-party header -> the only places that include it.
HOMES = {
    "pqxx/": ["services/common/sql", "services/common/testing", "services/api"],
    "libpq": ["services/common/sql"],
    "git2": ["services/gitsync"],
    "yaml-cpp/": ["services/common/spec", "services/common/config", "services/common/client_config"],
    "archive": ["services/common/archive"],
    "CLI/": ["services/common/cmdline"],
    "curl/": ["services/common/oci"],
    "librdkafka/": ["services/common/kafka", "services/common/testing"],
    "simdjson": [],
    "boost/": ["services/builder/image"],
}

# Services whose pure parts must not know gRPC, generated protos, SQL or threads.
PURE = {
    "services/scheduler/engine": ["grpc", "riseml/", "pqxx", "thread", "mutex", "condition_variable"],
    "services/common/spec": ["grpc", "riseml/", "thread", "mutex"],
    "services/common/base": ["grpc", "riseml/"],
}


def under(path, folder):
    return path == folder or path.startswith(folder + "/")


def allowed_folders(path):
    best = max((folder for folder in LAYERS if under(path, folder)), key=len, default=None)
    return None if best is None else LAYERS[best]


def own_folder(path):
    parts = path.split("/")
    depth = 3 if parts[:2] == ["services", "common"] else 2 if parts[0] == "services" else 1
    return "/".join(parts[:depth])


def is_for_tests(path):
    return path.endswith(("_test.cc", "_fixture.h", "/test_world.h")) or "/testing/" in path


def leaves_its_room(path, include):
    """True for an include of a room before its own, or of a file above the rooms."""
    service = own_folder(path)
    rooms = ROOMS.get(service, [])
    room, other = (name[len(service) + 1:].split("/")[0] if under(name, service) else "" for name in (path, include))
    if room not in rooms or not other:
        return False
    return other not in rooms or rooms.index(other) < rooms.index(room)


def complaints(path, include):
    if leaves_its_room(path, include) and not is_for_tests(path):
        yield f"{path} must not include {include}, which is outside of its room and of those behind it (ROOMS)"
    if include.startswith(("services/", "cli/", "tests/", "protos/", "bench/")):
        allowed = allowed_folders(path)
        if is_for_tests(path) and (is_for_tests(include) or include.startswith("services/common/")):
            return
        if allowed is not None and not under(include, own_folder(path)) and not any(under(include, f) for f in allowed):
            yield f"{path} must not include {include}"
        return
    for prefix, homes in HOMES.items():
        if include.startswith(prefix) and not any(under(path, home) for home in homes):
            yield f"{path} includes {include}, whose home is {', '.join(homes) or 'nowhere yet'}"
    for folder, banned in PURE.items():
        if under(path, folder) and not is_for_tests(path) and any(include.startswith(b) for b in banned):
            # base/mutex.h is the one wrapper around the standard's.
            if path != "services/common/base/mutex.h":
                yield f"{path} includes {include}, but {folder} is pure"


def main():
    bad = []
    for top in ("services", "cli", "tests", "protos", "bench"):
        for folder, _, files in os.walk(top):
            sources = [name for name in files if name.endswith((".h", ".cc"))]
            if len(sources) > MOST_FILES:
                bad.append(f"{folder} has {len(sources)} files; a room has at most {MOST_FILES}")
            for name in sorted(files):
                if not name.endswith((".h", ".cc")):
                    continue
                path = f"{folder}/{name}"
                with open(path, encoding="utf-8") as file:
                    for number, line in enumerate(file, 1):
                        found = INCLUDE.match(line)
                        if found:
                            bad += [f"{path}:{number}: {text}" for text in complaints(path, found.group(1))]
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
