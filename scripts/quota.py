"""quota.py FUNCTIONS RESERVED [QUOTA]: prints the account's quota of concurrent executions of functions in this
region, and whether FUNCTIONS functions can reserve RESERVED each. QUOTA is what the alarms are told of it.
"""

import sys

# Lambda keeps these for functions that reserve nothing:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
UNRESERVED = 100


def limits():
    import boto3
    from botocore.config import Config

    patience = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2})
    return boto3.client("lambda", config=patience).get_account_settings()["AccountLimit"]


def lines(limit, functions, reserved, told):
    total, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    yield f"the account allows {total} concurrent executions here; {total - free} of them are reserved"
    if told and int(told) != total:
        yield f"warning: CONCURRENCY_QUOTA={told} is another quota: the alarm on concurrency would be wrong"
    wanted = functions * reserved
    if not wanted:
        return
    what = f"{functions} functions with RESERVED_CONCURRENCY={reserved} reserve {wanted}"
    if wanted > total - UNRESERVED:
        yield f"warning: {what}, and {UNRESERVED} have to stay unreserved: this does not fit"
    elif wanted > free - UNRESERVED:
        yield f"warning: {what}: this fits only if what is reserved now is this stack's own"


def main(functions, reserved, told=""):
    try:
        limit = limits()
    except Exception as error:
        sys.exit(f"==> the account's quota of concurrent executions can't be read: {type(error).__name__}")
    for line in lines(limit, int(functions), int(reserved or 0), told):
        print(f"==> {line}")


main(*sys.argv[1:])
