#!/bin/sh
# Makes or renews .venv; $PYTHON may name the interpreter.
# Returns at once if .venv was made from the current pins and interpreter.
set -eu
cd "$(dirname "$0")/.."
wish=${PYTHON:-}

if [ -x .venv/bin/python ]; then
    if .venv/bin/python -m environment.set_up --is-current ${wish:+"$wish"}; then
        exit 0
    fi
    # Keep the interpreter that .venv was made with, unless another one is given or it is gone.
    [ -n "$wish" ] || wish=$(.venv/bin/python -c 'import sys; print(sys._base_executable)') || wish=
fi

interpreter=$(sh environment/check_prerequisites.sh ${wish:+"$wish"})
exec "$interpreter" -m environment.set_up
