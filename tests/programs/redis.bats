#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034,SC2154 # common.bash and the harness read and set them
#
# redis: pipelines, pub/sub, MONITOR, replication. Server and clients are event loops.

load common

services() {
	service store 10.96.0.10 6379 "$(ip4 a)" 6379
	service replica 10.96.0.11 6379 "$(ip4 b)" 6379
}

redis() { # POD [OPTIONS]: sets PID
	mkdir -p "$DIR/$1"
	pod_start "$1" redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' \
		--dir "$DIR/$1" --enable-debug-command yes --repl-diskless-sync-delay 0 "${@:2}"
	listens "$1" 6379
}

calls() {
	redis a
	step "redis-benchmark, pipelines of 16" client redis-benchmark -h 10.96.0.10 -q \
		-n 100000 -r 1000 -P 16 -t set,get,lpush,lrange_100 >"$DIR/benchmark"
	step "redis-benchmark, one at a time" client redis-benchmark -h 10.96.0.10 -q \
		-n 20000 -c 10 -d 1000 -t ping,set,get >>"$DIR/benchmark"
	step "pipelines, every answer checked" client python3 "$PROGRAMS/redis_client.py" \
		10.96.0.10 6379 pipelines
	step "redis-cli" client redis-cli -h 10.96.0.10 dbsize
}

news() {
	redis a
	step "pub/sub" client python3 "$PROGRAMS/redis_client.py" 10.96.0.10 6379 pubsub
	step "MONITOR" client python3 "$PROGRAMS/redis_client.py" 10.96.0.10 6379 monitor
}

# The replica reaches its master by the service, too.
replication() {
	local replica begin

	redis a
	redis b --replicaof 10.96.0.10 6379
	replica=$PID
	step "fill while the replica follows" client python3 "$PROGRAMS/redis_client.py" \
		10.96.0.10 6379 fill
	in_step
	finish "$replica" >/dev/null
	step "go on while it is away" client redis-benchmark -h 10.96.0.10 -q -n 20000 \
		-r 5000 -t set >"$DIR/benchmark"
	begin=${EPOCHREALTIME/./}
	redis b --replicaof 10.96.0.10 6379
	in_step
	took "the replica comes back" "$begin"
	step "read from the replica" client redis-benchmark -h 10.96.0.11 -q -n 20000 -t get \
		>>"$DIR/benchmark"
	# random keys differ from run to run: that both have the same is in_step's affair
	step "count" client redis-cli -h 10.96.0.11 exists fill:0 fill:19999
}

in_step() {
	wait_until 60 same_digest || fail "$MODE: the replica is not like its master"
}

same_digest() {
	local master replica

	master=$(in_ns a redis-cli debug digest) && replica=$(in_ns b redis-cli debug digest) &&
		[[ $master == "$replica" && $master != 0000* ]]
}

@test "redis: pipelines and one at a time" {
	ns_bridge client a b
	SPLICED=(store)
	play calls off auto on
}

@test "redis: pub/sub and MONITOR" {
	ns_bridge client a b
	SPLICED=(store)
	play news off auto on
}

@test "redis: replication, with a restart of the replica" {
	ns_bridge client a b
	SPLICED=(store replica)
	play replication off auto on
}
