#!/usr/bin/env sh
# Installs a Chromium for the tests of a run's page.
#
# It is the distribution's own, because the system does not update a browser that a Python package downloads. If it cannot be
# installed, the reason is printed and nothing fails: these tests are skipped then, with the reason.

set -eu

for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then
    exit 0
  fi
done

if ! command -v apt-get >/dev/null 2>&1; then
  why='this system has no apt-get'
elif [ "$(id -u)" != 0 ]; then
  why='only root may install packages'
elif apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null 2>&1; then
  echo 'Installed chromium, in which the page of a run is tested.'
  exit 0
else
  why='apt-get install chromium failed'
fi
echo "No Chromium ($why): the tests of a run's page in a browser will be skipped. Install chromium and run again." >&2
