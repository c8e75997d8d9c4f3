"""Leaves links to files of the installation where the node or the next attempt writes, and a file to be copied; then fails."""

import os
import sys

installation = os.environ["OUTPUT_DIR"].split("/output/")[0]
for name, target in (("riseml-experiment.yml", "FORMAT"), ("workdir", "config"), ("workdir-2", "config"), ("report.json", "FORMAT")):
    path = os.path.join(os.environ["OUTPUT_DIR"], name)
    if os.path.lexists(path):
        os.rename(path, path + ".old")
    os.symlink(os.path.join(installation, target), path)
with open("/code/planted.txt", "w", encoding="ascii") as file:
    file.write("planted")
sys.exit(1)
