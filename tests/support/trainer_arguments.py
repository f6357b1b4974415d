"""What TFX hands over to the trainers' entry points (its FnArgs), as far as they read it."""

import dataclasses
import json
import types
from collections.abc import Sequence

from pipeline_config import Embedding, LinearEval, Pretrain

CODE_VERSION = json.dumps({"trainer/pretrain.py": "0123456789ab"})


def of_pretrain(
    folder: object, train_files: Sequence[str], settings: Pretrain, embedding: Embedding, base_model: str | None = None, **config: str
) -> types.SimpleNamespace:
    """Of `trainer.pretrain.run_fn`, which then writes `backbone`, `run` and `checkpoints` below `folder`.

    Args:
      config: entries of custom_config besides these, or in their place.
    """
    return types.SimpleNamespace(
        train_files=list(train_files),
        base_model=base_model,
        serving_model_dir=f"{folder}/backbone",
        model_run_dir=f"{folder}/run",
        custom_config={
            "pretrain": json.dumps(dataclasses.asdict(settings)),
            "embedding": json.dumps(dataclasses.asdict(embedding)),
            "checkpoint_dir": f"{folder}/checkpoints",
            "code_version": CODE_VERSION,
        }
        | config,
    )


def of_linear_eval(
    folder: object, train_files: Sequence[str], eval_files: Sequence[str], backbone: str, settings: LinearEval,
    looked_up: dict | None = None, **config: str,
) -> types.SimpleNamespace:  # fmt: skip
    """Of `trainer.linear_eval.run_fn`, which then writes `probe` and `run` below `folder`.

    Args:
      backbone: directory of the exported backbone.
      looked_up: versions of the registry that a run looked up.
      config: entries of custom_config besides these, or in their place.
    """
    return types.SimpleNamespace(
        train_files=list(train_files),
        eval_files=list(eval_files),
        base_model=backbone,
        serving_model_dir=f"{folder}/probe",
        model_run_dir=f"{folder}/run",
        hyperparameters=looked_up,
        custom_config={"linear_eval": json.dumps(dataclasses.asdict(settings)), "code_version": CODE_VERSION} | config,
    )
