"""failing.py STACK [--profile NAME] [--region NAME]: prints the alarms of a stack that are on and would end a
deployment of it. A stack that does not exist yet has none.
"""

import argparse
import sys

import boto3
from botocore.config import Config


def names(options):
    patience = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2})
    session = boto3.Session(profile_name=options.profile, region_name=options.region)
    # Of a stack's functions there are far fewer than an answer holds.
    alarms = session.client("cloudwatch", config=patience).describe_alarms(
        AlarmNamePrefix=f"{options.stack}-rollback-", StateValue="ALARM")
    return [alarm["AlarmName"] for alarm in alarms["MetricAlarms"]]


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("stack")
    parser.add_argument("--profile")
    parser.add_argument("--region")
    options = parser.parse_args()
    try:
        print(*names(options))
    except Exception as error:
        print(f"==> it is not known whether an alarm would end the deployment: {type(error).__name__}", file=sys.stderr)


main()
