"""Prints infra/template.yaml as CloudFormation gets it: after SAM's transform, as JSON.

    python infra/transform.py [TEMPLATE] > transformed.json

AWS does this when the stack is deployed. It is done here as well, so that what SAM makes of the
file is linted and judged too (scripts/cloud-lint.sh, tests/src/template.rs). No account is asked.
"""

import json
import os
import pathlib
import sys

import yaml


class NoManagedPolicies:
    """SAM may look up AWS's managed policies by their names; this template names none."""

    @staticmethod
    def load():
        return {}


def short_form(loader, suffix, node):
    """`!Ref x` as {"Ref": x}, `!GetAtt a.b` as {"Fn::GetAtt": [a, b]}, `!Sub x` as {"Fn::Sub": x}."""
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags; a date stays the text that it is."""


Loader.add_multi_constructor("!", short_form)
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path):
    """The template as it stands, tags as their long forms."""
    return yaml.load(pathlib.Path(path).read_text(encoding="utf-8"), Loader)


def packaged(template):
    """With each zip's path replaced by an address, as packing does; SAM asks for one."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            name = pathlib.Path(resource["Properties"]["CodeUri"]).name
            resource["Properties"]["CodeUri"] = f"s3://packed/{name}"
    return template


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("template.yaml")
    # SAM wants to know a region, which this template leaves to the deployment.
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    # Here, because it takes longer to load than a deployment to an emulator, which only reads.
    from samtranslator.translator.transform import transform

    json.dump(transform(packaged(read(path)), {}, NoManagedPolicies()), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
