#!/bin/sh
# Builds the container image from the variables that `make image` sets.
#
#   ACCELERATOR  cpu, or gpu for TensorFlow with its CUDA libraries
#   IMAGE        name of the image, with tag
#   BASE         another base image than the Dockerfile names, or nothing
#   BUILDER      docker, podman or buildah; with nothing, the first of them that works
#   IMAGE_FLAGS  more arguments for it, separated by spaces
set -eu
cd "$(dirname "$0")/.."

case $ACCELERATOR in
cpu | gpu) ;;
*)
    echo "make image: ACCELERATOR must be cpu or gpu, got '$ACCELERATOR'." >&2
    exit 2
    ;;
esac

builder=''
problems=''
for candidate in ${BUILDER:-docker podman buildah}; do
    case $candidate in
    docker | podman | buildah) ;;
    *)
        echo "make image: BUILDER must be docker, podman or buildah, got '$candidate'." >&2
        exit 2
        ;;
    esac
    if ! command -v "$candidate" >/dev/null 2>&1; then
        problem='is not installed'
    elif answer=$("$candidate" info 2>&1); then
        builder=$candidate
        break
    else # such as docker's client without its server
        problem="does not work: $(printf '%s\n' "$answer" | tail -n 1)"
    fi
    problems="$problems
  - $candidate $problem"
done
if [ -z "$builder" ]; then
    echo "make image: found nothing to build an image with:$problems" >&2
    echo 'On Debian or Ubuntu, as root: apt-get install buildah' >&2
    exit 1
fi

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' pipeline/__init__.py)
if commit=$(git rev-parse HEAD 2>/dev/null); then
    [ -z "$(git status --porcelain)" ] || commit="$commit-changed"
else
    commit=unknown
fi

set -- --tag "$IMAGE" --build-arg "ACCELERATOR=$ACCELERATOR" --build-arg "VERSION=$version" --build-arg "COMMIT=$commit"
[ -z "$BASE" ] || set -- "$@" --build-arg "BASE=$BASE"
case $builder in
buildah) set -- bud --layers "$@" ;; # the others keep layers for the next build by default
*) set -- build "$@" ;;
esac
echo "Building $IMAGE for $ACCELERATOR with $builder: version $version, commit $commit ..."
# shellcheck disable=SC2086
"$builder" "$@" $IMAGE_FLAGS .
"$builder" images "$IMAGE"
