"""Runs a component's executor in this process by the command that its container on Vertex AI would run."""

import json

from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor


def run(executor, folder, parameters, outputs=()):
    """Runs `executor` (MODULE.CLASS); what it wrote as ExecutorOutput.

    Args:
      folder: a pathlib.Path for the task's files; made if it is not there.
      parameters: values by name.
      outputs: the outputs by name, each with the title of its artifact type. A tfx.String is a parameter too.
    """
    folder.mkdir(parents=True, exist_ok=True)  # as a bucket needs nobody to
    given = {
        "inputs": {"parameterValues": parameters},
        "outputs": {
            "outputFile": str(folder / "executor_output.json"),
            "parameters": {name: {"outputFile": str(folder / name)} for name, title in dict(outputs).items() if title == "tfx.String"},
            "artifacts": {name: {"artifacts": [{
                "name": f"projects/12/locations/here/metadataStores/default/artifacts/{number}", "uri": str(folder / name),
                "type": {"instanceSchema": f"title: {title}\ntype: object\n"}}]}
                for number, (name, title) in enumerate(dict(outputs).items())},
        },
    }  # fmt: skip
    types = {name: {"parameterType": "NUMBER_INTEGER" if isinstance(value, int) else "STRING"} for name, value in parameters.items()}
    kubeflow_v2_run_executor.main(kubeflow_v2_run_executor._parse_flags(
        ["run", "--executor_class_path", executor, "--json_serialized_invocation_args", json.dumps(given),
         "--json_serialized_inputs_spec_args", json.dumps({"parameters": types})]))  # fmt: skip
    return json.loads((folder / "executor_output.json").read_text())
