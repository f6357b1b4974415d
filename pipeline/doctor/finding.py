"""One line of `flowers doctor`."""

import dataclasses

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found of one subject.

    Attributes:
      level: OK; WARN: a run works, but not as well as it could, or it could not be told; FAIL: a run would not work.
      subject: a few words.
      says: what was found.
      mend: what to do; "" where nothing is wrong.
    """

    level: str
    subject: str
    says: str
    mend: str = ""


def judge(good: bool, subject: str, says: str, mend: str, otherwise: str = FAIL) -> Finding:
    """OK where `good` holds, else `otherwise` with the mend."""
    return Finding(OK, subject, says) if good else Finding(otherwise, subject, says, mend)
