"""server.py PORT: moto's server, with what its CloudFormation lacks.

Moto's own part makes the resources and answers for the services. Added are the SAM transform, types of resources,
and some rules of CloudFormation that decide what a stack's resources look like. A type that nobody knows is an
error: no part of a stack is left out without a word.
"""

import json
import sys
import uuid
from pathlib import Path

import moto.cloudformation.models as models
import moto.cloudformation.parsing as parsing
from moto.awslambda.models import lambda_backends
from moto.core.common_models import CloudFormationModel
from moto.dynamodb.models import Table, dynamodb_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.server import main
from moto.ssm.models import ssm_backends

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts/template"))
from transform import transformed  # noqa: E402


class Taught:
    """A resource with an id and attributes; one that is updated is made anew."""

    def __init__(self, name, attributes):
        self.name = name
        self.attributes = attributes

    @property
    def physical_resource_id(self):
        return self.name

    @staticmethod
    def cloudformation_name_type():
        return ""

    @classmethod
    def has_cfn_attr(cls, attr):
        return True

    def get_cfn_attribute(self, attribute_name):
        return self.attributes[attribute_name]

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        pass


# Moto keeps count of its resources by the modules that they are in.
MODULE = "moto.cloudformation.taught"


class Secret(Taught, CloudFormationModel):
    __module__ = MODULE

    @staticmethod
    def cloudformation_type():
        return "AWS::SecretsManager::Secret"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        wanted = cloudformation_json["Properties"]["GenerateSecretString"]
        backend = secretsmanager_backends[account_id][region_name]
        # The names of the options are those of GetRandomPassword.
        is_on = {name: str(wanted.get(name, default)).lower() == "true" for name, default in OPTIONS.items()}
        password = backend.get_random_password(
            password_length=int(wanted["PasswordLength"]),
            exclude_characters=wanted.get("ExcludeCharacters", ""),
            exclude_numbers=is_on["ExcludeNumbers"],
            exclude_punctuation=is_on["ExcludePunctuation"],
            exclude_uppercase=is_on["ExcludeUppercase"],
            exclude_lowercase=is_on["ExcludeLowercase"],
            include_space=is_on["IncludeSpace"],
            require_each_included_type=is_on["RequireEachIncludedType"],
        )
        made = backend.create_secret(
            name=resource_name,
            secret_string=json.loads(password)["RandomPassword"],
            secret_binary=None,
            description=None,
            tags=None,
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return cls(json.loads(made)["ARN"], {})


OPTIONS = {
    "ExcludeNumbers": False,
    "ExcludePunctuation": False,
    "ExcludeUppercase": False,
    "ExcludeLowercase": False,
    "IncludeSpace": False,
    "RequireEachIncludedType": True,
}


class Parameter(Taught, CloudFormationModel):
    """Moto's own needs a name, and has no attributes."""

    __module__ = MODULE

    @staticmethod
    def cloudformation_type():
        return "AWS::SSM::Parameter"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        wanted = cloudformation_json["Properties"]
        ssm_backends[account_id][region_name].put_parameter(
            name=resource_name,
            description=wanted["Description"],
            value=wanted["Value"],
            parameter_type=wanted["Type"],
            allowed_pattern="",
            keyid="",
            overwrite=True,
            tags=[],
            data_type="text",
            tier=None,
            policies=None,
        )
        return cls(resource_name, {"Type": wanted["Type"], "Value": wanted["Value"]})


class Version(Taught, CloudFormationModel):
    """Moto's own has no attributes."""

    __module__ = MODULE

    @staticmethod
    def cloudformation_type():
        return "AWS::Lambda::Version"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        function = cloudformation_json["Properties"]["FunctionName"]
        version = lambda_backends[account_id][region_name].publish_version(function)
        return cls(version.function_arn, {"Version": str(version.version)})


class Alias(Taught, CloudFormationModel):
    __module__ = MODULE

    @staticmethod
    def cloudformation_type():
        return "AWS::Lambda::Alias"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        wanted = cloudformation_json["Properties"]
        backend = lambda_backends[account_id][region_name]
        alias = backend.create_alias(
            name=wanted["Name"],
            function_name=wanted["FunctionName"],
            function_version=wanted["FunctionVersion"],
            description="",
            routing_config=None,
        )
        return cls(alias.arn, {})

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        wanted = cloudformation_json["Properties"]
        backend = lambda_backends[account_id][region_name]
        backend.update_alias(
            name=wanted["Name"],
            function_name=wanted["FunctionName"],
            function_version=wanted["FunctionVersion"],
            description="",
            routing_config=None,
        )
        return original_resource


def create_table(cls, resource_name, cloudformation_json, account_id, region_name, **named):
    """With what moto leaves out: time to live, recovery, and that a stream that is described is on."""
    wanted = cloudformation_json["Properties"]
    if "StreamSpecification" in wanted:
        wanted["StreamSpecification"] = {"StreamEnabled": True, **wanted["StreamSpecification"]}
    table = moto_create_table(cls, resource_name, cloudformation_json, account_id, region_name, **named)
    backend = dynamodb_backends[account_id][region_name]
    backend.update_time_to_live(table.name, wanted["TimeToLiveSpecification"])
    backend.update_continuous_backups(table.name, wanted["PointInTimeRecoverySpecification"])
    return table


moto_create_table = Table.create_from_cloudformation_json.__func__
Table.create_from_cloudformation_json = classmethod(create_table)


# Types of which the stack needs nothing but an id and attributes, with these.
STAND_INS = {
    "AWS::ApiGatewayV2::Api": {"ApiEndpoint": "https://api.execute-api.example.com"},
    "AWS::ApiGatewayV2::ApiMapping": {},
    "AWS::ApiGatewayV2::DomainName": {"RegionalDomainName": "d.execute-api.example.com"},
    "AWS::ApiGatewayV2::Stage": {},
    "AWS::Budgets::Budget": {},
    "AWS::CloudFront::Distribution": {"DomainName": "d111111abcdef8.cloudfront.net"},
    "AWS::CloudFront::OriginAccessControl": {},
    "AWS::CloudWatch::Alarm": {},
    "AWS::CodeDeploy::Application": {},
    "AWS::CodeDeploy::DeploymentGroup": {},
    "AWS::Lambda::EventInvokeConfig": {},
    "AWS::S3::BucketPolicy": {},
    "AWS::SNS::Subscription": {},
}


def stand_in(kind, attributes):
    class StandIn(Taught, CloudFormationModel):
        __module__ = MODULE

        @staticmethod
        def cloudformation_type():
            return kind

        @classmethod
        def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
            return cls(uuid.uuid5(uuid.NAMESPACE_DNS, resource_name).hex[:13], attributes)

    return StandIn


# CloudFormation finds them among the subclasses, which live as long as somebody holds them.
STAND_IN_CLASSES = [stand_in(*entry) for entry in STAND_INS.items()]


def known_class(kind):
    known = class_from_type(kind)
    if known is None:
        raise parsing.ValidationError(message=f"tests/moto/server.py does not know {kind}")
    return known


class_from_type = parsing.resource_class_from_type
parsing.resource_class_from_type = known_class


def clean_json(value, resources):
    """Without AWS::NoValue, which moto leaves in lists."""
    if isinstance(value, list):
        items = (clean_json(item, resources) for item in value)
        return [item for item in items if item is not None]
    return moto_clean_json(value, resources)


moto_clean_json = parsing.clean_json
parsing.clean_json = clean_json


def parse_condition(condition, resources, conditions):
    """Compares texts, which parameters are, numbers too."""
    if isinstance(condition, dict) and "Fn::Equals" in condition:
        left, right = (parsing.clean_json(side, resources) for side in condition["Fn::Equals"])
        return str(left) == str(right)
    return moto_parse_condition(condition, resources, conditions)


moto_parse_condition = parsing.parse_condition
parsing.parse_condition = parse_condition


# Published when everything else is as it should be.
PUBLISHED = ["AWS::Lambda::Version", "AWS::Lambda::Alias"]


class ResourceMap(parsing.ResourceMap):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.apply(self._template)
        if self._region_name.startswith("cn-"):
            self._parsed_resources.update({"AWS::Partition": "aws-cn", "AWS::URLSuffix": "amazonaws.com.cn"})

    def apply(self, template):
        """Applies the template's transform."""
        self._template = transformed(template, self.input_parameters, self._region_name)
        self._resource_json_map = self._template["Resources"]

    def __getitem__(self, key):
        try:
            return super().__getitem__(key)
        except KeyError as error:
            raise parsing.ValidationError(message=f"Unresolved resource dependencies [{error.args[0]}]") from error

    def create(self, template):
        return super().create(self._template)

    def resolved(self, name):
        """What the template says of a resource with the present parameters; None if it does not make it."""
        resource = self._resource_json_map[name]
        condition = resource.get("Condition")
        if condition and not self.lazy_condition_map[condition]:
            return None
        return parsing.clean_json(resource, self)

    def update(self, template, parameters=None):
        """Changes what says something else than before. Moto compares templates without their parameters."""
        said = {name: self.resolved(name) for name in self._resource_json_map}
        if parameters:
            self.input_parameters = parameters
        self.apply(template)
        self.load_mapping()
        self.load_parameters()
        self.load_conditions()
        names = [name for name, it in self._resource_json_map.items() if it["Type"] not in PUBLISHED]
        # A change gives others another value.
        while self.change(names, said):
            pass
        self.change([name for name in self._resource_json_map if name not in names], said)
        for name in said.keys() - self._resource_json_map.keys():
            self._parsed_resources.pop(name, None)

    def change(self, names, said):
        """Whether anything had to be changed."""
        changed = [name for name in names if self.change_one(name, said)]
        return bool(changed)

    def change_one(self, name, said):
        wanted = self.resolved(name)
        if wanted == said.get(name):
            return False
        said[name] = wanted
        if wanted is None:
            # It remains: all that has a condition and holds data has the policy Retain.
            self._parsed_resources.pop(name, None)
        elif name in self._parsed_resources:
            self._parsed_resources[name] = parsing.parse_and_update_resource(
                name, self._resource_json_map[name], self, account_id=self._account_id, region_name=self._region_name
            )
        else:
            _ = self[name]
        return True


models.ResourceMap = ResourceMap


# The templates are JSON, which moto would read as YAML at great length.
models.Stack.parse_template = staticmethod(json.loads)
# Of the template with its transform applied.
models.Stack._create_output_map = lambda self: parsing.OutputMap(
    self.resource_map, self.resource_map._template, self.stack_id
)
# Without those that a condition leaves out.
models.Stack.stack_resources = property(lambda self: [it for it in self.resource_map.values() if it is not None])


def parameters_of_update(self, instance, incoming_params):
    """With the stack's values for what keeps them, also where these are defaults, which moto forgets."""
    present = instance.resource_map.resolved_parameters

    def value(parameter):
        if not parameter.get("UsePreviousValue"):
            return parameter["ParameterValue"]
        known = present[parameter["ParameterKey"]]
        return ",".join(known) if isinstance(known, list) else str(known)

    return {parameter["ParameterKey"]: value(parameter) for parameter in incoming_params}


models.CloudFormationBackend._resolve_update_parameters = parameters_of_update


if __name__ == "__main__":
    sys.argv = ["moto_server", "--host", "127.0.0.1", "--port", sys.argv[1]]
    main()
