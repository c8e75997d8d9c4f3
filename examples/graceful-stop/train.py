"""Trains a logistic regression on a stream of batches. SIGTERM ends it after the step, with a checkpoint."""

import json
import math
import os
import signal
import time

import riseml
from loader import Loader

STEPS = 1000
FEATURES = 5
LEARNING_RATE = 0.1


class Stop:
    """Becomes set when the job is told to stop."""

    def __init__(self):
        self.time = None
        signal.signal(signal.SIGTERM, self.receive)

    def receive(self, number, frame):
        self.time = time.time()  # no more: a handler interrupts whatever is under way


def predict(weights, row):
    return 1 / (1 + math.exp(-weights[-1] - sum(w * x for w, x in zip(weights, row))))


def step(weights, batch):
    """One step of gradient descent; returns the loss before it."""
    loss, gradient = 0.0, [0.0] * len(weights)
    for row, label in batch:
        probability = predict(weights, row)
        loss -= math.log(max(probability if label else 1 - probability, 1e-9))
        for i, value in enumerate(row + [1]):
            gradient[i] += (probability - label) * value
    for i, value in enumerate(gradient):
        weights[i] -= LEARNING_RATE * value / len(batch)
    return loss / len(batch)


def save(checkpoint):
    directory = os.environ.get("OUTPUT_DIR", ".")
    path = os.path.join(directory, "checkpoint.json")
    with open(path + ".new", "w") as file:
        json.dump(checkpoint, file, indent=1)
    os.replace(path + ".new", path)
    print("checkpoint saved: {}".format(path))


def main():
    loader = Loader()  # before the handler: the loader's processes end at SIGTERM as programs do
    stop = Stop()
    weights = [0.0] * (FEATURES + 1)
    count, loss = 0, 0.0
    while count < STEPS and stop.time is None:
        loss = step(weights, loader.next())
        count += 1
        if count % 20 == 0:
            print("step {:4d}  loss {:.4f}".format(count, loss))
    if stop.time is not None:
        print("told to stop: step {} is finished".format(count))

    alive = loader.alive()
    # The last measurement needs the loader once more.
    rows = [pair for _ in range(8) for pair in loader.next()]
    accuracy = sum((predict(weights, row) > 0.5) == label for row, label in rows) / len(rows)
    print("accuracy: {:.3f}, measured with {} loader processes".format(accuracy, alive))
    save({"step": count, "weights": weights, "told_to_stop": stop.time, "saved": time.time(), "loaders": alive})
    riseml.report_result(accuracy=round(accuracy, 4), steps=count)


if __name__ == "__main__":
    main()
