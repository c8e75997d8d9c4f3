"""Composes a configuration from the files of a directory and overrides of the command line, as Hydra does."""

import os

import yaml


class ConfigError(Exception):
    pass


def read(path):
    with open(path) as file:
        return yaml.safe_load(file)


def compose(directory, overrides):
    """`group=choice` takes directory/group/choice.yaml, `a.b=value` sets one value."""
    config = read(os.path.join(directory, "config.yaml"))
    choices = config.pop("defaults")
    values = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError("{} is not key=value".format(override))
        if key in choices:
            choices[key] = value
        else:
            values.append((key, yaml.safe_load(value)))
    for group, choice in choices.items():
        path = os.path.join(directory, group, choice + ".yaml")
        if not os.path.exists(path):
            known = sorted(name[:-5] for name in os.listdir(os.path.join(directory, group)))
            raise ConfigError("{}={} is not one of {}".format(group, choice, ", ".join(known)))
        config[group] = read(path)
    for key, value in values:
        *parents, name = key.split(".")
        node = config
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if not isinstance(node, dict) or name not in node:
            raise ConfigError("{} is not in the configuration".format(key))
        node[name] = value
    return config
