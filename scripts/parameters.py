"""parameters.py sam|cloudformation [NAME=VALUE]... ["KIND PARAMETER VARIABLE DEFAULT"]... ["tag KEY=VALUE"]...:
the parameters of a deployment, from the environment to standard output. Only names are on the command line,
and the values of NAME=VALUE and of tags, which are no secrets.

sam: YAML for `sam deploy --parameter-overrides`. cloudformation: JSON for `aws cloudformation update-stack
--cli-input-json`, which changes the parameters of a stack, its tags if there are any here, and nothing else; standard input has the names
of the stack (first line) and of all its parameters, separated by blanks.
"""

import json
import os
import sys


def value(kind, variable, default):
    text = os.environ[variable].strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        sys.exit(f"error: {variable} is not UTF-8")
    if kind == "list":
        entries = (entry.strip() for entry in text.split(","))
        text = ",".join(entry for entry in entries if entry)
    # CloudFormation's own numbers may have fractions and exponents.
    if kind == "number" and text and not (text.isascii() and text.isdigit()):
        sys.exit(f"error: {variable} is not a whole number")
    return text or default


def escaped(text):
    """What `sam` reads as `text`: it removes a backslash before a blank or a quote, and quotes around
    a value (`_unquote_wrapped_quotes` in samcli/cli/types.py), of values in a file twice."""
    for character in 2 * " \"'":
        text = text.replace(character, "\\" + character)
    return text


def quoted(text):
    """A double-quoted YAML scalar of printable ASCII characters."""
    def character(c):
        plain = " " <= c <= "~" and c not in "\"\\"
        return c if plain else f"\\U{ord(c):08x}"

    return '"' + "".join(map(character, text)) + '"'


def sam(values, _own, _tags):
    for parameter, text in values.items():
        print(f"{parameter}: {quoted(escaped(text))}")


def cloudformation(values, own, tags):
    stack, known = sys.stdin.readline().strip(), sys.stdin.read().split()
    # A stack of an older template is without it anyway.
    values = {name: text for name, text in values.items() if text or name in known}
    for parameter in values:
        # Stacks of older templates have no Release.
        if parameter not in known and parameter not in own:
            sys.exit(f"error: the template of {stack} has no {parameter} yet: run make deploy")

    def entry(name):
        if name in values:
            return {"ParameterKey": name, "ParameterValue": values[name]}
        return {"ParameterKey": name, "UsePreviousValue": True}

    request = {
        "StackName": stack,
        "UsePreviousTemplate": True,
        # Of roles, as in samconfig.toml; and of the template's transform.
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Parameters": [entry(name) for name in known],
    }
    # Without them the stack keeps its own.
    if tags:
        request["Tags"] = [{"Key": key, "Value": text} for key, text in tags]
    json.dump(request, sys.stdout)


def main(form, *entries):
    values, own, tags = {}, set(), []
    for entry in entries:
        if entry.startswith("tag "):
            tags.append(entry.removeprefix("tag ").split("=", 1))
        elif " " in entry:
            kind, parameter, variable, default = entry.split(" ", 3)
            values[parameter] = value(kind, variable, default)
        else:
            parameter, text = entry.split("=", 1)
            values[parameter] = text
            own.add(parameter)
    {"sam": sam, "cloudformation": cloudformation}[form](values, own, tags)


main(*sys.argv[1:])
