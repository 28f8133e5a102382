#!/bin/bash
# Sees to it that the browser tests have a Chromium: one on PATH, else Debian's package, for which one must be root.
set -euo pipefail

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && grep -qx 'ID=debian' /etc/os-release; then
    echo "  installing Chromium for the browser tests"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq --yes --no-install-recommends chromium fonts-dejavu-core >/dev/null
    exit 0
fi
echo "error: the browser tests need a Chromium on PATH; install one (on Debian, as root: apt-get install chromium)" >&2
exit 1
