"""parameters.py ARCH "KIND PARAMETER VARIABLE [DEFAULT]"...: the parameters of a deployment as YAML.

The values come from the environment and go to standard output. Only names are on the command line.
"""

import os
import sys


def value(kind, variable, default):
    text = os.environ[variable].strip()
    if kind == "list":
        entries = (entry.strip() for entry in text.split(","))
        text = ",".join(entry for entry in entries if entry)
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


def main(arch, *entries):
    print(f'Architecture: "{arch}"')
    for entry in entries:
        kind, parameter, variable, default = entry.split(" ")
        text = value(kind, variable, default)
        try:
            text.encode()
        except UnicodeEncodeError:
            sys.exit(f"error: {variable} is not UTF-8")
        print(f"{parameter}: {quoted(escaped(text))}")


main(*sys.argv[1:])
