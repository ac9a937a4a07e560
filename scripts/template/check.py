"""check.py: holds template.yaml and network.yaml, as they are deployed in each of cases.json, against checkov's rules
and those of rules.guard. What fails has to be in skips.yaml, with its reason, and what is there has to fail.

For tests: `check.py --render` prints the templates of the cases by name, as JSON; `check.py --rules` reads such
templates and prints the rules of rules.guard that each breaks, with the resources.
"""

import fnmatch
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from samtranslator.yaml_helper import yaml_parse

from render import rendered
from transform import packaged, transformed

HERE = Path(__file__).parent
TOOLS = HERE.parents[1] / ".tools"


def declared_cases():
    return json.loads((HERE / "cases.json").read_text(encoding="utf-8"))


def cases():
    """The rendered template.yaml of each case, by name."""
    declared = declared_cases()
    template = packaged()
    templates = {}
    for name, case in declared["cases"].items():
        parameters = declared["required"] | case["parameters"]
        templates[name] = rendered(transformed(template, parameters, case["region"]), parameters, case["region"])
    return templates


def network():
    with open("network.yaml", encoding="utf-8") as file:
        return yaml_parse(file.read())


def networks():
    """The rendered network.yaml of each case, by name."""
    return {
        name: rendered(network(), case["parameters"], case["region"])
        for name, case in declared_cases()["networks"].items()
    }


def left_out(template, templates):
    """The resources that no case makes: nothing was held against the rules."""
    made = set().union(*(template["Resources"] for template in templates.values()))
    return sorted(template["Resources"].keys() - made)


def run(program, arguments, templates):
    """What a checker prints about a folder with these templates, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        for name, template in templates.items():
            Path(folder, f"{name}.json").write_text(json.dumps(template), encoding="utf-8")
        arguments = [argument.replace("FOLDER", folder) for argument in arguments]
        output = subprocess.run([TOOLS / program, *arguments], capture_output=True, text=True, check=False)
    try:
        return json.loads(output.stdout)
    except ValueError:
        sys.exit(f"{program} did not do its work:\n{output.stdout}\n{output.stderr}")


def by_guard(templates):
    """The rules that each template breaks, with the types and names of resources; "" for the template itself."""
    rules = str(HERE / "rules.guard")
    arguments = ["validate", "--rules", rules, "--data", "FOLDER", "--structured", "--output-format", "json"]
    broken = {}
    for report in run("cfn-guard", [*arguments, "--show-summary", "none"], templates):
        name = Path(report["name"]).stem
        resources = templates[name]["Resources"]
        broken[name] = {}
        for rule in report["not_compliant"]:
            found = set(re.findall(r"/Resources/(\w+)", json.dumps(rule))) & resources.keys()
            kinds = sorted(f"{resources[it]['Type']}.{it}" for it in found)
            broken[name][rule["Rule"]["name"]] = kinds or [""]
    if broken.keys() != templates.keys():
        sys.exit("cfn-guard has not read every template")
    return broken


def by_checkov(templates):
    """The checks that fail, each with its case and resource, and what the check is about."""
    arguments = ["--directory", "FOLDER", "--framework", "cloudformation", "--output", "json", "--quiet", "--compact"]
    report = run("policy/bin/checkov", [*arguments, "--skip-download"], templates)
    summary = report["summary"]
    resources = sum(len(template["Resources"]) for template in templates.values())
    if summary["parsing_errors"] or summary["resource_count"] != resources:
        sys.exit(f"checkov has not read the {resources} resources of the templates: {summary}")
    failed = report["results"]["failed_checks"]
    return {
        (check["check_id"], check["resource"], Path(check["file_path"]).stem): check["check_name"] for check in failed
    }


def compared(failed, skips):
    """What is wrong: failures that nobody has excused, and excuses without a failure."""
    wrong, used = [], set()
    for (check, resource, case), what in sorted(failed.items()):
        matching = [
            index
            for index, skip in enumerate(skips)
            if skip["check"] == check
            and fnmatch.fnmatchcase(resource, skip["resources"])
            and case in skip.get("cases", [case])
        ]
        used.update((index, case) for index in matching)
        if not matching:
            wrong.append(f"{check} {resource} in the case {case}: {what}")
    for index, skip in enumerate(skips):
        where = f"{skip['check']} at {skip['resources']}"
        in_cases = {case for known, case in used if known == index}
        if not in_cases:
            wrong.append(f"skips.yaml: nothing fails {where}: remove the line")
        for case in sorted(set(skip.get("cases", [])) - in_cases):
            wrong.append(f"skips.yaml: nothing fails {where} in the case {case}: remove the case")
        if not str(skip.get("reason", "")).strip():
            wrong.append(f"skips.yaml: {skip['check']} has no reason")
    return wrong


def check():
    of_functions, of_networks = cases(), networks()
    missing = left_out(packaged(), of_functions) + left_out(network(), of_networks)
    if missing:
        sys.exit(f"cases.json: no case makes {', '.join(missing)}")
    templates = of_functions | of_networks
    failed = by_checkov(templates)
    for name, broken in by_guard(templates).items():
        for rule, resources in broken.items():
            failed |= {(rule, resource, name): "a rule of rules.guard" for resource in resources}
    skips = yaml.safe_load((HERE / "skips.yaml").read_text(encoding="utf-8"))
    wrong = compared(failed, skips)
    if wrong:
        sys.exit("\n".join(wrong))


if sys.argv[1:] == ["--render"]:
    json.dump(cases(), sys.stdout)
elif sys.argv[1:] == ["--rules"]:
    json.dump(by_guard(json.load(sys.stdin)), sys.stdout)
else:
    check()
