"""`python held_run.py NODE FILE ARGUMENTS` is `flowers ARGUMENTS`, but that it halts in the midst of NODE: it makes FILE and waits.

So a signal that is sent when there is a FILE comes while NODE works, on a machine of any speed.
"""

import importlib
import pathlib
import sys
import time

from tfx.orchestration.portable.launcher import Launcher

from cli.main import main

BEAM = "apache_beam.runners.portability.fn_api_runner.fn_runner:FnApiRunner.run_stages"
# Something that each node calls when its work has begun and is not yet done. Not in the module that has a trainer's run_fn, which
# TFX imports anew.
WHERE = {
    "ExampleGen": BEAM,
    "StatisticsGen": BEAM,
    "LinearEval": "trainer.evaluation:evaluate",
    "Evaluator": BEAM,
    "Pusher": "registry.mlflow_backend:MlflowBackend.create_version",
}


def halt_in(node: str, file: pathlib.Path) -> None:
    """Exchanges the function at which `node` is to halt."""
    module, _, name = WHERE[node].partition(":")
    owner = importlib.import_module(module)
    *inner, name = name.split(".")
    for one in inner:
        owner = getattr(owner, one)
    works, launches = getattr(owner, name), Launcher.launch
    now = []

    def launch(self):
        now[:] = [self._pipeline_node.node_info.id]
        return launches(self)

    def halts(*arguments, **options):
        if now == [node]:
            file.touch()
            time.sleep(600)
        return works(*arguments, **options)

    Launcher.launch = launch
    setattr(owner, name, halts)


if __name__ == "__main__":
    halt_in(sys.argv[1], pathlib.Path(sys.argv[2]))
    sys.argv = ["flowers", *sys.argv[3:]]
    raise SystemExit(main())
