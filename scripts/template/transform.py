"""transform.py [PARAMETER=VALUE]...: template.yaml, with its SAM transform applied, as JSON."""

import copy
import json
import logging
import os
import sys
from unittest.mock import Mock

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


def packaged():
    """template.yaml as after the upload of the functions' code: each is in the bucket `code`, under its package's
    name."""
    with open("template.yaml", encoding="utf-8") as file:
        return yaml_parse(file.read().replace("CodeUri: functions/", "CodeUri: s3://code/"))


def transformed(template, parameters, region="us-east-1"):
    """What CloudFormation makes of a template with these parameters."""
    os.environ["AWS_DEFAULT_REGION"] = region
    logging.getLogger("samtranslator").setLevel(logging.CRITICAL)
    policies = Mock()
    policies.load.return_value = {}
    return transform(copy.deepcopy(template), dict(parameters), policies)


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    print(json.dumps(transformed(packaged(), given)))
