"""Judges what the description of the API shows: judge.py DESCRIPTION [EVENTS]

Its own examples, or events that streams sent: a list of {"path", "event"}. Prints what is wrong.
"""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker


def examples(node, pointer="#"):
    """Every example, and where its schema is."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from examples(item, f"{pointer}/{index}")
    if not isinstance(node, dict):
        return
    shown = node.get("examples")
    if "schema" in node:
        if "example" in node:
            yield f"{pointer}/schema", node["example"]
        for example in (shown or {}).values():
            yield f"{pointer}/schema", example["value"]
    elif isinstance(shown, list):
        yield from ((pointer, example) for example in shown)
    for name, member in node.items():
        if name not in ("example", "examples"):
            escaped = name.replace("~", "~0").replace("/", "~1")
            yield from examples(member, f"{pointer}/{escaped}")


def events(sent):
    for event in sent:
        path = event["path"].replace("/", "~1")
        yield f"#/paths/{path}/get/responses/200/content/text~1event-stream/schema", event["event"]


def with_data_read(node):
    """The schema of what a text holds takes the place of the text's: events come with their data read."""
    if isinstance(node, list):
        return [with_data_read(item) for item in node]
    if isinstance(node, dict):
        return with_data_read(node["contentSchema"]) if "contentSchema" in node else {
            name: with_data_read(member) for name, member in node.items()
        }
    return node


description, *more = [json.load(open(name)) for name in sys.argv[1:]]
judged = list(events(more[0]) if more else examples(description))
assert judged, "there is nothing to judge"
document = with_data_read(description)
wrong = 0
for pointer, instance in judged:
    validator = Draft202012Validator({**document, "$ref": pointer}, format_checker=FormatChecker())
    for error in validator.iter_errors(instance):
        wrong += 1
        print(f"{pointer}: {error.message}: {json.dumps(instance)}")
print(f"{len(judged)} judged, {wrong} wrong")
sys.exit(wrong > 0)
