"""A network with one hidden layer, trained by stochastic gradient descent."""

import numpy as np


class Network:
    def __init__(self, hidden, classes, seed):
        random = np.random.default_rng(seed)
        self.w1 = random.normal(0, 1, (2, hidden))
        self.b1 = np.zeros(hidden)
        self.w2 = random.normal(0, 1 / np.sqrt(hidden), (hidden, classes))
        self.b2 = np.zeros(classes)

    def forward(self, points):
        hidden = np.tanh(points @ self.w1 + self.b1)
        logits = hidden @ self.w2 + self.b2
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return hidden, exponents / exponents.sum(axis=1, keepdims=True)

    def step(self, points, labels, learning_rate):
        """One step of gradient descent; returns the loss before it."""
        hidden, probabilities = self.forward(points)
        rows = np.arange(len(labels))
        loss = -np.mean(np.log(probabilities[rows, labels] + 1e-12))
        delta = probabilities.copy()
        delta[rows, labels] -= 1
        delta /= len(labels)
        back = delta @ self.w2.T * (1 - hidden**2)
        self.w2 -= learning_rate * hidden.T @ delta
        self.b2 -= learning_rate * delta.sum(axis=0)
        self.w1 -= learning_rate * points.T @ back
        self.b1 -= learning_rate * back.sum(axis=0)
        return loss

    def accuracy(self, points, labels):
        return float(np.mean(self.forward(points)[1].argmax(axis=1) == labels))
