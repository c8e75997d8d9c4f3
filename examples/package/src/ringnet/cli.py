"""The command ringnet-train."""

import argparse
import os

import numpy as np

from ringnet.data import RINGS, rings
from ringnet.model import Network

BATCH = 20


def report(**values):
    """Reports results where there is a RiseML; the package is used elsewhere too."""
    try:
        import riseml
    except ImportError:
        return
    riseml.report_result(**values)


def main():
    parser = argparse.ArgumentParser(prog="ringnet-train", description="Trains a network to tell rings apart")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--hidden", type=int, default=24)
    parser.add_argument("--learning-rate", type=float, default=0.2)
    arguments = parser.parse_args()

    points, labels = rings(600, noise=0.08, seed=1)
    network = Network(arguments.hidden, RINGS, seed=0)
    random = np.random.default_rng(2)
    for epoch in range(1, arguments.epochs + 1):
        order = random.permutation(len(points))
        losses = [
            network.step(points[order[i : i + BATCH]], labels[order[i : i + BATCH]], arguments.learning_rate)
            for i in range(0, len(order), BATCH)
        ]
        if epoch % 10 == 0 or epoch == arguments.epochs:
            print("epoch {:3d}  loss {:.4f}".format(epoch, np.mean(losses)))
    accuracy = network.accuracy(*rings(600, noise=0.08, seed=3))
    print("accuracy: {:.3f}".format(accuracy))
    np.savez(os.path.join(os.environ.get("OUTPUT_DIR", "."), "model.npz"), **vars(network))
    report(accuracy=round(accuracy, 4), epochs=arguments.epochs)
