#!/usr/bin/env bash
# follow.sh [PATTERN [FROM]]: prints the records of streams as they come, with
# curl; after a cut it goes on where it was. FROM is latest, earliest, a time...
set -euo pipefail
events="${SLUICE_URL:-http://127.0.0.1:8080}/streams/${1:-readings}/events?from=${2:-latest}"
last= # the id of the last event that was printed; it is the position after it

while true; do
  id='' name='' data=''
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      'id: '*) id=${line#id: } ;;
      'event: '*) name=${line#event: } ;;
      'data: '*) data=${line#data: } ;;
      '') # the end of an event
        if [ -n "$name" ]; then echo "$name $data" >&2; elif [ -n "$data" ]; then printf '%s\n' "$data"; fi
        last=${id:-$last} name='' data='' ;;
      '{'*) printf '%s\n' "$line" >&2 ;; # no events, a problem
      'status: 4'*) exit 1 ;; # it will not do better another time
    esac
    # A gateway that lives sends something every 15 seconds.
  done < <(curl -sSN --speed-limit 1 --speed-time 45 -w '\nstatus: %{http_code}' "$events" ${last:+-H "Last-Event-ID: $last"})
  sleep 2
done
