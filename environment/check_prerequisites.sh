#!/bin/sh
# Checks for everything that set-up needs from the system, before anything is downloaded.
#
# usage: check_prerequisites.sh [PYTHON]
# Prints the path of the interpreter to use: PYTHON, or the first suitable one of those below. If anything is missing, lists
# all of it on standard error, with the command that installs it on Debian and Ubuntu, and exits with 1.
set -u

[ $# -gt 0 ] || set -- python3.13 python3.12 python3.11 python3
needed_gigabytes=6
missing=''
packages=''

lacks() { # SENTENCE [DEBIAN PACKAGE]...
    missing="$missing
  - $1"
    shift
    for package; do packages="$packages${packages:+ }$package"; done
}

# Prints "suitable PATH", "lacking VERSION PARTS" (missing parts of the interpreter) or "version VERSION" (an unsuitable one).
# The path is that of the base interpreter, because .venv must not be made from itself or from another environment.
probe='
import os, sys, sysconfig
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.stdout.write("version %d.%d" % sys.version_info[:2])
    sys.exit()
from importlib.util import find_spec
path = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
lacking = []
if not (find_spec("venv") and find_spec("ensurepip")):
    lacking.append("venv")
if not os.path.isfile(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
    lacking.append("dev")
version = "%d.%d" % sys.version_info[:2]
sys.stdout.write("lacking " + " ".join([version] + lacking) if lacking else "suitable " + path)
'

interpreter='' # the first suitable one
nearly=''      # else the first of a suitable version without venv or headers
found=''       # else the unsuitable ones
for candidate in "$@"; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    answer=$("$candidate" -c "$probe" 2>/dev/null) || continue
    case $answer in
    'suitable '*)
        interpreter=${answer#suitable }
        break
        ;;
    'lacking '*) [ -n "$nearly" ] || { nearly=$candidate && answer_nearly=${answer#lacking }; } ;;
    'version '*) found="$found${found:+, }$candidate is Python ${answer#version }" ;;
    esac
done

if [ -z "$interpreter" ] && [ -n "$nearly" ]; then
    for part in ${answer_nearly#* }; do
        case $part in
        venv) lacks "the modules venv and ensurepip of $nearly" "python${answer_nearly%% *}-venv" ;;
        dev) lacks "the header Python.h of $nearly (packages are built from source)" "python${answer_nearly%% *}-dev" ;;
        esac
    done
elif [ -z "$interpreter" ]; then
    python=python3
    # Ubuntu 22.04's python3 is 3.10, too old; it has a python3.11 beside it.
    grep -qs '^VERSION_ID="22.04"' /etc/os-release && python=python3.11
    lacks "Python 3.11, 3.12 or 3.13 (looked for $*${found:+; $found})" $python $python-venv $python-dev
fi

command -v g++ >/dev/null 2>&1 || lacks 'the C++ compiler g++ (packages are built from source)' g++

system="$(uname -s) $(uname -m)"
[ "$system" = 'Linux x86_64' ] || lacks "Linux on x86_64, for which TFX publishes its libraries (this is $system)"
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc='another C library'
case $libc in
'glibc 2.'*) [ "${libc#glibc 2.}" -ge 34 ] || lacks "glibc 2.34 or newer (this is $libc)" ;;
*) lacks "glibc 2.34 or newer (this is $libc)" ;;
esac

# The packages take 3 GB in .venv and as much in uv's cache, unless both are on one file system and share the files.
cache=${UV_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/uv}
for place in "$PWD" "$cache"; do
    while [ ! -d "$place" ]; do place=$(dirname "$place"); done
    free=$(df -Pk "$place" | awk 'NR == 2 { printf "%d", $4 / 1024 / 1024 }')
    [ "$free" -ge "$needed_gigabytes" ] || lacks "$needed_gigabytes GB of free disk at $place (free: $free GB)"
done

if [ -n "$missing" ]; then
    echo "Set-up needs, but did not find:$missing" >&2
    [ -z "$packages" ] || echo "On Debian or Ubuntu, as root: apt-get install $packages" >&2
    echo 'Nothing was downloaded or changed.' >&2
    exit 1
fi
echo "$interpreter"
