"""transform.py [PARAMETER=VALUE]...: template.yaml, with its SAM transform applied, as JSON."""

import json
import logging
import os
import sys
from unittest.mock import Mock

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
logging.disable(logging.CRITICAL)
with open("template.yaml") as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        # As after its upload.
        resource["Properties"]["CodeUri"] = "s3://bucket/code"
policies = Mock()
policies.load.return_value = {}
parameters = dict(argument.split("=", 1) for argument in sys.argv[1:])
print(json.dumps(transform(template, parameters, policies)))
