#!/usr/bin/python3
"""Checks the rules of the protos that a machine can check: comments, names, zero values, authorisation, pages, READMEs."""

import os
import re
import sys

ROOT = "protos/riseml"

# Enums whose zero value is a real one, on purpose: leaving the field out means it.
ZERO_VALUES = {"PLAIN"}


class Element:
    """A message, enum, service, oneof, rpc, field or enum value with where it stands and whether a comment explains it."""

    def __init__(self, kind, name, line, commented, parent, text):
        self.kind, self.name, self.line, self.commented, self.parent, self.text = kind, name, line, commented, parent, text
        self.children = []
        self.options = []


def tokens(text):
    """Yields (kind, text, line): comment, string, symbol { } ; or word."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|[{};]|[^\s{};"/]+|/', re.S)
    for match in pattern.finditer(text):
        value = match.group()
        line = text.count("\n", 0, match.start()) + 1
        kind = "comment" if value.startswith(("//", "/*")) else "string" if value[0] == '"' else "symbol" if value in "{};" else "word"
        yield kind, value, line


def kind_of(words, parent):
    head = words[0]
    if head in ("message", "enum", "service", "oneof", "rpc", "extend"):
        return head, re.split(r"[({]", words[1])[0] if len(words) > 1 else ""
    if head in ("syntax", "package", "import", "reserved", "extensions", "option"):
        return head, ""
    if parent.kind == "enum":
        return "value", head
    if parent.kind in ("message", "oneof", "extend"):
        name = re.search(r"(\w+)\s*=\s*\d+", " ".join(words))
        return "field", name.group(1) if name else head
    return "other", head


def parse(path):
    """The elements of a file as a tree."""
    with open(path, encoding="utf-8") as file:
        return parse_text(file.read(), path)


def parse_text(text, path):
    """The same for a text."""
    root = Element("file", path, 0, True, None, "")
    stack, words, last_comment_end, start, literal = [root], [], -1, 0, 0
    last = None  # element that a comment behind it on the same line explains
    for kind, value, line in tokens(text):
        if kind == "comment":
            if words:
                continue
            if last is not None and last.line == line:
                last.commented = True
            last_comment_end = line + value.count("\n")
            continue
        if kind == "symbol" and (literal or (value == "{" and "=" in words and words[0] == "option") or
                                 (value == "{" and words and words[-1].endswith("="))):
            # Braces of an option's value.
            literal += {"{": 1, "}": -1}.get(value, 0)
            words.append(value)
            continue
        if kind != "symbol":
            if not words:
                start = line
            words.append(value)
            continue
        if value == "}":
            if len(stack) > 1:
                stack.pop()
            words, last = [], None
            continue
        if not words:
            continue
        what, name = kind_of(words, stack[-1])
        element = Element(what, name, start, last_comment_end == start - 1, stack[-1], " ".join(words))
        if value == ";":
            element.line = line
        stack[-1].children.append(element)
        if what == "option":
            stack[-1].options.append(element.text)
        if value == "{":
            stack.append(element)
            last = None
        else:
            last = element
        words = []
    return root


def walk(element):
    for child in element.children:
        yield child
        yield from walk(child)


def path_of(element):
    names = []
    while element is not None and element.kind != "file":
        names.append(element.name)
        element = element.parent
    return ".".join(reversed(names))


def check_pages(message, messages):
    fields = {child.name for child in message.children if child.kind == "field"}
    if "page_size" not in fields:
        return
    if "page_token" not in fields:
        yield f"{message.name} has page_size but no page_token"
    answer = messages.get(message.name.replace("Request", "Response"))
    if answer is None or "next_page_token" not in {child.name for child in answer.children}:
        yield f"{message.name} has pages, but its response has no next_page_token"


def check_element(element):
    if element.kind in ("message", "enum", "service", "rpc", "field", "value") and not element.commented:
        yield f"{element.kind} {path_of(element)} has no comment"
    if element.kind == "enum":
        values = [child for child in element.children if child.kind == "value"]
        if element.parent.kind == "file":
            yield f"enum {element.name} is not nested in the message it belongs to"
        if values and not values[0].name.endswith("_UNSPECIFIED") and values[0].name not in ZERO_VALUES:
            yield f"the zero value of {path_of(element)} is {values[0].name}, not …_UNSPECIFIED"
    if element.kind == "rpc" and not any("authorization" in option for option in element.options):
        yield f"rpc {path_of(element)} has no authorization option"
    if element.kind == "field" and not re.fullmatch(r"[a-z][a-z0-9_]*", element.name):
        yield f"field {path_of(element)} is not in lower_snake_case"
    if element.kind == "value" and not re.fullmatch(r"[A-Z][A-Z0-9_]*", element.name):
        yield f"value {path_of(element)} is not in UPPER_SNAKE_CASE"


def check_file(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    package = "package " + os.path.dirname(os.path.relpath(path, "protos")).replace("/", ".") + ";"
    if package not in text:
        yield 1, f"the package is not that of the folder: {package}"
    root = parse(path)
    messages = {child.name: child for child in root.children if child.kind == "message"}
    for element in walk(root):
        for problem in check_element(element):
            yield element.line, problem
    for message in messages.values():
        for problem in check_pages(message, messages):
            yield message.line, problem


def main():
    bad, files = [], 0
    for folder, _, names in os.walk(ROOT):
        protos = sorted(name for name in names if name.endswith(".proto"))
        if protos and "README.md" not in names:
            bad.append(f"{folder}: no README.md")
        for name in protos:
            files += 1
            bad += [f"{folder}/{name}:{line}: {problem}" for line, problem in check_file(f"{folder}/{name}")]
    if files == 0:
        bad.append(f"no protos below {ROOT}; run this in the project's root")
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
