"""Nests directories: `nest.py DIRECTORY LEVELS`."""

import os
import sys

os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    os.mkdir("d")
    os.chdir("d")
