"""What the server imports: the libraries that the project's commands use, and that take long to import.

No module of this project is among them, and importing them runs no TensorFlow operation and starts no thread, as neither would
survive a fork. What is missing here is imported by each child: that costs time and nothing else.
"""

import gc
import importlib
import os
import sys
import threading

MODULES = (
    "numpy", "scipy.sparse", "PIL.Image", "tensorflow", "keras", "tensorflow_datasets", "tensorflow_data_validation",
    "apache_beam.runners.portability.fn_api_runner", "tensorflow_model_analysis", "tfx.v1",
    "tfx.orchestration.local.local_dag_runner", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
    "tfx.extensions.google_cloud_ai_platform.trainer.executor", "kfp", "google.cloud.aiplatform_v1", "google.cloud.storage",
    "mlflow.store.model_registry.sqlalchemy_store", "sklearn.linear_model", "matplotlib.figure", "matplotlib.backends.backend_agg",
    "jinja2", "rich.progress", "argcomplete",
)  # fmt: skip
# Set before the imports, and gone from what a child gets unless its caller has them.
WHILE_IMPORTING = {
    # Arrow's allocator and NumPy's library would start threads.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
}


def import_all(modules: tuple[str, ...] = MODULES) -> None:
    """Imports `modules`, and sets what they made aside, so that no child's garbage collection looks at it again.

    Raises:
      RuntimeError: this process is no longer one that can be forked at any moment.
    """
    os.environ.update(WHILE_IMPORTING)
    for name in modules:
        importlib.import_module(name)
    threads = os.listdir("/proc/self/task")
    if len(threads) > 1:
        raise RuntimeError(f"importing started threads, which a fork would lose: {threading.enumerate()}, in all {len(threads)}")
    if "tensorflow" in sys.modules:
        from tensorflow.python.eager import context

        if context._context is not None:  # noqa: SLF001
            raise RuntimeError("importing used TensorFlow, which does not work in a child afterwards")
    gc.collect()
    gc.freeze()
