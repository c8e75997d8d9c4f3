#!/usr/bin/env python3
"""Shows the output of ninja as one line of progress: files done of all, time passed, time left as far as it can be told.

Usage: NINJA_STATUS='[%f/%t %e] ' ninja … 2>&1 | build_progress.py [WHAT]

On a terminal the line is drawn anew; elsewhere one is printed every ten seconds. Whatever else ninja says (warnings, failed
commands with their output) is passed on unchanged.
"""

import re
import sys
import time

STATUS = re.compile(r"^\[(\d+)/(\d+) ([\d.]+)\] ")
QUIET_S = 10  # between two lines when nobody looks
TOO_EARLY = 0.1  # share of the work that must be done before the time left is worth telling


def duration(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def line(what, done, total, elapsed):
    text = f"{what}: {done} of {total} files, {duration(elapsed)} passed"
    if done == total or done < TOO_EARLY * total:
        return text
    return f"{text}, about {duration(elapsed * (total - done) / done)} left"


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else "compiling"
    terminal = sys.stdout.isatty()
    told, last = 0.0, ""
    for raw in sys.stdin.buffer:
        text = raw.decode("utf-8", "replace").rstrip("\n")
        status = STATUS.match(text)
        if status is None:
            if text.startswith("ninja: Entering directory") or text == "ninja: no work to do.":
                continue
            if terminal and last:
                print()
                last = ""
            print(text, flush=True)
            continue
        last = line(what, int(status[1]), int(status[2]), float(status[3]))
        if terminal:
            print(f"\r\x1b[K{last}", end="", flush=True)
        elif time.monotonic() - told >= QUIET_S:
            told = time.monotonic()
            print(last, flush=True)
            last = ""
    if last:
        print("" if terminal else last, flush=True)


main()
