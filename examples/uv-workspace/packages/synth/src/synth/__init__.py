"""Makes documents of words whose frequencies depend on their topic."""

import random

TOPICS = {"sport": ["goal", "team", "match", "coach"], "science": ["cell", "atom", "theory", "model"]}
COMMON = ["the", "a", "of", "new", "first", "after", "year", "world"]
# Every word that documents may hold.
VOCABULARY = sorted(COMMON + TOPICS["sport"] + TOPICS["science"])


def documents(count, seed):
    """Returns (words, topic) pairs; topic is 1 for science and 0 for sport."""
    generator = random.Random(seed)
    pairs = []
    for _ in range(count):
        topic = generator.randrange(2)
        own, other = (TOPICS["science"], TOPICS["sport"]) if topic else (TOPICS["sport"], TOPICS["science"])
        sources = generator.choices([COMMON, own, other], weights=[70, 20, 10], k=40)
        pairs.append(([generator.choice(source) for source in sources], topic))
    return pairs
