"""Runs attacks against fresh local installations and prints what another user notices of them.

    python3 tests/attack [--list] [NAME…]      a NAME is an id (A8.token), what some begin with (A8), or a group (floods)
"""

import importlib
import os
import signal
import sys

import rpc

GROUPS = ("floods", "connections", "calls", "leavings", "jobs", "hardening", "texts", "held", "disk")
WIDTHS = (12, 46, 23, 23, 18, 18, 5)


def times(three):
    return " → ".join(f"{seconds:.2f}" for seconds in three)


def line(cells):
    return "  ".join(str(cell)[:max(width, 46)].ljust(width) for cell, width in zip(cells, WIDTHS)).rstrip()


def show(row):
    print(line((row.id, row.what[:46], times(row.status), times(row.job), f"{row.growth[0]:+.0f} MB {row.growth[1]}",
                f"{row.cpu[0]:.1f} s {row.cpu[1]}", "held" if row.held() else "FELL")))
    for reason in row.reasons:
        print("              fell: " + " ".join(reason.split())[:300])
    for note in row.notes:
        print("              note: " + " ".join(note.split())[:300])
    sys.stdout.flush()


def chosen(attacks, names):
    if not names:
        return list(attacks.values())
    found = []
    for name in names:
        some = [one for one in attacks.values() if one.id == name or one.id.startswith(name + ".") or one.group == name]
        if not some:
            sys.exit(f"ERROR: no attack {name}; --list names them")
        found += [one for one in some if one not in found]
    return found


def main():
    rpc.generate()
    from framework import ATTACKS, FACTOR, measure_busy, run
    for group in GROUPS:
        importlib.import_module(group)
    if "--list" in sys.argv[1:]:
        for one in ATTACKS.values():
            print(f"{one.group:9} {one.id:12}  {one.what}" + (f"  (not run: {one.not_run})" if one.not_run else ""))
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = []
    busy = measure_busy()
    print(f"While another user's short trials keep this machine busy, a status takes up to {busy[0]:.2f} s and a small job up to "
          f"{busy[1]:.2f} s.\nAn attack may make them {FACTOR:.0f} times as long, or {FACTOR:.0f} times as long as right before it.\n", flush=True)
    print(line(("attack", "what", "status: before, worst, after", "job: before, worst, after", "memory", "CPU", "")))
    for one in chosen(ATTACKS, sys.argv[1:]):
        if one.not_run:
            print(line((one.id, one.what, "not run: " + one.not_run)))
            continue
        if one.disk_mb and os.geteuid() != 0:
            print(line((one.id, one.what, "not run: takes root, to give the installation a disk of its own")))
            continue
        row = run(one, busy)
        if row.not_here:
            print(line((one.id, one.what, "not run: " + row.not_here)), flush=True)
            continue
        rows.append(row)
        show(row)
    fell = [row.id for row in rows if not row.held()]
    print(f"\n{len(rows) - len(fell)} held, {len(fell)} fell" + (": " + " ".join(fell) if fell else ""))
    return 1 if fell else 0


if __name__ == "__main__":
    if "RISEML_BIN" not in os.environ:
        sys.exit("ERROR: RISEML_BIN names no directory of programs; ./dev attack does")
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
