#!/usr/bin/python3
"""Checks for calls and words that have one place, or none, in the sources."""

import fnmatch
import os
import re
import sys

TEST_FILES = ["*_test.cc", "*/testing/*", "*/testing.cc", "tests/*"]

# (what it matches, why it is refused, files where it is allowed). Comments and strings are left out, but for the last rules.
CODE_RULES = [
    (r"\babsl::Now\s*\(|system_clock::now|steady_clock::now|\btime\s*\(\s*(nullptr|NULL|0)\s*\)|\bgettimeofday\b|\bclock_gettime\b",
     "time comes from a Clock (services/common/base/clock.h)",
     ["services/common/base/clock.h",
      # gRPC wants its deadlines as time points of this clock.
      "services/common/rpc/channel.cc", "services/common/rpc/server.cc"]),
    (r"\bsleep_for\b|\bsleep_until\b|\busleep\b|\bnanosleep\b|\babsl::SleepFor\b|(?<![\w.>:])sleep\s*\(",
     "threads wait for something that can happen or be stopped; they do not sleep",
     [
         # Pauses between tries of a call whose caller waits anyway.
         "services/common/rpc/channel.cc", "services/common/sql/pool.cc", "cli/sync/file_reader.cc",
         # Waiting for the world outside of the process: the one form of polling tests have.
         "services/common/testing/*.cc", "services/*/testing.cc", "services/*/testing/*",
     ]),
    (r"\btry\s*\{|\bcatch\s*\(",
     "exceptions end where the library that throws them is called",
     ["services/common/sql/*", "services/common/cmdline/*", "services/common/config/*", "services/common/spec/yaml_reader.cc",
      "services/common/metrics/*", "services/common/testing/postgres.cc", "services/common/client_config/*",
      # std::jthread throws when the system has no more threads.
      "services/common/base/threads/executor.cc"]),
    (r"\babsl::(Mutex|MutexLock|CondVar)\b", "locks are riseml::Mutex (services/common/base/mutex.h)", []),
    (r"\.detach\s*\(\s*\)", "threads are joined, never detached", []),
    (r"\bstd::thread\s*[({]|\bstd::thread\s+\w", "threads are std::jthread", []),
    (r"\bstd::string_view\b", "text parameters are absl::string_view", []),
    (r"\b(strcpy|strcat|sprintf|gets|strtok|tmpnam|mktemp)\s*\(", "this call is not safe", []),
    (r"\b(system|popen)\s*\(", "commands are started without a shell",
     TEST_FILES + ["services/agent/node/inventory.cc"]),  # a constant command
    (r"\bstd::sto[idlfu]+\b|\b(atoi|atol|atof)\s*\(", "numbers are parsed with absl::SimpleAto…", TEST_FILES),
    (r"\bstd::(cout|cerr)\b", "output goes through the renderer or the log", TEST_FILES),
]
TEXT_RULES = [
    (r"\b(TODO|FIXME|HACK)\b", "unfinished work is finished or written down as an issue"),
    (r"(?i)not (yet )?implemented", "nothing is left unimplemented"),
    (r"[ \t]+$", "a line ends with a blank"),
]
TEXT_SUFFIXES = (".cc", ".h", ".py", ".proto", ".cmake", ".sql", ".yml", ".yaml")
LINES_LIMIT = 400
LONGER_FILES = {"protos/riseml/v1/experiment.proto": "one resource with its messages is read in one place"}
# A header says what it holds: it begins with a noun or a verb.
CLAUSE = re.compile(r"// (What|Where|Which|How|Who|Whom|Whose|When|Whether|That|If|Why|Because)\b")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code_only(text):
    """The text with comments and literals blanked out; lines stay where they are."""
    pattern = r'R"([^()\\ ]{0,16})\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''
    return re.sub(pattern, blank, text, flags=re.S)


def allowed(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def check(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    lines = text.split("\n")
    if path.endswith((".cc", ".h")):
        for number, line in enumerate(code_only(text).split("\n"), 1):
            for pattern, why, places in CODE_RULES:
                if re.search(pattern, line) and not allowed(path, places):
                    yield f"{path}:{number}: {lines[number - 1].strip()[:80]}: {why}"
        if path.endswith(".h") and "#pragma once" not in text:
            yield f"{path}:1: no #pragma once"
        if path.endswith(".h") and CLAUSE.match(text):
            yield f"{path}:1: a header begins with a noun or a verb, not with a clause: {lines[0][:60]}"
    length = len(lines) - 1
    if path.endswith((".cc", ".h", ".py", ".proto", ".sql")) and length > LINES_LIMIT and path not in LONGER_FILES:
        yield f"{path}:1: {length} lines; a file has one subject and at most {LINES_LIMIT}, unless LONGER_FILES says why"
    if path == "tools/check_code.py":
        return
    for number, line in enumerate(lines, 1):
        for pattern, why in TEXT_RULES:
            if re.search(pattern, line):
                yield f"{path}:{number}: {line.strip()[:80]}: {why}"


def main():
    bad, files = [], 0
    for folder, folders, names in os.walk("."):
        folders[:] = sorted(name for name in folders if name not in ("build", ".git", "__pycache__", "corpus", "golden"))
        for name in sorted(names):
            if name.endswith(TEXT_SUFFIXES) or name == "CMakeLists.txt":
                files += 1
                bad += check(os.path.relpath(f"{folder}/{name}", "."))
    if files == 0:
        bad.append("no sources; run this in the project's root")
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
