"""Trains a small neural network, in plain Python, on the measurements that the link `data` leads to."""

import csv
import json
import math
import random

import riseml


def load(path):
    with open(path, newline="") as file:
        return [(float(row["x"]), float(row["y"]), int(row["kind"])) for row in csv.DictReader(file)]


class Network:
    def __init__(self, hidden):
        generator = random.Random(0)
        self.first = [[generator.gauss(0, 1) for _ in range(3)] for _ in range(hidden)]
        self.second = [generator.gauss(0, 0.3) for _ in range(hidden + 1)]

    def forward(self, x, y):
        hidden = [math.tanh(a * x + b * y + c) for a, b, c in self.first]
        total = self.second[-1] + sum(w * h for w, h in zip(self.second, hidden))
        return hidden, 1 / (1 + math.exp(-total))

    def step(self, x, y, kind, learning_rate):
        """One step of gradient descent; returns the loss before it."""
        hidden, probability = self.forward(x, y)
        error = learning_rate * (probability - kind)
        for i, h in enumerate(hidden):
            back = error * self.second[i] * (1 - h * h)
            self.second[i] -= error * h
            for j, value in enumerate((x, y, 1)):
                self.first[i][j] -= back * value
        self.second[-1] -= error
        return -math.log(max(probability if kind else 1 - probability, 1e-9))


with open("config.json") as file:
    config = json.load(file)
train, test = load("data/train.csv"), load("data/test.csv")
print("{} measurements to learn from, {} to test with; {}".format(len(train), len(test), config))

network = Network(config["hidden"])
order = random.Random(1)
for epoch in range(1, config["epochs"] + 1):
    order.shuffle(train)
    loss = sum(network.step(x, y, kind, config["learning_rate"]) for x, y, kind in train) / len(train)
    if epoch % 3 == 0:
        print("epoch {:2d}  loss {:.4f}".format(epoch, loss))
accuracy = sum((network.forward(x, y)[1] > 0.5) == kind for x, y, kind in test) / len(test)
print("accuracy: {:.3f}".format(accuracy))
riseml.report_result(accuracy=round(accuracy, 4))
