"""google.cloud.aiplatform.v1.ScheduleService."""

import itertools
import re

import grpc
from google.cloud.aiplatform_v1.types import Schedule, schedule_service
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from google_server.operations import Operations
from google_server.pipelines import require_valid
from google_server.service import Service, existing, require, with_project_number

# What an update may change; the rest is the server's own, or fixed at creation.
CHANGEABLE = {
    "display_name", "cron", "start_time", "end_time", "max_run_count", "max_concurrent_run_count", "allow_queueing",
    "max_concurrent_active_run_count", "create_pipeline_job_request",
}  # fmt: skip


class ScheduleService(Service):
    """Schedules by name. None ever starts a run.

    Attributes:
      schedules: by resource name.
    """

    NAME = "google.cloud.aiplatform.v1.ScheduleService"

    def __init__(self, operations: Operations):
        self.schedules: dict[str, Schedule] = {}
        self._operations = operations
        # Ids of nineteen digits, as Google's are.
        self._numbers = itertools.count(1_000_000_000_000_000_001)

    def CreateSchedule(self, request: schedule_service.CreateScheduleRequest) -> Schedule:
        schedule = Schedule(request.schedule)
        _require_valid(schedule)
        schedule.name = f"{with_project_number(request.parent)}/schedules/{next(self._numbers)}"
        schedule.state = Schedule.State.ACTIVE
        schedule.catch_up = False
        self.schedules[schedule.name] = schedule
        return schedule

    def GetSchedule(self, request: schedule_service.GetScheduleRequest) -> Schedule:
        return existing(self.schedules, request.name)

    def ListSchedules(self, request: schedule_service.ListSchedulesRequest) -> schedule_service.ListSchedulesResponse:
        """Two a page at most, so that whoever reads the first page only is found out."""
        parent = with_project_number(request.parent)
        named = re.fullmatch(r'display_name="([^"]*)"', request.filter)
        require(named or not request.filter, f"Invalid filter {request.filter!r}")
        found = [one for name, one in sorted(self.schedules.items())
                 if name.startswith(f"{parent}/") and (not named or one.display_name == named[1])]  # fmt: skip
        start = int(request.page_token or 0)
        more = str(start + 2) if len(found) > start + 2 else ""
        return schedule_service.ListSchedulesResponse(schedules=found[start : start + 2], next_page_token=more)

    def UpdateSchedule(self, request: schedule_service.UpdateScheduleRequest) -> Schedule:
        schedule = existing(self.schedules, request.schedule.name)
        paths = list(request.update_mask.paths)
        require(paths and set(paths) <= CHANGEABLE, f"Invalid update_mask: {', '.join(paths)}")
        changed = Schedule(schedule)
        for path in paths:
            setattr(changed, path, getattr(request.schedule, path))
        _require_valid(changed)
        self.schedules[schedule.name] = changed
        return changed

    def PauseSchedule(self, request: schedule_service.PauseScheduleRequest) -> empty_pb2.Empty:
        self._change_state(request.name, Schedule.State.ACTIVE, Schedule.State.PAUSED)
        return empty_pb2.Empty()

    def ResumeSchedule(self, request: schedule_service.ResumeScheduleRequest) -> empty_pb2.Empty:
        self._change_state(request.name, Schedule.State.PAUSED, Schedule.State.ACTIVE)
        return empty_pb2.Empty()

    def DeleteSchedule(self, request: schedule_service.DeleteScheduleRequest) -> operations_pb2.Operation:
        schedule = existing(self.schedules, request.name)
        del self.schedules[schedule.name]
        return self._operations.begin(schedule.name.partition("/schedules/")[0], empty_pb2.Empty())

    def _change_state(self, name: str, before: Schedule.State, after: Schedule.State) -> None:
        schedule = existing(self.schedules, name)
        require(schedule.state == before, f"The schedule is {schedule.state.name}.", grpc.StatusCode.FAILED_PRECONDITION)
        schedule.state = after


def _require_valid(schedule: Schedule) -> None:
    """What the API reference requires of a schedule."""
    require(0 < len(schedule.display_name) <= 128, "display_name is required and has at most 128 characters.")
    require(re.fullmatch(r"((CRON_)?TZ=\S+ )?\S+( \S+){4}", schedule.cron), f"Invalid cron {schedule.cron!r}")
    require(schedule.max_concurrent_run_count >= 1, "max_concurrent_run_count is required.")
    request = schedule.create_pipeline_job_request
    with_project_number(request.parent)
    require(not request.pipeline_job_id, "pipeline_job_id must not be set in a schedule.")
    require_valid(request.pipeline_job)
