# What kafka-up, kafka-up3 and kafka-down share; sourced by them.
#
# A real Apache Kafka for tests, from Maven artifacts: no Docker, no download
# page. Everything listens on 127.0.0.1, on ports that are free at the start.
#
# KAFKA_STATE  directory of one broker or cluster (default .cache/kafka in the
#              checkout): data, logs, certificates, pids, endpoints.env
# KAFKA_LIB    directory of the jars, shared by all (default .cache/kafka-lib)
# KAFKA_WAIT   seconds to wait for a broker (default 120)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
state=${KAFKA_STATE:-$checkout/.cache/kafka}
lib=${KAFKA_LIB:-$checkout/.cache/kafka-lib}
certs=$state/certs
mkdir -p "$state" "$(dirname "$lib")"
state=$(cd "$state" && pwd)

# One script at a time. The brokers do not inherit the lock.
exec 9>"$state/lock"
flock 9

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

# live NODE: the pid of the broker that was started here as NODE, or nothing.
# The command line is compared, since a pid may have been given to another.
live() {
  local pid
  pid=$(cat "$state/$1.pid" 2>/dev/null) || return 0
  if ps -o args= -p "$pid" 2>/dev/null | grep -qF "$state/$1.properties"; then echo "$pid"; fi
}

# any_live: true while a broker of this state directory runs.
any_live() {
  local file
  for file in "$state"/*.pid; do
    if [ -e "$file" ] && [ -n "$(live "$(basename "$file" .pid)")" ]; then return 0; fi
  done
  return 1
}

# fetch_jars: by mvn, once per version of pom.xml. A new directory each time,
# because a running JVM opens its jars late.
fetch_jars() {
  classpath=$lib-$(cksum <"$here/pom.xml" | cut -d' ' -f1)
  if [ ! -d "$classpath" ]; then
    local new=$classpath.$$
    mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$new" \
      >"$state/mvn.log" 2>&1 || { tail -20 "$state/mvn.log" >&2; rm -rf "$new"; fail "mvn could not fetch Kafka"; }
    mv -T "$new" "$classpath"
  fi
  classpath=$classpath/*
}

# choose_ports N: N different free ports, below those that the kernel hands out
# on its own, into the array ports. Running brokers keep theirs.
choose_ports() {
  if any_live; then read -ra ports <"$state/ports"; return; fi
  ports=()
  local port
  while [ ${#ports[@]} -lt "$1" ]; do
    port=$((20000 + RANDOM % 12000))
    case " ${ports[*]} " in *" $port "*) continue ;; esac
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then ports+=("$port"); fi
  done
  echo "${ports[*]}" >"$state/ports"
}

# wipe: old data goes, unless brokers of this state run or --keep was given.
wipe() {
  if any_live || [ "${1:-}" = --keep ]; then return; fi
  rm -rf "$state"/data-* "$state"/*.log "$state"/*.out
}

# common_properties REPLICAS MIN_ISR: what one broker and three have in common.
# Small internal topics and no delay before the first rebalance: quicker tests.
common_properties() {
  cat <<EOF
num.partitions=3
auto.create.topics.enable=true
default.replication.factor=$1
min.insync.replicas=$2
offsets.topic.replication.factor=$1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$1
transaction.state.log.min.isr=$2
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=$1
share.coordinator.state.topic.min.isr=$2
share.coordinator.state.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
EOF
}

# format NODE [argument...]: prepares the node's storage, once.
format() {
  local node=$1
  shift
  if [ -e "$state/data-$node/meta.properties" ]; then return; fi
  java -Xmx256m -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$here/log4j2.properties" -Dkafka.log="$state/format.log" \
    -cp "$classpath" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$state/$node.properties" "$@" \
    >"$state/$node.format.out" 2>&1 || { cat "$state/$node.format.out" >&2; fail "cannot format the storage of $node"; }
}

# launch NODE HEAP: starts the broker in a session of its own, so that it
# outlives this script and no Ctrl-C meant for another reaches it.
launch() {
  rm -f "$state/$1.log"
  setsid nohup java -Xms"$2" -Xmx"$2" -XX:+UseG1GC -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$here/log4j2.properties" -Dkafka.log="$state/$1.log" \
    -cp "$classpath" kafka.Kafka "$state/$1.properties" </dev/null >"$state/$1.out" 2>&1 9>&- &
  echo $! >"$state/$1.pid"
}

# await NODE: until the broker takes part in the cluster and serves.
await() {
  local deadline=$((SECONDS + ${KAFKA_WAIT:-120}))
  sleep 0.2 # until setsid has become java
  until grep -qs 'Kafka Server started' "$state/$1.log"; do
    if [ -z "$(live "$1")" ]; then
      tail -n 15 "$state/$1.out" "$state/$1.log" >&2 || true
      fail "the broker $1 ended"
    fi
    if [ $SECONDS -gt $deadline ]; then
      tail -n 15 "$state/$1.log" >&2 || true
      fail "the broker $1 did not start in time"
    fi
    sleep 0.1
  done
}

# halt NODE: TERM, after 30 s KILL, and only if the broker is ours.
halt() {
  local pid try
  pid=$(live "$1")
  if [ -n "$pid" ]; then
    kill -TERM "$pid"
    for try in $(seq 300); do
      [ -n "$(live "$1")" ] || break
      if [ "$try" = 300 ]; then kill -KILL "$pid"; fi
      sleep 0.1
    done
    echo "stopped $1 (pid $pid)"
  fi
  rm -f "$state/$1.pid"
}
