"""The files that make a version a model of MLflow: `MLmodel` and what it names, beside backbone/ and probe/.

Three flavours read the same version: `python_function` (images to class, probability and embedding, by `mlflow_loader`),
`tensorflow` (the SavedModel with its signatures) and `keras` (the network alone). Neither weights nor pictures are copied for them.
"""

import base64
import hashlib
import importlib.metadata
import io
import json
import pathlib
import platform
import zipfile
from collections.abc import Mapping

from contracts import model_files
from registry.files import BACKBONE, MLFLOW_CODE, MLFLOW_ENVIRONMENT, MLFLOW_EXAMPLE, MLFLOW_FILES
from registry.mlflow_backend import prepare_import

MLMODEL, REQUIREMENTS = MLFLOW_FILES[:2]

# What the model is used with: the releases are those that made and proved it.
PACKAGES = ("mlflow", "tensorflow", "keras", "numpy", "pandas")
# zipfile's earliest: the same files give the same archive.
DATE = (1980, 1, 1, 0, 0, 0)


def model_documents(backbone: Mapping, backbone_hash: str, probe_hash: str) -> dict[str, bytes]:
    """The files by MLFLOW_FILES; the same arguments give the same bytes, in the same environment.

    Args:
      backbone: contracts.model_files.BACKBONE_RECORD.
      backbone_hash, probe_hash: content hashes of both directories.
    """
    module, code = _code()
    requirements = "".join(f"{package}=={importlib.metadata.version(package)}\n" for package in PACKAGES)
    environment = f"python: {platform.python_version()}\nbuild_dependencies:\n- pip\ndependencies:\n- -r {REQUIREMENTS}\n"
    described = {"backbone_content_hash": backbone_hash, "probe_content_hash": probe_hash,
                 "embedding_size": backbone["embedding_size"], "photograph_side": backbone["photograph_side"]}  # fmt: skip
    return {
        MLFLOW_CODE: code,
        REQUIREMENTS: requirements.encode(),
        MLFLOW_ENVIRONMENT: environment.encode(),
        MLFLOW_EXAMPLE: json.dumps(_input_example()).encode(),
        MLMODEL: _mlmodel(module, described).encode(),
    }


def _mlmodel(module: str, described: dict) -> str:
    prepare_import()
    import yaml
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    takes = Schema([ColSpec(DataType.binary, model_files.IMAGE_BYTES)])
    gives = Schema([ColSpec(DataType.string, "label"), ColSpec(DataType.double, "probability"),
                    ColSpec(DataType.boolean, "unsure"), ColSpec(Array(DataType.float), model_files.EMBEDDING)])  # fmt: skip
    example = {"artifact_path": MLFLOW_EXAMPLE, "type": "dataframe", "pandas_orient": "split"}
    model = Model(signature=ModelSignature(takes, gives), saved_input_example_info=example, metadata=described,
                  model_uuid=described["backbone_content_hash"][:32])  # fmt: skip
    version = platform.python_version()
    model.add_flavor(
        "python_function", loader_module=module, code=MLFLOW_CODE, env={"virtualenv": MLFLOW_ENVIRONMENT}, python_version=version
    )
    saved_model = {"model_type": "tf2-module", "saved_model_dir": BACKBONE}
    model.add_flavor("tensorflow", **saved_model)
    # mlflow.tensorflow reads its values here where there is this flavour; mlflow.keras the others, and adds `.keras` to the name.
    network = f"{BACKBONE}/{model_files.BACKBONE_KERAS.removesuffix('.keras')}"
    model.add_flavor("keras", data=network, save_exported_model=False, **saved_model)
    values = model.to_dict()
    del values["utc_time_created"]  # the registry knows; the file stays the same
    return yaml.safe_dump(values, default_flow_style=False, allow_unicode=True)


def _code() -> tuple[str, bytes]:
    """The loader's module, named after its content, as one process can load versions of several releases; and the archive with it.

    A plain file would get a compiled copy beside it when it is imported, in a folder in which only registered files may be.
    """
    from registry import mlflow_loader  # imports TensorFlow

    source = pathlib.Path(mlflow_loader.__file__).read_bytes()
    module = f"flowers_model_{hashlib.sha256(source).hexdigest()[:12]}"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{module}.py", DATE), source)
    return module, packed.getvalue()


def _input_example() -> dict:
    """One picture, as MLflow keeps a table whose signature has a column of bytes: in base64."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.radial_gradient("L").resize((64, 64)).convert("RGB").save(encoded, "PNG")
    return {"columns": [model_files.IMAGE_BYTES], "data": [[base64.b64encode(encoded.getvalue()).decode()]]}
