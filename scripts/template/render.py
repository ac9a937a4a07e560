"""The transformed template as it is deployed with some parameters: conditions are decided, and what
they leave out is gone. References to resources stay, and so do those to parameters that are secrets.
"""

import re

NO_VALUE = object()


class Renderer:
    def __init__(self, template, parameters, region):
        self.declared = template["Parameters"]
        self.conditions = template["Conditions"]
        self.values = {}
        for name, parameter in self.declared.items():
            value = parameters.get(name, parameter.get("Default"))
            if value is None:
                raise ValueError(f"{name} has no default")
            self.values[name] = str(value)
        # What conditions ask about. References to it stay, as those to resources do.
        self.partition = "aws-cn" if region.startswith("cn-") else "aws"
        unknown = parameters.keys() - self.declared.keys()
        if unknown:
            raise ValueError(f"template.yaml has no parameter {sorted(unknown)}")

    def condition(self, name):
        return self.decide(self.conditions[name])

    def decide(self, condition):
        (function, argument), = condition.items()
        if function == "Condition":
            return self.condition(argument)
        if function == "Fn::Equals":
            left, right = (self.text(side) for side in argument)
            return left == right
        decided = [self.decide(part) for part in argument]
        return {"Fn::Not": lambda: not decided[0], "Fn::And": lambda: all(decided), "Fn::Or": lambda: any(decided)}[
            function]()

    def text(self, value):
        """What a condition compares."""
        if isinstance(value, dict):
            (function, argument), = value.items()
            if function == "Ref" and argument in self.values:
                return self.values[argument]
            if function == "Ref" and argument == "AWS::Partition":
                return self.partition
            if function == "Ref":
                return argument
            if function == "Fn::Join":
                separator, parts = argument
                parts = parts if isinstance(parts, list) else [parts]
                return separator.join(self.text(part) for part in parts)
            raise ValueError(f"a condition with {function}")
        return str(value)

    def parameter(self, name):
        declared = self.declared[name]
        if declared.get("NoEcho"):
            return {"Ref": name}
        value = self.values[name]
        if declared["Type"] == "Number":
            return int(value)
        if declared["Type"] == "CommaDelimitedList":
            return value.split(",")
        return value

    def resolve(self, value):
        if isinstance(value, list):
            items = (self.resolve(item) for item in value)
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref" and argument == "AWS::NoValue":
                return NO_VALUE
            if function == "Ref" and argument in self.declared:
                return self.parameter(argument)
            if function == "Fn::If":
                name, yes, no = argument
                return self.resolve(yes if self.condition(name) else no)
            if function == "Fn::Sub":
                return {function: self.substitute(argument)}
        members = ((name, self.resolve(member)) for name, member in value.items())
        return {name: member for name, member in members if member is not NO_VALUE}

    def substitute(self, argument):
        """Puts parameters that are no secrets into the text."""
        if isinstance(argument, list):
            text, own = argument
            return [self.substitute(text), self.resolve(own)]

        def value(match):
            declared = self.declared.get(match[1])
            known = declared is not None and not declared.get("NoEcho")
            return self.values[match[1]] if known else match[0]

        return re.sub(r"\$\{([A-Za-z0-9]+)\}", value, argument)


def rendered(template, parameters, region):
    """The template with these parameters in a region; the other parameters have their defaults."""
    renderer = Renderer(template, parameters, region)

    def kept(section):
        entries = template.get(section, {}).items()
        return {
            name: renderer.resolve({key: it for key, it in entry.items() if key != "Condition"})
            for name, entry in entries
            if "Condition" not in entry or renderer.condition(entry["Condition"])
        }

    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Parameters": template["Parameters"],
        "Resources": kept("Resources"),
        "Outputs": kept("Outputs"),
    }
