#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A short connection with everything on, against no Sidestep, and what each part costs of that.
#
# Each variant is an instance on a cgroup of its own, so that all are measured in turn, in slices
# of some milliseconds (connections.c has why), without a change in between. "none again" is "none"
# once more: what it differs is what the measurement cannot tell.
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"

SERVER=10.78.0.2
CLIENT=10.78.0.3
PORT=9000 # of the first variant
SERVICES=100
RULES=1000
IDENTITIES=1000

VARIANTS=(none "none again" hooks service service+edges policy everything everything+on)
ENDS=("none" "client's" "server's")
LAYOUTS=(loopback veth)
AT_ONCE=(1 8)

# How long a variant is measured a round, in slices of how long.
MS=300
SLICE=20
CALLS=1000 # where the kernel's own clock tells, which takes longer and differs less
PROGRAM_ROUNDS=3
[[ ! $QUICK ]] || MS=60 CALLS=200

# ---- what each variant has -----------------------------------------------------------------

has() { # VARIANT PART: whether it is on
	case $2 in
	services) [[ $1 == service* || $1 == everything* ]] ;;
	policy) [[ $1 == policy || $1 == everything* ]] ;;
	edges) [[ $1 == *+edges || $1 == everything* ]] ;;
	esac
}

# Of a variant's cgroup, instance and file.
name_of() {
	echo "${1//[ +]/-}"
}

# NAME NET PORT ENDPOINT...: 10.96.NET.1 is its address.
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
	port=$(port_of "$1" "${VARIANTS[@]}")
	echo "services:"
	for ((i = 1; i <= SERVICES - 2; i++)); do
		write_service "s$i" "$i" 80 "10.100.$i."{1..10}
	done
	write_service loopback 101 "$port" 127.0.0.1
	write_service veth 102 "$port" "$SERVER"
}

write_policy() { # VARIANT
	local port

	port=$(port_of "$1" "${VARIANTS[@]}")
	awk -v rows=shared -v identities="$IDENTITIES" -v rules="$RULES" -v group="/$ID/$(name_of "$1")" \
		-v client="$CLIENT" -v server="$SERVER" -v ports="$port,$((port + 100))" \
		-f "$REPO/tests/bench/policies.awk"
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

# With few ports there soon is one in TIME_WAIT for each, and no more of them from then on.
make_network() {
	local name

	make_pods "client=$CLIENT/24" "server=$SERVER/24"
	for name in client server; do
		nsenter --net="$(netns "$name")" \
			sh -c 'echo 10000 12047 >/proc/sys/net/ipv4/ip_local_port_range'
	done
}

# A variant where the kernel allows it.
add_auto() {
	local why

	why=$(of everything status -o json |
		jq -r '.features[] | select(.name == "splice-auto" and (.enabled | not)).reason')
	if [[ $why ]]; then
		AUTO_IS_OFF=$why
	else
		VARIANTS+=(everything+auto)
		make_variant everything+auto
	fi
}

# ---- measuring ---------------------------------------------------------------------------------

# way NAME CALLED PORT LISTENING CLIENT_CGROUP SERVER_CGROUP: as connections wants it.
way() {
	echo "$1,$ROOT/$5/client,$ROOT/$6/server,$2:$3,$4:$3"
}

server_in() { # LAYOUT
	[[ $1 == loopback ]] && echo 127.0.0.1 || echo "$SERVER"
}

# What a variant's clients call.
called_by() { # VARIANT LAYOUT
	has "$1" services || { server_in "$2" && return; }
	[[ $2 == loopback ]] && echo 10.96.101.1 || echo 10.96.102.1
}

way_of() { # VARIANT LAYOUT
	local name

	name=$(name_of "$1")
	way "$name" "$(called_by "$1" "$2")" "$(port_of "$1" "${VARIANTS[@]}")" "$(server_in "$2")" "$name" "$name"
}

# One end is in the cgroup of "everything", the other without Sidestep.
way_of_end() { # END
	local port

	port=$(port_of everything "${VARIANTS[@]}")
	case $1 in
	none) way_of none veth ;;
	client*) way "$1" "$(called_by everything veth)" "$port" "$SERVER" everything none ;;
	server*) way "$1" "$SERVER" "$((port + 100))" "$SERVER" none everything ;;
	esac
}

# connections LAYOUT CPUS OPTION... WAY...
connections() {
	local client server cpu=$CLIENT_CPU

	client=$(netns client)
	server=$(netns server)
	[[ $1 != loopback ]] || server=$client
	(($2 == 1)) || cpu=$SERVER_CPU
	chrt -f 10 "$BUILD/tests/bench/connections" --client "$client,$CLIENT_CPU" \
		--server "$server,$cpu" --ms "$MS" --slice "$SLICE" "${@:3}" ||
		die "$1, $(cpus "$2"): no figures"
}

cpus() {
	(($1 == 1)) && echo "1 CPU" || echo "$1 CPUs"
}

# measure_variants ROUND LAYOUT CPUS AT_ONCE
measure_variants() {
	local block column="$4 at a time" variant name rate time50 time99 connect50 connect99 cpu
	local ways=()
	local -A variant_of=()

	block="$2, $(cpus "$3")"
	for variant in "${VARIANTS[@]}"; do
		variant_of[$(name_of "$variant")]=$variant
		ways+=("$(way_of "$variant" "$2")")
	done
	connections "$2" "$3" --at-once "$4" "${ways[@]}" >"$TMP/figures"
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

# Both pods' ends on one CPU.
measure_ends() { # ROUND AT_ONCE
	local ways=() end name rate time50 time99 connect50 connect99 cpu

	for end in "${ENDS[@]}"; do
		ways+=("$(way_of_end "$end")")
	done
	connections veth 1 --at-once "$2" "${ways[@]}" >"$TMP/figures"
	while read -r name rate time50 time99 connect50 connect99 cpu; do
		sample connection-ends "veth, 1 CPU" "$2 at a time" "$name" "$1" "$rate"
	done <"$TMP/figures"
}

# "PROGRAM NS RUNS" a connection, of those that a connection runs through.
time_programs() { # VARIANT
	local instance

	instance=$(name_of "$1")
	clock_on
	clocks "$instance" >"$TMP/before"
	connections veth 1 --calls "$CALLS" "$(way_of "$1" veth)"
	clocks_since "$instance" "$TMP/before" |
		awk -v n="$CALLS" '$3 >= n { print $1, $2 / n, $3 / n }'
	clock_off
}

measure_programs() { # ROUND VARIANT
	local program ns runs

	time_programs "$2" >"$TMP/figures"
	while read -r program ns runs; do
		sample connection-programs "ns a connection" "$program" "$2" "$1" "$ns"
		sample connection-programs "runs a connection" "$program" "$2" "$1" "$runs"
	done <"$TMP/figures"
}

measure_round() { # ROUND
	local layout at_once n variant

	for layout in "${LAYOUTS[@]}"; do
		for ((n = 1; n <= CPUS_MAX; n++)); do
			for at_once in "${AT_ONCE[@]}"; do
				measure_variants "$1" "$layout" "$n" "$at_once"
			done
		done
	done
	for at_once in "${AT_ONCE[@]}"; do
		measure_ends "$1" "$at_once"
	done
	if (($1 < PROGRAM_ROUNDS)); then
		for variant in $(shuf -e "${MEASURED[@]}"); do
			measure_programs "$1" "$variant"
		done
	fi
	progress "round $(($1 + 1)) of $ROUNDS"
}

# ---- what is told ------------------------------------------------------------------------------

declare_connections() {
	local blocks=() percentiles=() programs layout n ways variants columns

	for layout in "${LAYOUTS[@]}"; do
		for ((n = 1; n <= CPUS_MAX; n++)); do
			blocks+=("$layout, $(cpus "$n")")
			percentiles+=("$layout, $(cpus "$n"), p50" "$layout, $(cpus "$n"), p99")
		done
	done
	variants=$(list "${VARIANTS[@]}")
	columns=$(list "${AT_ONCE[@]/%/ at a time}")
	ways=$(list "${blocks[@]}")
	declare_test connections 3 1/s more "Connect, request, answer, close" \
		"$variants" "$ways" "$columns"
	declare_test connection-time 3 us less "Time of such a connection" \
		"$variants" "$(list "${percentiles[@]}")" "$columns"
	declare_test connection-cpu 3 us less "CPU time of such a connection, both ends" \
		"$variants" "$ways" "$columns"
	declare_test connect 3 us less "connect() alone, 1 at a time" \
		"$variants" "$ways" "$(list p50 p99)"
	declare_test connection-ends 3 1/s more "Such connections, one end with everything on" \
		"$(list "${ENDS[@]}")" "$(list "veth, 1 CPU")" "$columns"
	time_programs everything >"$TMP/figures"
	mapfile -t programs < <(cut -d' ' -f1 "$TMP/figures")
	declare_test connection-programs 3 "ns, or runs" less "Programs of such a connection" \
		"$(list "${MEASURED[@]}")" "$(list "ns a connection" "runs a connection")" \
		"$(list "${programs[@]}")" '{"ratios":false}'
}

tell_notes() {
	note connections "Slices of $SLICE ms in random order, $((MS / SLICE)) of each variant a round; their median. \
Requests of 64 bytes, the server closes first. Client on CPU $CLIENT_CPU, server on the same or on $SERVER_CPU, \
both before all others (SCHED_FIFO)."
	note connections "none again is none once more: what it differs from 1.00 is what the measurement cannot tell."
	note connections "service: one among $SERVICES. policy: $RULES rules, $IDENTITIES workloads. everything: both, \
edges and the daemon."
	note connection-programs "By the kernel's clock, which costs some 50 ns a run itself. veth, 1 CPU, \
$PROGRAM_ROUNDS rounds."
	[[ ! $AUTO_IS_OFF ]] || skip connections everything+auto "$AUTO_IS_OFF"
}

AUTO_IS_OFF=
CPUS_MAX=$(($(nproc) > 1 ? 2 : 1))

need_root
need_commands jq ip nsenter chrt bpftool
[[ -x $SIDESTEP && -x $BUILD/tests/bench/connections ]] || die "not built yet: make all tools"
bench_begin
make_network
for variant in "${VARIANTS[@]}"; do
	make_variant "$variant"
done
add_auto
MEASURED=("${VARIANTS[@]:2}") # that have programs
declare_connections
tell_notes
for ((round = 0; round < ROUNDS; round++)); do
	measure_round "$round"
done
