"""The Kubernetes manifests, against the API's own schemas and against what they promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import kubernetes_validate
import pytest
import yaml
from botocore.validate import ParamValidator

from insaat_cli.remote.broker.address import DEFAULT_QUEUE, BrokerAddress

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CUSTOM = {"ScaledObject", "TriggerAuthentication"}


def documents() -> list[Any]:
    return [
        pytest.param(document, id=f"{path.name}-{document['kind']}")
        for path in sorted(DEPLOY.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]


def pods() -> list[Any]:
    return [item for item in documents() if item.values[0]["kind"] == "Deployment"]


@pytest.mark.parametrize("document", documents())
def test_fits_the_schema(document: dict[str, Any]) -> None:
    if document["kind"] in CUSTOM:
        assert document["apiVersion"] == "keda.sh/v1alpha1"
        return
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("document", pods())
def test_pods_have_few_rights(document: dict[str, Any]) -> None:
    pod = document["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_workers_may_talk_to_names_and_the_store_only() -> None:
    policy = yaml.safe_load((DEPLOY / "network-policy.yaml").read_text())["spec"]
    labels = [item.values[0]["spec"]["template"]["metadata"]["labels"] for item in pods()]
    assert policy["podSelector"]["matchLabels"] in labels
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    for rule in policy["egress"]:
        assert all("ipBlock" not in peer for peer in rule["to"]), "nobody outside the cluster"
    named = [peer for rule in policy["egress"] for peer in rule["to"] if "podSelector" in peer]
    assert [peer["podSelector"]["matchLabels"] in labels for peer in named] == [True]


SCALERS = {"": set(), "-rabbitmq": {"rabbitmq"}, "-redis": {"redis"}, "-sqs": {"aws-sqs-queue"}}


@pytest.mark.parametrize("kind", SCALERS)
def test_scaling_is_of_the_workers_and_slow_to_shrink(kind: str) -> None:
    text = (DEPLOY / f"scaled-object{kind}.yaml").read_text()
    found = {d["kind"]: d for d in yaml.safe_load_all(text)}
    spec = found["ScaledObject"]["spec"]
    assert spec["scaleTargetRef"]["name"] == "insaat-worker"
    assert spec["minReplicaCount"] <= 1 < spec["maxReplicaCount"]
    shrink = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert shrink["stabilizationWindowSeconds"] >= 300
    kinds = {trigger["type"] for trigger in spec["triggers"]}
    assert kinds >= SCALERS[kind] | {"prometheus"}, "a running job has no message any more"
    assert spec["minReplicaCount"] == 1 or "cron" in kinds, "somebody must look now and then"
    for trigger in spec["triggers"]:
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        if "authenticationRef" in trigger:
            named = found["TriggerAuthentication"]["metadata"]["name"]
            assert trigger["authenticationRef"]["name"] == named


def test_sqs_has_few_rights_and_a_dead_letter_queue() -> None:
    rights = {}
    for name in ("worker", "submitter"):
        policy = json.loads((DEPLOY / "policies" / f"{name}-sqs.json").read_text())
        (statement,) = policy["Statement"]
        assert statement["Resource"] == "arn:aws:sqs:REGION:ACCOUNT:insaat"
        rights[name] = set(statement["Action"])
    assert rights["submitter"] == {"sqs:SendMessage"} < rights["worker"]
    queue = json.loads((DEPLOY / "sqs" / "queue.json").read_text())
    dead = json.loads((DEPLOY / "sqs" / "dead-letters.json").read_text())
    assert all(isinstance(value, str) for value in (*queue.values(), *dead.values()))
    redrive = json.loads(queue["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(":insaat-dead")
    assert json.loads(dead["RedriveAllowPolicy"])["sourceQueueArns"][0].endswith(":insaat")


def test_the_grace_period_covers_draining_and_giving_back() -> None:
    (worker,) = [item.values[0] for item in pods() if "worker" in item.id]
    pod = worker["spec"]["template"]["spec"]
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
    drain_s = int(command.split()[-1])
    assert pod["terminationGracePeriodSeconds"] >= drain_s + 20


POLICIES = ["worker.json", "submit.json", "steer.json", "remove.json"]


def rights_of(name: str) -> list[tuple[str, str, bool]]:
    """Action, resource, and whether only a conditional write is meant."""
    policy = json.loads((DEPLOY / "policies" / name).read_text())
    found = []
    for statement in policy["Statement"]:
        resources = statement["Resource"]
        guarded = "Null" in statement.get("Condition", {})
        for resource in resources if isinstance(resources, list) else [resources]:
            found += [(action, resource, guarded) for action in statement["Action"]]
    return found


def test_who_submits_can_overwrite_and_delete_nothing_of_a_job() -> None:
    jobs = [right for right in rights_of("submit.json") if "/jobs/" in right[1]]
    assert all(guarded for action, _, guarded in jobs if action == "s3:PutObject")
    assert not [right for right in rights_of("submit.json") if "Delete" in right[0]]


def test_who_steers_changes_only_states_that_he_has_read() -> None:
    for name in ("steer.json", "remove.json"):
        puts = [right for right in rights_of(name) if right[0] == "s3:PutObject"]
        states = [right for right in puts if "/jobs/" in right[1]]
        assert states and all(guarded for _, _, guarded in states)
        assert all(resource.endswith("/state.json") for _, resource, _ in states)
    assert not [r for r in rights_of("steer.json") if "Delete" in r[0] and "/queued/" not in r[1]]


def test_the_lifecycle_rules_are_ones_of_s3() -> None:
    """boto3 checks them before it sends them; the photos' rule is for the operator to enable."""
    rules = json.loads((DEPLOY / "lifecycle.json").read_text())
    client = boto3.client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    shape = client.meta.service_model.operation_model("PutBucketLifecycleConfiguration")
    report = ParamValidator().validate(
        {"Bucket": "b", "LifecycleConfiguration": rules}, shape.input_shape
    )
    assert not report.has_errors(), report.generate_report()
    for rule in rules["Rules"]:
        assert rule["Filter"]["Prefix"].startswith("PREFIX/")
        assert (rule["Status"] == "Disabled") == rule["Filter"]["Prefix"].endswith("inputs/")


@pytest.mark.parametrize("name", POLICIES)
def test_policies_stay_in_the_prefix(name: str) -> None:
    policy = json.loads((DEPLOY / "policies" / name).read_text())
    for statement in policy["Statement"]:
        assert "*" not in statement["Action"]
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            assert resource == "arn:aws:s3:::BUCKET" or resource.startswith(
                "arn:aws:s3:::BUCKET/PREFIX/"
            )


def test_the_scalers_and_the_worker_name_one_broker() -> None:
    """The queue is the default one, and the secret has every key that is asked for."""
    secret = yaml.safe_load((DEPLOY / "broker-secret.example.yaml").read_text())
    keys = set(secret["stringData"])
    assert BrokerAddress.parse(secret["stringData"]["address"]).queue == DEFAULT_QUEUE
    for kind, field in (("rabbitmq", "queueName"), ("redis", "listName"), ("sqs", "queueURL")):
        text = (DEPLOY / f"scaled-object-{kind}.yaml").read_text()
        found = {d["kind"]: d for d in yaml.safe_load_all(text)}
        metadata = found["ScaledObject"]["spec"]["triggers"][0]["metadata"]
        assert metadata[field].rpartition("/")[2] == DEFAULT_QUEUE
        for wanted in found["TriggerAuthentication"]["spec"].get("secretTargetRef", []):
            assert wanted["name"] == secret["metadata"]["name"] and wanted["key"] in keys
    (worker,) = [item.values[0] for item in pods() if "worker" in item.id]
    variables = worker["spec"]["template"]["spec"]["containers"][0]["env"]
    (broker,) = [one for one in variables if one["name"] == "INSAAT_BROKER"]
    reference = broker["valueFrom"]["secretKeyRef"]
    assert reference["name"] == secret["metadata"]["name"] and reference["key"] in keys
    assert reference["optional"] is True
