"""Points on three rings around the origin."""

import numpy as np

RINGS = 3


def rings(count, noise, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, RINGS, count)
    angle = 2 * np.pi * random.random(count)
    radius = 0.5 + 0.5 * labels + random.normal(0, noise, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), labels
