"""The Kubernetes manifests, against the API's own schemas and against what they promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CUSTOM = {"ScaledObject"}


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
        assert document["spec"]["scaleTargetRef"]["name"] == "insaat-worker"
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


def test_the_grace_period_covers_draining_and_giving_back() -> None:
    (worker,) = [item.values[0] for item in pods() if "worker" in item.id]
    pod = worker["spec"]["template"]["spec"]
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
    drain_s = int(command.split()[-1])
    assert pod["terminationGracePeriodSeconds"] >= drain_s + 20


@pytest.mark.parametrize("name", ["worker.json", "submitter.json"])
def test_policies_stay_in_the_prefix(name: str) -> None:
    policy = json.loads((DEPLOY / "policies" / name).read_text())
    for statement in policy["Statement"]:
        assert "*" not in statement["Action"]
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            assert resource == "arn:aws:s3:::BUCKET" or resource.startswith(
                "arn:aws:s3:::BUCKET/PREFIX/"
            )
