"""Trains a support vector machine on 8x8 images of digits."""

import argparse

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

import riseml

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--gamma", type=float, required=True)
parser.add_argument("--c", type=float, required=True)
arguments = parser.parse_args()

images, labels = load_digits(return_X_y=True)
train_images, test_images, train_labels, test_labels = train_test_split(
    images, labels, test_size=0.5, shuffle=False
)

model = SVC(gamma=arguments.gamma, C=arguments.c)
model.fit(train_images, train_labels)
accuracy = model.score(test_images, test_labels)
print("gamma={} c={} accuracy={:.3f}".format(arguments.gamma, arguments.c, accuracy))
riseml.report_result(accuracy=round(accuracy, 4))
