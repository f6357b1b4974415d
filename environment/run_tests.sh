#!/usr/bin/env sh
# Runs the tests that bear certain marks: sh environment/run_tests.sh WORKERS 'not slow' ARGUMENTS_OF_PYTEST… Called by `make test`
# and `make test-all`.
#
# Each worker takes whole files, so that what a file makes for its tests is made once.

set -u

workers=$1 marks=$2
shift 2
.venv/bin/python -m pytest --numprocesses "$workers" --dist loadfile -m "$marks" "$@"
status=$?

# 5: no test was selected. That is no failure where the arguments name tests and all of them bear other marks.
if [ "$status" = 5 ] && .venv/bin/python -m pytest --collect-only --quiet "$@" >/dev/null 2>&1; then
  echo "Nothing to run: none of these tests is marked '$marks'."
  exit 0
fi
exit "$status"
