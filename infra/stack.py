"""Puts the template into an account, or onto an emulator (AWS_ENDPOINT_URL), and takes it away.

    stack.py deploy  NAME --zips DIR [--parameter KEY=VALUE]… [--plain-http]
    stack.py outputs NAME                 KEY=VALUE lines
    stack.py upload  NAME FILE…           into the stack's bucket of downloads
    stack.py whoami                       whose account, which region; a sentence if neither is known
    stack.py destroy NAME [--keep-data]
    stack.py left    NAME                 what of it still costs money

Progress and errors go to stderr, answers to stdout. Region and credentials are found as AWS's own
tools find them. Called by scripts/deploy.sh, destroy.sh and cloud-local.sh; an error is one sentence
that says what to do, and status 1.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import sys
import time
import urllib.parse

import boto3
import botocore.exceptions
from botocore.config import Config

import transform

TEMPLATE = pathlib.Path(__file__).with_name("template.yaml")
# How long CloudFormation may take for a change. AWS needs about five minutes for the first one.
DEADLINE_S = 45 * 60
# CloudFormation is asked this often; an emulator answers at once.
LOOK_EVERY_S = 3.0
LOOK_EVERY_EMULATOR_S = 0.1
# Objects of one delete call.
DELETED_AT_ONCE = 1000
# Where a stack cannot be changed any more, only removed.
DEAD = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}
BUSY = "_IN_PROGRESS"


class Refused(Exception):
    """What a person has to know, and what to do."""


def client(service):
    # Path style, because a bucket's name is no host on an emulator.
    config = Config(retries={"mode": "standard", "max_attempts": 8}, s3={"addressing_style": "path"} if emulator() else {})
    return boto3.client(service, config=config)


def emulator():
    return os.environ.get("AWS_ENDPOINT_URL", "")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def code_of(error):
    return error.response.get("Error", {}).get("Code", "")


# --- the stack's state ---------------------------------------------------------------------------


def describe(name):
    """The stack, or None."""
    try:
        return client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except botocore.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def wait(name, stack_id, since):
    """Waits until CloudFormation is done, telling what it does; the status that it ended with."""
    cloudformation = client("cloudformation")
    deadline = time.monotonic() + DEADLINE_S
    told, pause = set(), LOOK_EVERY_EMULATOR_S if emulator() else LOOK_EVERY_S
    while True:
        stack = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]
        for event in reversed(events_since(cloudformation, stack_id, since)):
            if event["EventId"] not in told:
                told.add(event["EventId"])
                tell(event)
        if not stack["StackStatus"].endswith(BUSY):
            return stack["StackStatus"]
        if time.monotonic() > deadline:
            raise Refused(f"{name} is still {stack['StackStatus']} after {DEADLINE_S // 60} minutes; look at it in CloudFormation's console")
        time.sleep(pause)


def events_since(cloudformation, stack_id, since):
    """Newest first."""
    found = []
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
        for event in page["StackEvents"]:
            if event["Timestamp"].timestamp() < since:
                return found
            found.append(event)
    return found


def tell(event):
    status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
    # Most failures after the first are only "cancelled" because of it.
    if status.endswith("_FAILED") and "cancelled" not in reason:
        say(f"  {event['LogicalResourceId']} ({event['ResourceType']}): {status}: {reason}")
    elif status.endswith("_COMPLETE") and event["ResourceType"] != "AWS::CloudFormation::Stack" and not emulator():
        say(f"  {event['LogicalResourceId']}")


# --- deploying -----------------------------------------------------------------------------------


def artifacts_bucket(create=True):
    """The account's bucket for code, made on first use; one for all stacks of a region."""
    s3, region = client("s3"), boto3.session.Session().region_name
    account = client("sts").get_caller_identity()["Account"]
    name = f"daywatch-code-{account}-{region}"
    try:
        s3.head_bucket(Bucket=name, ExpectedBucketOwner=account)
        return name
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in ("404", "NoSuchBucket", "NotFound"):
            raise Refused(f"The bucket {name} is not usable ({error}). Its name is ours by convention; remove it or grant access") from error
    if not create:
        return None
    say(f"Making the bucket {name} for the functions' code")
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **place)
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration={
        "BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True, "RestrictPublicBuckets": True})
    arn = f"arn:{client('sts').get_caller_identity()['Arn'].split(':')[1]}:s3:::{name}"
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
        "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}))
    return name


def packed(name, zips, template):
    """Uploads each zip under the name of its content, and the template that names them; where it is."""
    functions = {logical: resource["Properties"] for logical, resource in template["Resources"].items()
                 if resource["Type"] == "AWS::Serverless::Function"}
    for logical, function in functions.items():
        function["CodeUri"] = zips / pathlib.Path(function["CodeUri"]).name
        if not function["CodeUri"].is_file():
            raise Refused(f"{function['CodeUri']} is missing, the code of {logical}; build it with scripts/lambdas.sh")
    bucket, s3 = artifacts_bucket(), client("s3")
    for function in functions.values():
        path = function["CodeUri"]
        content = path.read_bytes()
        key = f"{name}/{path.stem}-{hashlib.sha256(content).hexdigest()[:32]}.zip"
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError as error:
            if code_of(error) not in ("404", "NoSuchKey", "NotFound"):
                raise
            say(f"  {path.name}: {len(content) / 1e6:.1f} MB")
            s3.put_object(Bucket=bucket, Key=key, Body=content)
        function["CodeUri"] = {"Bucket": bucket, "Key": key}
    body = json.dumps(template)
    key = f"{name}/template-{hashlib.sha256(body.encode()).hexdigest()[:32]}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
    return s3.meta.endpoint_url, bucket, key


def checked(template, parameters):
    """The parameters, an emulator's address among them; one that the template does not know is refused."""
    for key in parameters:
        if key not in template["Parameters"]:
            raise Refused(f"The template has no parameter {key}, but {', '.join(template['Parameters'])}")
    if emulator():
        return {"EmulatorAddress": urllib.parse.urlsplit(emulator()).netloc, **parameters}
    if parameters.get("EmulatorAddress"):
        raise Refused("EmulatorAddress is set, but AWS_ENDPOINT_URL is not: this would deploy to AWS with addresses that nobody there has")
    return parameters


def over_plain_http(template):
    """For an emulator that asks for rights but has no TLS: what is denied without TLS is denied with it."""
    if not emulator():
        raise Refused("--plain-http is for an emulator: AWS_ENDPOINT_URL is not set")
    for resource in template["Resources"].values():
        for statement in resource["Properties"].get("PolicyDocument", {}).get("Statement", []):
            if statement.get("Sid") == "TlsOnly":
                statement["Condition"]["Bool"]["aws:SecureTransport"] = "true"


def deploy(name, zips, parameters, plain_http=False):
    template = transform.read(TEMPLATE)
    parameters = checked(template, parameters)
    if plain_http:
        over_plain_http(template)
    cloudformation = client("cloudformation")
    before = describe(name)
    if before and before["StackStatus"].endswith(BUSY):
        raise Refused(f"{name} is {before['StackStatus']}: somebody changes it right now; wait, then try again")
    if before and before["StackStatus"] in DEAD:
        say(f"{name} is {before['StackStatus']} from an earlier attempt and is removed first")
        remove(before)
        before = None
    if before and before["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        raise Refused(f"{name} is UPDATE_ROLLBACK_FAILED: continue its rollback in CloudFormation's console, then try again")
    fresh = before is None or before["StackStatus"] == "REVIEW_IN_PROGRESS"
    endpoint, bucket, key = packed(name, zips, template)
    known = {} if fresh else {each["ParameterKey"] for each in before.get("Parameters", [])}
    wanted = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    # What is not said stays as it is: an upgrade does not forget the pager.
    wanted += [{"ParameterKey": key, "UsePreviousValue": True} for key in known if key not in parameters]
    change = f"daywatch-{int(time.time() * 1000)}"
    region = boto3.session.Session().region_name
    url = f"{endpoint}/{bucket}/{key}" if emulator() else f"https://{bucket}.s3.{region}.{suffix(region)}/{key}"
    made = cloudformation.create_change_set(
        StackName=name, ChangeSetName=change, ChangeSetType="CREATE" if fresh else "UPDATE", TemplateURL=url,
        Parameters=wanted, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Tags=[{"Key": "application", "Value": "daywatch"}])
    try:
        changes = planned(cloudformation, made["Id"])
    except Refused:
        # A stack that was never made stands in the way of the next attempt.
        if fresh:
            cloudformation.delete_stack(StackName=made["StackId"])
        raise
    if not changes:
        say(f"{name} is as it should be: nothing to change")
        return
    since = time.time() - 1
    cloudformation.execute_change_set(ChangeSetName=made["Id"])
    status = wait(name, made["StackId"], since)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        undo_failed(name, fresh, status)
    say(f"{name}: {status}")


def suffix(region):
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def planned(cloudformation, change_id):
    """Waits for the change set; whether it changes anything."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        change = cloudformation.describe_change_set(ChangeSetName=change_id)
        if change["Status"] == "CREATE_COMPLETE":
            return True
        if change["Status"] == "FAILED":
            reason = change.get("StatusReason", "")
            if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                cloudformation.delete_change_set(ChangeSetName=change_id)
                return False
            raise Refused(f"CloudFormation refuses the template or its parameters: {reason}")
        time.sleep(LOOK_EVERY_EMULATOR_S if emulator() else 1.0)
    raise Refused("CloudFormation does not plan the change; look at it in its console")


def undo_failed(name, fresh, status):
    """A first deployment that failed leaves nothing; a failed change leaves what was before."""
    if fresh:
        remove(describe(name))
        raise Refused(f"{name} could not be made ({status}); the first failure above says why. Everything is removed again; correct it and deploy again")
    raise Refused(f"{name} could not be changed ({status}); the first failure above says why. It runs on as it was before")


# --- taking away ---------------------------------------------------------------------------------


def remove(stack):
    cloudformation, since = client("cloudformation"), time.time() - 1
    cloudformation.delete_stack(StackName=stack["StackId"])
    status = wait(stack["StackName"], stack["StackId"], since)
    if status != "DELETE_COMPLETE":
        raise Refused(f"{stack['StackName']} could not be removed ({status}); the failures above say why")


def resources(stack_id):
    """(type, physical id) of what the stack has or had, kept resources included."""
    pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack_id)
    return [(each["ResourceType"], each["PhysicalResourceId"]) for page in pages
            for each in page["StackResourceSummaries"] if each.get("PhysicalResourceId")]


def empty(bucket, prefix=""):
    """Removes every object, every version and every marker of a removal."""
    s3, count = client("s3"), 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = [{"Key": each["Key"], "VersionId": each["VersionId"]}
                 for each in page.get("Versions", []) + page.get("DeleteMarkers", [])]
        for start in range(0, len(found), DELETED_AT_ONCE):
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": found[start:start + DELETED_AT_ONCE], "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise Refused(f"{bucket}/{first['Key']} could not be removed: {first['Message']}")
        count += len(found)
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return count


def destroy(name, keep_data):
    stack = describe(name)
    if stack is None:
        raise Refused(f"There is no stack {name} in {boto3.session.Session().region_name}; `aws cloudformation list-stacks` tells their names")
    had = resources(stack["StackId"])
    buckets = [physical for kind, physical in had if kind == "AWS::S3::Bucket"]
    tables = [physical for kind, physical in had if kind == "AWS::DynamoDB::Table"]
    if keep_data:
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
        # CloudFormation removes only an empty one, and this one it does not keep.
        say(f"  {outputs['DownloadsBucket']}: {empty(outputs['DownloadsBucket'])} objects removed")
        remove(stack)
    else:
        # The functions first, so that nothing is written while it is emptied.
        for bucket in buckets:
            say(f"  {bucket}: {empty(bucket)} objects removed")
        remove(stack)
        gone(buckets, tables)
    code = artifacts_bucket(create=False)
    if code:
        say(f"  {code}/{name}/: {empty(code, f'{name}/')} objects removed")
        if not client("s3").list_objects_v2(Bucket=code, MaxKeys=1).get("KeyCount"):
            client("s3").delete_bucket(Bucket=code)
            say(f"  {code}: removed")
    left(name)


def gone(buckets, tables):
    """Removes what the stack keeps."""
    s3, dynamodb = client("s3"), client("dynamodb")
    for bucket in buckets:
        try:
            empty(bucket)
            s3.delete_bucket(Bucket=bucket)
            say(f"  {bucket}: removed")
        except botocore.exceptions.ClientError as error:
            if code_of(error) not in ("NoSuchBucket", "404"):
                raise
    for table in tables:
        try:
            dynamodb.delete_table(TableName=table)
            say(f"  {table}: removed")
        except dynamodb.exceptions.ResourceNotFoundException:
            pass


def left(name):
    """What of the stack costs money while it stands empty: found by the names that CloudFormation
    gives, so that it also finds what an older stack of this name left."""
    ours = re.compile(rf"{re.escape(name)}-(table|manifesttable|blobs|failed|downloads|stream)-[0-9a-z]+", re.IGNORECASE)
    found = [f"bucket {bucket['Name']}: 0.023 USD a GB and month"
             for bucket in client("s3").list_buckets().get("Buckets", []) if ours.fullmatch(bucket["Name"])]
    dynamodb = client("dynamodb")
    for page in dynamodb.get_paginator("list_tables").paginate():
        for table in filter(ours.fullmatch, page["TableNames"]):
            if dynamodb.describe_table(TableName=table)["Table"]["TableStatus"] != "DELETING":
                found.append(f"table {table}: 0.25 USD a GB and month, its backups 0.20")
    for page in client("kinesis").get_paginator("list_streams").paginate():
        found += [f"stream {each}: 25 USD a shard and month" for each in filter(ours.fullmatch, page["StreamNames"])]
    for line in found:
        print(line)
    if not found:
        print(f"Nothing of {name} is left that costs money; AWS removes its topics' key within 7 days, free of charge.")


def whoami():
    region = boto3.session.Session().region_name
    if not region:
        raise botocore.exceptions.NoRegionError()
    if region not in boto3.session.Session().get_available_regions("kinesis") and not emulator():
        raise Refused(f"{region} is no region of AWS that has Kinesis; REGION=eu-central-1, for example")
    who = client("sts").get_caller_identity()
    print(f"account {who['Account']}, {who['Arn'].rpartition(':')[2]}, region {region}")


# --- the command line ----------------------------------------------------------------------------


def outputs(name):
    stack = describe(name)
    if stack is None:
        raise Refused(f"There is no stack {name} in {boto3.session.Session().region_name}; deploy it with: make deploy STACK={name}")
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"):
        raise Refused(f"{name} is {stack['StackStatus']} and not ready")
    for output in stack["Outputs"]:
        print(f"{output['OutputKey']}={output['OutputValue']}")


def upload(name, files):
    stack = describe(name)
    if stack is None:
        raise Refused(f"There is no stack {name}")
    bucket = next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "DownloadsBucket")
    for path in files:
        if not path.is_file():
            raise Refused(f"{path} is no file")
        # Where functions/query/src/install.rs looks.
        client("s3").upload_file(str(path), bucket, f"downloads/{path.name}")
        say(f"  {path.name}")


def parameter(text):
    key, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text} is no KEY=VALUE")
    return key, value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("whoami")
    for command in ("deploy", "outputs", "upload", "destroy", "left"):
        commands.add_parser(command).add_argument("name")
    commands.choices["deploy"].add_argument("--zips", type=pathlib.Path, required=True)
    commands.choices["deploy"].add_argument("--parameter", type=parameter, action="append", default=[])
    commands.choices["upload"].add_argument("files", type=pathlib.Path, nargs="+")
    commands.choices["deploy"].add_argument("--plain-http", action="store_true")
    commands.choices["destroy"].add_argument("--keep-data", action="store_true")
    given = parser.parse_args()
    try:
        match given.command:
            case "whoami":
                whoami()
            case "deploy":
                deploy(given.name, given.zips, dict(given.parameter), given.plain_http)
            case "outputs":
                outputs(given.name)
            case "upload":
                upload(given.name, given.files)
            case "destroy":
                destroy(given.name, given.keep_data)
            case "left":
                left(given.name)
    except Refused as refused:
        sys.exit(str(refused))
    except botocore.exceptions.NoRegionError:
        sys.exit("No region is chosen: make deploy REGION=eu-central-1, or set AWS_REGION")
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
        sys.exit(f"No usable AWS credentials: {error}. Try `aws sts get-caller-identity`; `aws configure` or AWS_PROFILE sets them")
    except botocore.exceptions.ClientError as error:
        if code_of(error) in ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException"):
            sys.exit(f"AWS does not know these credentials ({code_of(error)}): sign in again, or choose others with AWS_PROFILE")
        sys.exit(f"AWS refuses: {error}")
    except botocore.exceptions.BotoCoreError as error:
        sys.exit(f"AWS cannot be reached: {error}")


if __name__ == "__main__":
    main()
