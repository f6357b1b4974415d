"""Run by test_workers: one of several workers. Calls Pretrain's run_fn as TFX does.

The arguments are in the JSON file that is its own argument. Exit status 7, with the message, where another worker was lost.
"""

import json
import sys
import types

from trainer import pretrain
from trainer.replicas import WorkerLost

if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        arguments = types.SimpleNamespace(**json.load(file))
    try:
        pretrain.run_fn(arguments)
    except WorkerLost as error:
        print(f"WorkerLost: {error}", file=sys.stderr)
        sys.exit(7)
