#!/usr/bin/env sh
# Runs the tests with certain marks: sh environment/run_tests.sh WORKERS 'not slow' ARGUMENTS_OF_PYTEST…
#
# Each worker runs whole files, so that the fixtures of a file are made once.

set -u

workers=$1 marks=$2
shift 2
.venv/bin/python -m pytest --numprocesses "$workers" --dist loadfile -m "$marks" "$@"
status=$?

# 5: no test was selected. This is no failure if the arguments name tests and all of them have other marks.
if [ "$status" = 5 ] && .venv/bin/python -m pytest --collect-only --quiet "$@" >/dev/null 2>&1; then
  echo "Nothing to run: none of these tests is marked '$marks'."
  exit 0
fi
exit "$status"
