"""Writes the measurements that train.py reads: python make_data.py DIRECTORY"""

import csv
import math
import os
import random
import sys

COUNT = 600


def measurement(generator):
    """Two values and a kind: 1 inside of a bent band, 0 outside of it."""
    x, y = generator.uniform(-2, 2), generator.uniform(-2, 2)
    kind = int(abs(y - math.sin(2 * x)) < 0.8)
    return ["{:.4f}".format(x + generator.gauss(0, 0.05)), "{:.4f}".format(y + generator.gauss(0, 0.05)), kind]


directory = sys.argv[1]
os.makedirs(directory, exist_ok=True)
for name, seed in (("train.csv", 1), ("test.csv", 2)):
    generator = random.Random(seed)
    with open(os.path.join(directory, name), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "y", "kind"])
        writer.writerows(measurement(generator) for _ in range(COUNT))
print("{} measurements each in train.csv and test.csv of {}".format(COUNT, directory))
