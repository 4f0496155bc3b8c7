"""What a compiled pipeline (KFP's IR) says: where each task's inputs come from, and whether it runs. Pure functions.

Source: pipeline_spec.proto of Kubeflow Pipelines. What is not understood is refused, never passed over.
"""

import graphlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xlnet.errors import UserError

Artifact = dict[str, Any]  # name, type, uri, metadata, as in ExecutorInput
PLACEHOLDER = re.compile(r"\{\{\$\.(?:inputs\.parameters\['([^']+)'\]|(\w+))\}\}")
PARAMETER = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
CONDITION = re.compile(rf"({PARAMETER.pattern}|\w+|'[^']*') (==|!=) ({PARAMETER.pattern}|\w+|'[^']*')")


@dataclass
class Values:
    """Parameters and artifacts by name: what goes into a task, or comes out of one."""

    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, list[Artifact]] = field(default_factory=dict)


def order(tasks: Mapping[str, Any]) -> list[str]:
    """The tasks of a graph, each after those that it depends on."""
    needs = {name: sorted(task_needs(task)) for name, task in tasks.items()}
    return list(graphlib.TopologicalSorter(needs).static_order())


def task_needs(task: Mapping[str, Any]) -> set[str]:
    """The tasks of the same graph that a task waits for."""
    given = task.get("inputs", {})
    sources = [*given.get("parameters", {}).values(), *given.get("artifacts", {}).values()]
    kinds = ("taskOutputParameter", "taskOutputArtifact", "taskFinalStatus")
    return {*task.get("dependentTasks", ())} | {
        source[kind]["producerTask"] for source in sources for kind in kinds if kind in source
    }


def inputs(
    task: Mapping[str, Any], *, outer: Values, done: Mapping[str, Values], job: Mapping[str, str], final: Any = None
) -> Values:
    """The inputs of a task, from its graph's own inputs (`outer`) and from the tasks that are done.

    `job` holds what placeholders such as `{{$.pipeline_job_name}}` stand for, `final` the status that an exit
    handler's task is told.
    """
    given = task.get("inputs", {})
    found = Values()
    for name, source in given.get("parameters", {}).items():
        if "componentInputParameter" in source:
            if source["componentInputParameter"] not in outer.parameters:
                continue  # optional, and not given
            value = outer.parameters[source["componentInputParameter"]]
        elif "taskOutputParameter" in source:
            produced = source["taskOutputParameter"]
            value = _output(done, produced["producerTask"], "parameters", produced["outputParameterKey"])
        elif "runtimeValue" in source:
            value = source["runtimeValue"]["constant"]
        elif "taskFinalStatus" in source:
            value = final
        else:
            raise _unknown(f"input {name!r}", source)
        if "parameterExpressionSelector" in source:
            raise _unknown(f"input {name!r}", source)
        found.parameters[name] = value
    for name, value in found.parameters.items():
        found.parameters[name] = filled(value, found.parameters, job)
    for name, source in given.get("artifacts", {}).items():
        if "componentInputArtifact" in source:
            if source["componentInputArtifact"] in outer.artifacts:
                found.artifacts[name] = outer.artifacts[source["componentInputArtifact"]]
        elif "taskOutputArtifact" in source:
            produced = source["taskOutputArtifact"]
            found.artifacts[name] = _output(done, produced["producerTask"], "artifacts", produced["outputArtifactKey"])
        else:
            raise _unknown(f"input {name!r}", source)
    return found


def outputs(dag: Mapping[str, Any], *, done: Mapping[str, Values]) -> Values:
    """The outputs of a graph; one whose task did not run has none."""
    told = dag.get("outputs", {})
    found = Values()
    for name, entry in told.get("artifacts", {}).items():
        for chosen in entry["artifactSelectors"]:
            produced = done.get(chosen["producerSubtask"], Values())
            found.artifacts.setdefault(name, []).extend(produced.artifacts.get(chosen["outputArtifactKey"], []))
    for name, entry in told.get("parameters", {}).items():
        if "valueFromParameter" not in entry:
            raise _unknown(f"output {name!r}", entry)
        chosen = entry["valueFromParameter"]
        produced = done.get(chosen["producerSubtask"], Values())
        if chosen["outputParameterKey"] in produced.parameters:
            found.parameters[name] = produced.parameters[chosen["outputParameterKey"]]
    return found


def with_defaults(component: Mapping[str, Any], given: Values) -> Values:
    """The inputs of a component, with the defaults of those that are not given.

    Raises UserError for one that is missing, and for one that the component does not have.
    """
    definitions = component.get("inputDefinitions", {})
    parameters = dict(given.parameters)
    for name, definition in definitions.get("parameters", {}).items():
        if name in parameters:
            parameters[name] = _whole(parameters[name], definition)
        elif "defaultValue" in definition:
            parameters[name] = _whole(definition["defaultValue"], definition)
        elif not definition.get("isOptional"):
            raise UserError(f"the parameter {name!r} is missing; give it")
    for name, definition in definitions.get("artifacts", {}).items():
        if name not in given.artifacts and not definition.get("isOptional"):
            raise UserError(f"the input {name!r} is missing: the step that makes it did not run")
    return Values(parameters, dict(given.artifacts))


def holds(task: Mapping[str, Any], found: Values) -> bool:
    """Whether a task's condition holds on its inputs; one without a condition always runs."""
    condition = task.get("triggerPolicy", {}).get("condition")
    if condition is None:
        return True
    parsed = CONDITION.fullmatch(condition)
    if parsed is None:
        raise _unknown("condition", condition)
    left, right = (_operand(parsed[number], found.parameters) for number in (1, 4))
    return (left == right) == (parsed[3] == "==")


def _operand(text: str, parameters: Mapping[str, Any]) -> Any:
    named = PARAMETER.fullmatch(text)
    if named is not None:
        return parameters[named[1]]
    return text[1:-1] if text.startswith("'") else json.loads(text)


def filled(value: Any, parameters: Mapping[str, Any], job: Mapping[str, str]) -> Any:
    """A value whose placeholders are replaced, in lists and mappings as well."""
    if isinstance(value, list):
        return [filled(item, parameters, job) for item in value]
    if isinstance(value, dict):
        return {key: filled(item, parameters, job) for key, item in value.items()}
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        parameter, name = match.groups()
        found = parameters.get(parameter) if parameter else job.get(name)
        if found is None:
            raise _unknown("placeholder", match[0])
        return found if isinstance(found, str) else json.dumps(found)

    return PLACEHOLDER.sub(replacement, value)


def _output(done: Mapping[str, Values], task: str, kind: str, key: str) -> Any:
    made = getattr(done[task], kind) if task in done else {}
    if key not in made:
        raise UserError(f"{key!r} of the step {task!r} is needed by another, and the step did not make it")
    return made[key]


def _whole(value: Any, definition: Mapping[str, Any]) -> Any:
    """A value with its whole numbers as such: all numbers of a protocol buffer are floats."""
    return value if definition.get("parameterType") == "NUMBER_DOUBLE" else _integral(value)


def _integral(value: Any) -> Any:
    if isinstance(value, list):
        return [_integral(item) for item in value]
    if isinstance(value, dict):
        return {key: _integral(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _unknown(what: str, found: object) -> UserError:
    return UserError(f"the compiled pipeline holds a {what} that is not understood here: {found}")
