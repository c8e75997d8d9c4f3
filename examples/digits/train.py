"""Trains a neural network on 8x8 images of digits, epoch by epoch."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from tqdm import tqdm

import riseml

EPOCHS = 20

images, labels = load_digits(return_X_y=True)
train_images, test_images, train_labels, test_labels = train_test_split(
    images / 16.0, labels, test_size=0.25, random_state=0
)

model = MLPClassifier(hidden_layer_sizes=(64,), random_state=0)
classes = np.unique(labels)
bar = tqdm(range(EPOCHS), desc="epochs")
for epoch in bar:
    model.partial_fit(train_images, train_labels, classes=classes)
    bar.set_postfix(loss="{:.3f}".format(model.loss_))

accuracy = model.score(test_images, test_labels)
print("accuracy: {:.3f}".format(accuracy))
riseml.report_result(accuracy=round(accuracy, 4), epochs=EPOCHS)
