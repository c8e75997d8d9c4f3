"""Gives up after three steps, as a program does that cannot find its data."""

import sys

for step in range(1, 4):
    print("step {}".format(step))
print("no data in /data/missing", file=sys.stderr)
sys.exit(3)
