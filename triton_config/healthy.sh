#!/bin/bash
# Whether the tritonserver of this container is live: `healthy.sh [PORT]`. By bash alone, so that nothing need be in
# the image. Not whether it is ready for a model: the keeper and /health/ready look after those.
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${1:-8000}"
printf 'GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
