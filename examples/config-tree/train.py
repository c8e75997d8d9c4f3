"""Trains a classifier of points in the plane: python train.py [model=…] [data=…] [key=value]…"""

import os
import sys

import numpy as np
import yaml

import riseml
from config import ConfigError, compose


def moons(random, count, noise):
    labels = random.integers(0, 2, count)
    angle = np.pi * random.random(count)
    x = np.where(labels == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(labels == 0, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], axis=1) + random.normal(0, noise, (count, 2)), labels


def rings(random, count, noise):
    labels = random.integers(0, 2, count)
    angle = 2 * np.pi * random.random(count)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 - 0.5 * labels)[:, None]
    return points + random.normal(0, noise, (count, 2)), labels


def make_data(config, seed):
    shape = {"moons": moons, "rings": rings}[config["name"]]
    return shape(np.random.default_rng(seed), config["count"], config["noise"])


class Network:
    def __init__(self, hidden, seed):
        random = np.random.default_rng(seed)
        sizes = [2, *hidden, 1]
        self.weights = [random.normal(0, 1 / np.sqrt(a), (a, b)) for a, b in zip(sizes, sizes[1:])]
        self.biases = [np.zeros(b) for b in sizes[1:]]

    def forward(self, points):
        layers = [points]
        for weights, bias in zip(self.weights[:-1], self.biases[:-1]):
            layers.append(np.tanh(layers[-1] @ weights + bias))
        logits = (layers[-1] @ self.weights[-1] + self.biases[-1])[:, 0]
        return layers, np.clip(1 / (1 + np.exp(-logits)), 1e-9, 1 - 1e-9)

    def step(self, points, labels, learning_rate):
        layers, probability = self.forward(points)
        delta = (probability - labels)[:, None] / len(labels)
        for i in reversed(range(len(self.weights))):
            back = delta @ self.weights[i].T * (1 - layers[i] ** 2)
            self.weights[i] -= learning_rate * layers[i].T @ delta
            self.biases[i] -= learning_rate * delta.sum(0)
            delta = back
        return -np.mean(labels * np.log(probability) + (1 - labels) * np.log(1 - probability))

    def accuracy(self, points, labels):
        return np.mean((self.forward(points)[1] > 0.5) == labels)


def main():
    try:
        config = compose("configs", sys.argv[1:])
    except ConfigError as error:
        sys.exit("configuration: {}".format(error))
    text = yaml.safe_dump(config, sort_keys=False)
    print(text)
    os.makedirs("outputs", exist_ok=True)
    with open("outputs/config.yaml", "w") as file:
        file.write(text)

    points, labels = make_data(config["data"], seed=1)
    network = Network(config["model"]["hidden"], config["seed"])
    epochs = config["optim"]["epochs"]
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng(epoch).permutation(len(points))
        losses = [
            network.step(points[part], labels[part], config["optim"]["lr"]) for part in np.array_split(order, 20)
        ]
        if epoch % (epochs // 10 or 1) == 0:
            print("epoch {:4d}  loss {:.4f}".format(epoch, np.mean(losses)))
    accuracy = network.accuracy(*make_data(config["data"], seed=2))
    print("accuracy: {:.3f}".format(accuracy))
    riseml.report_result(accuracy=round(float(accuracy), 4))


if __name__ == "__main__":
    main()
