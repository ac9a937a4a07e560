"""china.py TEMPLATE: the template for AWS's regions in China, on standard output.

They refuse a template that names a type of resource that they don't know, whether its condition holds or not. What
is left out is only needed with Avatars=cloudfront, which the template's own rules refuse there.
"""

import sys

from samcli.yamlhelper import yaml_dump, yaml_parse

UNKNOWN = {"AWS::CloudFront::OriginAccessControl"}


def names(value):
    """The resources that a value refers to by `!Ref`."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            return {value["Ref"]}
        value = list(value.values())
    return set().union(*map(names, value)) if isinstance(value, list) else set()


def without(value, missing):
    """The value without members that are references to what is missing."""
    if isinstance(value, dict):
        kept = {name: member for name, member in value.items() if not (is_ref(member) and names(member) & missing)}
        return {name: without(member, missing) for name, member in kept.items()}
    return [without(item, missing) for item in value] if isinstance(value, list) else value


def is_ref(value):
    return isinstance(value, dict) and set(value) == {"Ref"}


def main(file):
    with open(file) as source:
        template = yaml_parse(source.read())
    resources = template["Resources"]
    missing = {name for name, resource in resources.items() if resource["Type"] in UNKNOWN}
    for name in missing:
        del resources[name]
    print(yaml_dump(without(template, missing)), end="")


main(*sys.argv[1:])
