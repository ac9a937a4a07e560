"""quota.py --template FILE [--quota QUOTA | --stack NAME] [--profile NAME] [--region NAME] FUNCTIONS RESERVED: prints
the account's quota of concurrent executions of functions in this region, and whether FUNCTIONS functions can reserve
RESERVED each. It is compared with what the alarms are told of it: QUOTA, or what the stack has, or the template's
default, which a stack gets that does not exist yet.
"""

import argparse
import sys

# Lambda keeps these for functions that reserve nothing:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
UNRESERVED = 100


def client(service, options):
    import boto3
    from botocore.config import Config

    patience = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2})
    session = boto3.Session(profile_name=options.profile, region_name=options.region)
    return session.client(service, config=patience)


def stacks_quota(options):
    """What the stack has; None without a stack, or if its template doesn't have the parameter."""
    from botocore.exceptions import ClientError

    try:
        stack = client("cloudformation", options).describe_stacks(StackName=options.stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return None
        raise
    values = {it["ParameterKey"]: it["ParameterValue"] for it in stack.get("Parameters", [])}
    return values.get("ConcurrencyQuota")


def default_quota(options):
    from samcli.yamlhelper import yaml_parse

    with open(options.template) as source:
        return yaml_parse(source.read())["Parameters"]["ConcurrencyQuota"]["Default"]


def told(options):
    """What the alarms will be told, and where that is from."""
    if options.quota is not None:
        return options.quota, ""
    if options.stack is not None and (quota := stacks_quota(options)) is not None:
        return int(quota), ", which the stack has,"
    return int(default_quota(options)), ", the default,"


def lines(limit, options):
    total, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    yield f"the account allows {total} concurrent executions here; {total - free} of them are reserved"
    try:
        quota, origin = told(options)
    except Exception as error:
        yield f"warning: the CONCURRENCY_QUOTA that the stack has can't be read: {type(error).__name__}"
    else:
        if quota != total:
            yield f"warning: CONCURRENCY_QUOTA={quota}{origin} is another quota: the alarm on concurrency would be wrong"
    wanted = options.functions * options.reserved
    if not wanted:
        return
    what = f"{options.functions} functions with RESERVED_CONCURRENCY={options.reserved} reserve {wanted}"
    if wanted > total - UNRESERVED:
        yield f"warning: {what}, and {UNRESERVED} have to stay unreserved: this does not fit"
    elif wanted > free - UNRESERVED:
        yield f"warning: {what}: this fits only if what is reserved now is this stack's own"


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--template", required=True)
    parser.add_argument("--quota", type=int)
    parser.add_argument("--stack")
    parser.add_argument("--profile")
    parser.add_argument("--region")
    parser.add_argument("functions", type=int)
    parser.add_argument("reserved", type=int)
    options = parser.parse_args()
    try:
        limit = client("lambda", options).get_account_settings()["AccountLimit"]
    except Exception as error:
        sys.exit(f"==> the account's quota of concurrent executions can't be read: {type(error).__name__}")
    for line in lines(limit, options):
        print(f"==> {line}")


main()
