"""Trains a logistic regression that tells the topic of a document, in plain Python."""

import math
import random

import riseml
from synth import VOCABULARY, documents

EPOCHS = 20
LEARNING_RATE = 0.002


def features(words):
    return [words.count(word) for word in VOCABULARY]


def predict(weights, bias, row):
    return 1 / (1 + math.exp(-bias - sum(w * x for w, x in zip(weights, row))))


def main():
    train = [(features(words), topic) for words, topic in documents(1000, seed=1)]
    test = [(features(words), topic) for words, topic in documents(1000, seed=2)]
    weights, bias = [0.0] * len(VOCABULARY), 0.0
    generator = random.Random(0)
    for epoch in range(1, EPOCHS + 1):
        generator.shuffle(train)
        loss = 0.0
        for row, topic in train:
            probability = predict(weights, bias, row)
            loss -= math.log(probability if topic else 1 - probability)
            error = probability - topic
            weights = [w - LEARNING_RATE * error * x for w, x in zip(weights, row)]
            bias -= LEARNING_RATE * error
        if epoch % 2 == 0:
            print("epoch {:2d}  loss {:.4f}".format(epoch, loss / len(train)))
    accuracy = sum((predict(weights, bias, row) > 0.5) == topic for row, topic in test) / len(test)
    print("accuracy: {:.3f}".format(accuracy))
    riseml.report_result(accuracy=round(accuracy, 4))


if __name__ == "__main__":
    main()
