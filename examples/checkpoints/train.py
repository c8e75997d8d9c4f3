"""Trains a small neural network to tell two spirals apart. Goes on from its last checkpoint when there is one."""

import argparse
import csv
import json
import os
import time

import numpy as np

LAST = "checkpoints/last.npz"
HIDDEN = 32
LEARNING_RATE = 0.002


def spirals(count, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    radius = np.sqrt(random.random(count))
    angle = 7 * radius + np.pi * labels
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return 3 * points + random.normal(0, 0.1, (count, 2)), labels


def new_model():
    random = np.random.default_rng(0)
    shapes = {"w1": (2, HIDDEN), "w2": (HIDDEN, HIDDEN), "w3": (HIDDEN, 1)}
    model = {name: random.normal(0, 1 / np.sqrt(shape[0]), shape) for name, shape in shapes.items()}
    model.update({"b1": np.zeros(HIDDEN), "b2": np.zeros(HIDDEN), "b3": np.zeros(1)})
    return model


def forward(model, points):
    first = np.tanh(points @ model["w1"] + model["b1"])
    second = np.tanh(first @ model["w2"] + model["b2"])
    probability = 1 / (1 + np.exp(-(second @ model["w3"] + model["b3"])[:, 0]))
    return first, second, np.clip(probability, 1e-9, 1 - 1e-9)


def gradients(model, points, labels):
    first, second, probability = forward(model, points)
    loss = -np.mean(labels * np.log(probability) + (1 - labels) * np.log(1 - probability))
    delta3 = (probability - labels)[:, None] / len(labels)
    delta2 = delta3 @ model["w3"].T * (1 - second**2)
    delta1 = delta2 @ model["w2"].T * (1 - first**2)
    result = {
        "w3": second.T @ delta3, "b3": delta3.sum(0),
        "w2": first.T @ delta2, "b2": delta2.sum(0),
        "w1": points.T @ delta1, "b1": delta1.sum(0),
    }
    return loss, result


def adam(model, state, gradient, step):
    for name, value in gradient.items():
        state["m_" + name] = 0.9 * state["m_" + name] + 0.1 * value
        state["v_" + name] = 0.999 * state["v_" + name] + 0.001 * value**2
        mean = state["m_" + name] / (1 - 0.9**step)
        variance = state["v_" + name] / (1 - 0.999**step)
        model[name] -= LEARNING_RATE * mean / (np.sqrt(variance) + 1e-8)


def save(model, state, epoch):
    for path in (LAST, "checkpoints/epoch-{:04d}.npz".format(epoch)):
        with open(path + ".new", "wb") as file:
            np.savez(file, epoch=epoch, **model, **state)
        os.replace(path + ".new", path)  # a run that is stopped now leaves the old one


def load():
    with np.load(LAST) as file:
        arrays = dict(file)
    epoch = int(arrays.pop("epoch"))
    state = {name: array for name, array in arrays.items() if name.startswith(("m_", "v_"))}
    return {name: array for name, array in arrays.items() if name not in state}, state, epoch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--save-every", type=int, default=100)
    arguments = parser.parse_args()

    os.makedirs("checkpoints", exist_ok=True)
    run = time.strftime("runs/%Y-%m-%d_%H-%M-%S")
    os.makedirs(run, exist_ok=True)
    with open(os.path.join(run, "arguments.json"), "w") as file:
        json.dump(vars(arguments), file)

    points, labels = spirals(400, seed=1)
    test_points, test_labels = spirals(400, seed=2)
    model, begin = new_model(), 0
    state = {moment + name: np.zeros_like(array) for moment in ("m_", "v_") for name, array in model.items()}
    if os.path.exists(LAST):
        model, state, begin = load()
        print("going on from {} after epoch {}".format(LAST, begin))
    else:
        print("no checkpoint: a new model")

    new = not os.path.exists("metrics.csv")
    with open("metrics.csv", "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["epoch", "loss", "accuracy"])
        for epoch in range(begin + 1, arguments.epochs + 1):
            loss, gradient = gradients(model, points, labels)
            adam(model, state, gradient, epoch)
            if epoch % 20 == 0 or epoch == arguments.epochs:
                accuracy = np.mean((forward(model, test_points)[2] > 0.5) == test_labels)
                writer.writerow([epoch, "{:.4f}".format(loss), "{:.4f}".format(accuracy)])
                file.flush()
                print("epoch {:4d}  loss {:.4f}  accuracy {:.3f}".format(epoch, loss, accuracy))
            if epoch % arguments.save_every == 0 or epoch == arguments.epochs:
                save(model, state, epoch)


if __name__ == "__main__":
    main()
