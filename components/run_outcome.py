"""The TFX component RunOutcome: the exit handler of a pipeline job, which Vertex AI runs last, however the other tasks ended."""

import datetime
import logging
import posixpath

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.component.experimental.annotations import Parameter
from tfx.dsl.component.experimental.decorators import component

from contracts import files

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1


@component
def RunOutcome(final_status: Parameter[str], outcomes_dir: Parameter[str]):
    """Logs how the job ended and writes it to `outcomes_dir`/JOB.json.

    The file: {"schema_version", "job" (resource name), "state" (SUCCEEDED, FAILED, CANCELLED), "error" (null, or
    {"code", "message"} as of google.rpc.Status), "ended_at" (ISO 8601, UTC)}.

    Args:
      final_status: PipelineTaskFinalStatus as JSON, which Vertex AI substitutes for TFX's FinalStatusStr.
      outcomes_dir: local or remote folder.
    """
    status = json_format.Parse(final_status, pipeline_spec_pb2.PipelineTaskFinalStatus(), ignore_unknown_fields=True)
    failed = status.error.code or status.error.message
    outcome = {
        "schema_version": SCHEMA_VERSION,
        "job": status.pipeline_job_resource_name,
        "state": status.state,
        "error": {"code": status.error.code, "message": status.error.message} if failed else None,
        "ended_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    log = logger.error if status.state == "FAILED" else logger.info
    log("The run %s ended: %s%s", outcome["job"], status.state, f" ({status.error.message})" if failed else "")
    files.write_json(posixpath.join(outcomes_dir, f"{posixpath.basename(outcome['job'])}.json"), outcome)
