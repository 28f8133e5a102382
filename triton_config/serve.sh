#!/bin/bash
# Starts the container's tritonserver with the flags of server.flags, as the local stack starts its own; what
# differs between the two (addresses, folders) comes as arguments. $TAGDESK_SECRETS_DIR holds the admin key.
set -euo pipefail

key=$(<"$TAGDESK_SECRETS_DIR/tagdesk_triton_admin_key")
[ -n "$key" ] || { echo "the admin key of Triton is empty" >&2; exit 1; }

flags=()
while read -r line || [ -n "$line" ]; do
    case $line in '' | '#'*) continue ;; esac
    flags+=("${line//'${ADMIN_KEY}'/"$key"}")
done <"$(dirname "$0")/server.flags"

exec tritonserver "${flags[@]}" "$@"
