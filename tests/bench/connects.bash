#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Part `connects` of scripts/bench: what a short connection costs with everything on, against no
# Sidestep, and what each part of Sidestep costs of that. connections.c has how it is measured.
#
# Each variant is an instance on a cgroup of its own, so that all are measured in turn, in slices
# of some milliseconds, without a change in between. "none again" is "none" once more: what it
# differs is what the measurement cannot tell.
set -euo pipefail
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"

SERVER=10.78.0.2
CLIENT=10.78.0.3
PORT=9000 # of the first variant
SERVICES=100
RULES=1000
IDENTITIES=1000

VARIANTS=(none "none again" hooks service service+edges policy everything everything+on)
SIDES=(none client server both)
LAYOUTS=(loopback veth)
COLUMNS_=("1 at a time" "8 at a time")
PROGRAMS=(sst_connect4 sst_sockops sst_ingress sst_egress sst_socket sst_udp_in sst_udp_out)

# how long a variant is measured a round, in slices of how long
MS=${QUICK:+100}
MS=${MS:-300}
SLICE=20
CALLS=2000 # where the kernel's clock tells

# ---- what each variant has -----------------------------------------------------------------

has() { # VARIANT PART: whether it is on
	case $2 in
	services) [[ $1 == service* || $1 == everything* ]] ;;
	policy) [[ $1 == policy || $1 == everything* ]] ;;
	edges) [[ $1 == *+edges || $1 == everything* ]] ;;
	esac
}

# The file's name of a variant, its cgroup and instance.
name_of() {
	echo "${1//[ +]/-}"
}

port_of() {
	local i

	for i in "${!VARIANTS[@]}"; do
		[[ ${VARIANTS[i]} != "$1" ]] || echo $((PORT + i))
	done
}

# service NAME NET PORT ENDPOINT...: 10.96.NET.1
write_service() {
	local endpoint

	printf '  - { name: %s, address: 10.96.%s.1, port: %s, endpoints: [' "$1" "$2" "$3"
	for endpoint in "${@:4}"; do
		printf ' { address: %s },' "$endpoint"
	done
	echo ' ] }'
}

# The two that are called, one a layout, are the last of all.
write_services() { # VARIANT
	local i port

	has "$1" services || { echo "services: []" && return; }
	port=$(port_of "$1")
	echo "services:"
	for ((i = 1; i <= SERVICES - 2; i++)); do
		write_service "s$i" "$i" 80 "10.100.$i."{1..10}
	done
	write_service loopback 101 "$port" 127.0.0.1
	write_service veth 102 "$port" "$SERVER"
}

# Rules of a hundred apps; each tenth one is of the admin tier, the others each isolate a
# direction. The pair that is measured is subject to two of them, the last ones.
write_policy() { # VARIANT
	awk -v rules="$RULES" -v n="$IDENTITIES" -v group="/$ID/$(name_of "$1")" \
		-v port="$(port_of "$1")" -v server="$SERVER" -v client="$CLIENT" '
		function below(m) { return int(rand() * m) }
		function app() { return "a" below(100) }
		function policy(i, egress) {
			egress = i % 2
			if (i % 10 == 9)
				printf "  - { name: p%d, tier: admin, priority: 9", i
			else
				printf "  - { name: p%d, namespace: n%d", i, below(100)
			printf ", subject: { app: %s }, %s: [ { %s: [ { namespaces: {}, labels: { app: %s } } ], ports: [ %d ] } ] }\n",
				app(), egress ? "egress" : "ingress", egress ? "to" : "from", app(), 1 + below(1000)
		}
		function pair(name, subject, direction, peers, peer) {
			printf "  - { name: %s, namespace: zz, subject: { app: %s }, %s: [ { %s: [ { labels: { app: %s } } ], ports: [ %d ] } ] }\n",
				name, subject, direction, peers, peer, port
		}
		function member(name, role, address) {
			printf "  - { name: %s, namespace: zz, labels: { app: %s }, cgroup: %s/%s, addresses: [ %s ] }\n",
				name, name, group, role, address
		}
		BEGIN {
			srand(1)
			print "workloads:"
			for (i = 0; i < n; i++)
				printf "  - { name: w%d, namespace: n%d, labels: { app: a%d, pod: p%d }, cgroup: /pods/w%d, addresses: [ 10.101.%d.%d ] }\n",
					i, i % 100, i % 100, i, i, i / 256, i % 256
			member("caller", "client", client)
			member("called", "server", server)
			print "policies:"
			for (i = 0; i < rules - 2; i++) policy(i)
			pair("zz-out", "caller", "egress", "to", "called")
			pair("zz-in", "called", "ingress", "from", "caller")
		}'
}

write_file() { # VARIANT
	local splice=off

	[[ $1 != *+on ]] || splice=on
	[[ $1 != *+auto ]] || splice=auto
	if has "$1" edges; then
		echo "node: { splice: $splice }"
	else
		echo "node: { splice: $splice, telemetry: { edges: 0 } }"
	fi
	write_services "$1"
	! has "$1" policy || write_policy "$1"
}

make_variant() { # VARIANT
	local name

	name=$(name_of "$1")
	make_cgroup "$name/client"
	make_cgroup "$name/server"
	[[ $1 != none* ]] || return 0
	write_file "$1" >"$TMP/$name.yaml"
	if [[ $1 == everything* ]]; then
		run_instance "$name" -f "$TMP/$name.yaml"
	else
		load_instance "$name" "$TMP/$name.yaml"
	fi
}

# ---- surroundings ------------------------------------------------------------------------------

# With few ports there is soon one in TIME_WAIT for each, and no more of them from then on.
make_network() {
	local name

	make_pods "client=$CLIENT/24" "server=$SERVER/24"
	for name in client server; do
		nsenter --net="$(netns "$name")" \
			sh -c 'echo 10000 12047 >/proc/sys/net/ipv4/ip_local_port_range'
	done
}


# ---- measuring ---------------------------------------------------------------------------------

# way VARIANT LAYOUT [SIDES]: as connections wants it. SIDES: who is in the instance's cgroup.
way() {
	local name port server=$SERVER client_group server_group called sides=${3:-both}

	name=$(name_of "$1")
	port=$(port_of "$1")
	[[ $2 != loopback ]] || server=127.0.0.1
	called=$server
	client_group=$ROOT/$name/client
	server_group=$ROOT/$name/server
	[[ $sides == both || $sides == client ]] || client_group=$ROOT/none/client
	[[ $sides == both || $sides == server ]] || server_group=$ROOT/none/server
	if has "$1" services && [[ $sides != server && $sides != none ]]; then
		called=10.96.$([[ $2 == loopback ]] && echo 101 || echo 102).1
	fi
	echo "${3:-$name},$client_group,$server_group,$called:$port,$server:$port"
}

# connections LAYOUT CPUS OPTION...
connections() {
	local client server cpu=$CLIENT_CPU

	client=$(netns client)
	server=$(netns server)
	[[ $1 != loopback ]] || server=$client
	(($2 == 1)) || cpu=$SERVER_CPU
	chrt -f 10 "$BUILD/tests/bench/connections" --client "$client,$CLIENT_CPU" \
		--server "$server,$cpu" --ms "$MS" --slice "$SLICE" "${@:3}"
}

cpus() {
	(($1 == 1)) && echo "1 CPU" || echo "$1 CPUs"
}

# Of a round: all variants, one layout, so many CPUs, so many at once.
measure() { # ROUND LAYOUT CPUS AT_ONCE
	local block column="$4 at a time" name rate time50 time99 connect50 connect99 cpu
	local -A variant_of=()
	local ways=() variant

	block="$2, $(cpus "$3")"
	for variant in "${VARIANTS[@]}"; do
		variant_of[$(name_of "$variant")]=$variant
		ways+=("$(way "$variant" "$2")")
	done
	connections "$2" "$3" --at-once "$4" "${ways[@]}" >"$TMP/figures" || die "$block: failed"
	while read -r name rate time50 time99 connect50 connect99 cpu; do
		variant=${variant_of[$name]}
		sample connections "$block" "$column" "$variant" "$1" "$rate"
		sample connection-cpu "$block" "$column" "$variant" "$1" "$cpu"
		sample connection-time "$block, p50" "$column" "$variant" "$1" "$time50"
		sample connection-time "$block, p99" "$column" "$variant" "$1" "$time99"
		(($4 == 1)) || continue
		sample connect "$block" p50 "$variant" "$1" "$connect50"
		sample connect "$block" p99 "$variant" "$1" "$connect99"
	done <"$TMP/figures"
}

measure_all() {
	local round layout at_once n

	for ((round = 0; round < ROUNDS; round++)); do
		for layout in "${LAYOUTS[@]}"; do
			for ((n = 1; n <= 2 && n <= $(nproc); n++)); do
				for at_once in 1 8; do
					measure "$round" "$layout" "$n" "$at_once"
				done
			done
		done
		progress "round $((round + 1)) of $ROUNDS"
	done
}

declare_all() {
	local blocks=() percentiles=() layout n block variants

	for layout in "${LAYOUTS[@]}"; do
		for ((n = 1; n <= 2 && n <= $(nproc); n++)); do
			block="$layout, $(cpus "$n")"
			blocks+=("$block")
			percentiles+=("$block, p50" "$block, p99")
		done
	done
	variants=$(list "${VARIANTS[@]}")
	declare_test connections 3 1/s more "Connect, request, answer, close" "$variants" \
		"$(list "${blocks[@]}")" "$(list "${COLUMNS_[@]}")"
	declare_test connection-time 3 us less "Time of such a connection" "$variants" \
		"$(list "${percentiles[@]}")" "$(list "${COLUMNS_[@]}")"
	declare_test connection-cpu 3 us less "CPU time of such a connection, both ends" "$variants" \
		"$(list "${blocks[@]}")" "$(list "${COLUMNS_[@]}")"
	declare_test connect 3 us less "connect() alone" "$variants" \
		"$(list "${blocks[@]}")" "$(list p50 p99)"
}

bench_begin
need_root
need_commands jq ip nsenter chrt bpftool
make_network
for variant in "${VARIANTS[@]}"; do
	make_variant "$variant"
done
declare_all
measure_all
