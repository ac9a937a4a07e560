"""stack.py ENDPOINT: creates stacks in moto, and prints what was made, both as JSON.

Standard input has the cases of scripts/template/cases.json by name, each with its region, parameters, and the name
of its stack. With "read": true the stack is there already. The output has, by the same names: functions with their
environment and limits, routes, and outputs.
"""

import io
import json
import re
import sys
import zipfile
from pathlib import Path

import boto3

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts/template"))
from transform import packaged, transformed  # noqa: E402

SECRET = re.compile(r"\{\{resolve:secretsmanager:(arn:[^}]+)\}\}")


class Region:
    def __init__(self, endpoint, region):
        self.name = region
        self.session = boto3.Session("test", "test", region_name=region)
        self.endpoint = endpoint

    def client(self, service):
        return self.session.client(service, endpoint_url=self.endpoint)

    def upload(self, packages):
        """Puts code where the template looks for it: a file, as none is run here."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("bootstrap", "")
        objects = self.client("s3")
        location = {} if self.name == "us-east-1" else {
            "CreateBucketConfiguration": {"LocationConstraint": self.name}}
        try:
            objects.create_bucket(Bucket="code", **location)
        except objects.exceptions.BucketAlreadyOwnedByYou:
            pass
        for package in packages:
            objects.put_object(Bucket="code", Key=package, Body=archive.getvalue())

    def value(self, text):
        """With secrets in place of the references to them: CloudFormation passes the values on."""
        secrets = self.client("secretsmanager")
        return SECRET.sub(lambda match: secrets.get_secret_value(SecretId=match[1])["SecretString"], text)


def network(region):
    """What there is in a region of an account by itself."""
    servers = region.client("ec2")
    subnets = servers.describe_subnets()["Subnets"]
    groups = servers.describe_security_groups()["SecurityGroups"]
    return {
        "{subnets}": ",".join(subnet["SubnetId"] for subnet in subnets[:2]),
        "{security-groups}": groups[0]["GroupId"],
    }


def create(region, stack, template, parameters):
    known = network(region)
    parameters = {name: known.get(value, value) for name, value in parameters.items()}
    region.upload(resource["Properties"]["CodeUri"].rsplit("/", 1)[1]
                  for resource in template["Resources"].values() if resource["Type"] == "AWS::Serverless::Function")
    region.client("cloudformation").create_stack(
        StackName=stack,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )


def routes(template):
    """The function that the API calls for each path."""
    found = {}
    api = transformed(template, {})["Resources"]["Api"]
    for path, methods in api["Properties"]["Body"]["paths"].items():
        (method,) = methods.values()
        uri = json.dumps(method["x-amazon-apigateway-integration"]["uri"])
        (found[path],) = re.findall(r"\$\{(\w+)Aliaslive\}", uri)
    return found


def described(region, stack, template):
    stacks, functions_of_region = region.client("cloudformation"), region.client("lambda")
    (description,) = stacks.describe_stacks(StackName=stack)["Stacks"]
    functions = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        try:
            made = stacks.describe_stack_resource(StackName=stack, LogicalResourceId=name)["StackResourceDetail"]
        except stacks.exceptions.ClientError:
            # Left out.
            if "Condition" in resource:
                continue
            raise
        live = functions_of_region.get_function(FunctionName=made["PhysicalResourceId"], Qualifier="live")
        live = live["Configuration"]
        variables = live.get("Environment", {}).get("Variables", {})
        functions[name] = {
            "package": resource["Properties"]["CodeUri"].rsplit("/", 1)[1],
            "variables": {key: region.value(value) for key, value in variables.items()},
            "memory": live["MemorySize"],
            "timeout": live["Timeout"],
            "version": live["Version"],
        }
    return {
        "status": description["StackStatus"],
        "functions": functions,
        "routes": routes(template),
        "outputs": {it["OutputKey"]: it["OutputValue"] for it in description.get("Outputs", [])},
    }


def main(endpoint):
    template = packaged()
    answers = {}
    for name, case in json.load(sys.stdin).items():
        region = Region(endpoint, case["region"])
        if not case.get("read"):
            create(region, case["stack"], template, case["parameters"])
        answers[name] = described(region, case["stack"], template)
    json.dump(answers, sys.stdout)


main(*sys.argv[1:])
