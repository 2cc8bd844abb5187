#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What calling a service costs by how many there are, beside kube-proxy's rules for the same ones.
#
# Each has ten endpoints. The rules are made by ruleset.c; they are held against the real kube-proxy's
# by tests/kubernetes/kube-proxy.bats.
#
# A caller and a server, each in a namespace of its own as pods are, and between them the node,
# which routes and has kube-proxy's rules. Whoever has rules has such three namespaces for each
# number of services, so that all are loaded once and then measured in turn. services.c has how.
#
# iptables is what kube-proxy writes, loaded by iptables-legacy; iptables-nft the same by the other
# backend, which kube-proxy prefers where both are there. Beyond some number of services they take
# too long to load, as nftables does: MOST has where, and the notes what is known of it.
set -euo pipefail
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"

CLIENT=10.200.1 # within kube-proxy's cluster CIDR
SERVER=10.200.2
ENDPOINTS=10.128.0.0/10
SERVICES=10.96.0.0/16

SIZES=(1 100 1000 10000 50000)
[[ ! $QUICK ]] || SIZES=(1 100 1000)
VARIANTS=(direct iptables iptables-nft nftables sidestep "sidestep, no edges")
RULES=(iptables iptables-nft nftables)
MESHES=(sidestep "sidestep, no edges")
CHANGES=(iptables iptables-nft nftables sidestep "sidestep apply")
CONNECTS=("random service, p50" "last service, p50" "random service, p99")
PACKETS=("TCP" "UDP" "UDP, a socket each")
declare -A TOOL=([iptables]=iptables-legacy-restore [iptables-nft]=iptables-nft-restore [nftables]=nft)
declare -A MOST=([iptables]=50000 [iptables-nft]=1000 [nftables]=10000)
PIECE=10000 # services that iptables-legacy loads at once
LOAD_SECONDS=300

MS=60 # a measurement, at most
CALLS=500
CHANGE_ROUNDS=3
MANY=10000 # services

LOADED=() # names of those that are
MEMORY=   # folder of cgroups that tell kernel memory

# The file's and namespaces' name of a variant.
name_of() { # VARIANT SIZE
	local name=${1//, no edges/-plain}

	echo "$name-$2"
}

is_loaded() { # VARIANT SIZE
	[[ $1 == direct || " ${LOADED[*]} " == *" $(name_of "$1" "$2") "* ]]
}

has_rules() { # VARIANT
	[[ ${TOOL[$1]:-} ]]
}

# ---- namespaces ------------------------------------------------------------------------------

# wire NAME ROLE NETWORK: its veth pair to the node, and the way there.
wire() {
	ip -n "$ID-$1-node" link add "$2" type veth peer name eth0 netns "$ID-$1-$2"
	ip -n "$ID-$1-node" address add "$3.1/24" dev "$2"
	ip -n "$ID-$1-$2" address add "$3.2/24" dev eth0
	ip -n "$ID-$1-node" link set "$2" up
	ip -n "$ID-$1-$2" link set eth0 up
	by_congestion_control "$1-$2"
	wait_until 5 has_carrier "$1-$2" || die "no carrier in $1-$2"
}

# The server has all endpoints' addresses. The node has no route to services: without
# rules that translate them they are not reached.
make_three() { # NAME
	local role

	for role in node client server; do
		make_netns "$1-$role"
	done
	wire "$1" client "$CLIENT"
	wire "$1" server "$SERVER"
	ip -n "$ID-$1-client" route add "$ENDPOINTS" via "$CLIENT.1" congctl "$CONGESTION"
	ip -n "$ID-$1-client" route add "$SERVICES" via "$CLIENT.1" congctl "$CONGESTION"
	ip -n "$ID-$1-server" route add "$CLIENT.0/24" via "$SERVER.1" congctl "$CONGESTION"
	ip -n "$ID-$1-server" route add local "$ENDPOINTS" dev lo
	ip -n "$ID-$1-node" route add "$ENDPOINTS" via "$SERVER.2"
	nsenter --net="$(netns "$1-node")" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

# Those of a variant: without rules, one for all.
three_of() { # VARIANT SIZE
	has_rules "$1" && name_of "$@" || echo plain
}

# ---- loading ---------------------------------------------------------------------------------

# Kernel memory is charged to the cgroup of who loads, so that it can be told whatever else goes on.
# Controller memory is either in a hierarchy of its own, or the part's cgroup has it.
find_memory() {
	MEMORY=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
	if [[ $MEMORY ]]; then
		MEMORY+=/$ID
	elif grep -qsw memory "$ROOT/cgroup.controllers"; then
		echo +memory >"$ROOT/cgroup.subtree_control"
		MEMORY=$ROOT/memory
	else
		skip services-memory "" "no memory controller of cgroups"
		return
	fi
	mkdir "$MEMORY"
	[[ $MEMORY != "$ROOT"/* ]] || echo +memory >"$MEMORY/cgroup.subtree_control"
}

# by_memory NAME COMMAND...: runs it there.
by_memory() {
	(
		[[ ! $MEMORY ]] || echo 0 >"$MEMORY/$1/cgroup.procs"
		"${@:2}"
	)
}

# memory_of NAME: MiB that it has taken of the kernel, or nothing
memory_of() {
	local file=$MEMORY/$1/memory.kmem.usage_in_bytes

	if [[ -e $file ]]; then
		awk '{ print $1 / 1048576 }' "$file"
	elif [[ $MEMORY ]]; then
		awk '$1 == "kernel" { print $2 / 1048576 }' "$MEMORY/$1/memory.stat"
	fi
}

# timed COMMAND...: its seconds in SECONDS_. What it says goes to $TMP/log.
timed() {
	local begun=${EPOCHREALTIME/./}

	"$@" >"$TMP/log" 2>&1 || die "$*: status $?: $(tail -n 3 "$TMP/log")"
	SECONDS_=$(awk -v us=$((${EPOCHREALTIME/./} - begun)) 'BEGIN { printf "%.6f", us / 1e6 }')
}

# in_node NAME COMMAND...: there; for those that take too long.
in_node() {
	timeout "$LOAD_SECONDS" nsenter --net="$(netns "$1-node")" "${@:2}"
}

# As kube-proxy calls it.
restore() { # NAME VARIANT
	local backend=legacy

	[[ $2 != iptables-nft ]] || backend=nft
	in_node "$1" "iptables-$backend-restore" -w 5 --noflush --counters <"$TMP/rules"
}

# ruleset FORM SIZE [NUMBER]: $TMP/rules
ruleset() {
	"$BUILD/tests/bench/ruleset" "$@" >"$TMP/rules"
}

# In pieces, as kube-proxy does when a cluster grows.
load_iptables() { # NAME VARIANT SIZE
	local size known=0 total=0

	while ((known < $3)); do
		size=$((known + PIECE < $3 ? known + PIECE : $3))
		ruleset iptables "$size" "$known"
		timed by_memory "$1" restore "$1" "$2"
		total=$(awk "BEGIN { print $total + $SECONDS_ }")
		known=$size
	done
	SECONDS_=$total
}

load_rules() { # VARIANT SIZE
	local name

	name=$(name_of "$@")
	make_three "$name"
	if [[ $1 == iptables* ]]; then
		load_iptables "$name" "$@"
	else
		ruleset nftables "$2"
		timed by_memory "$name" in_node "$name" nft -f "$TMP/rules"
	fi
}

load_sidestep() { # VARIANT SIZE
	local name edges=

	name=$(name_of "$@")
	[[ $1 == sidestep ]] || edges=", telemetry: { edges: 0 }"
	{
		echo "node: { splice: off$edges }"
		"$BUILD/tests/bench/ruleset" sidestep "$2"
	} >"$TMP/$name.yaml"
	INSTANCES+=("$name")
	timed by_memory "$name" of "$name" load -f "$TMP/$name.yaml"
}

load_one() { # VARIANT SIZE
	local name memory

	name=$(name_of "$@")
	progress "loading $1, $2"
	make_cgroup "$name"
	[[ ! $MEMORY ]] || mkdir "$MEMORY/$name"
	if has_rules "$1"; then
		load_rules "$@"
	else
		load_sidestep "$@"
	fi
	LOADED+=("$name")
	sample services-load "one load" "$2" "$1" 0 "$SECONDS_"
	sleep 0.2 # what is freed, is freed later
	memory=$(memory_of "$name")
	[[ ! $memory ]] || sample services-memory "one load" "$2" "$1" 0 "$memory"
}

# Takes rules away for which there is no tool.
find_tools() {
	local variant test found=()

	for variant in "${RULES[@]}"; do
		command -v "${TOOL[$variant]}" >/dev/null && found+=("$variant") && continue
		for test in services-{connect,packet,load,memory,change}; do
			skip "$test" "$variant" "${TOOL[$variant]} is missing: scripts/setup bench"
		done
	done
	RULES=("${found[@]}")
}

# All that fit, the small ones first. Loaded is loaded once: times are of one round.
load_all() {
	local size variant

	make_three plain
	make_cgroup direct
	for size in "${SIZES[@]}"; do
		for variant in "${RULES[@]}" "${MESHES[@]}"; do
			((size > ${MOST[$variant]:-$size})) || load_one "$variant" "$size"
		done
	done
}

# ---- calls -----------------------------------------------------------------------------------

# call TEST TO VARIANT SIZE: sets P50 and P99, in microseconds.
call() {
	local cgroup three to=$2 figures

	cgroup=$(name_of "$3" "$4")
	three=$(three_of "$3" "$4")
	[[ $3 != direct ]] || cgroup=direct to=direct
	figures=$(enter "$cgroup" "$three-client" taskset -c "$CLIENT_CPU" \
		"$BUILD/tests/bench/services" "$1" "$to" "$4" "$CALLS" "$MS" "$(netns "$three-server")") ||
		die "$1 of $3, $4 services, failed"
	read -r P50 P99 < <(awk '{ print $1 / 1000, $2 / 1000 }' <<<"$figures")
}

# each_loaded SIZE COMMAND...: COMMAND... VARIANT SIZE, in random order.
each_loaded() {
	local variant

	shuf -e "${VARIANTS[@]}" | while read -r variant; do
		! is_loaded "$variant" "$1" || "${@:2}" "$variant" "$1" </dev/null
	done
}

connect_one() { # TO ROUND VARIANT SIZE
	call connect "$1" "$3" "$4"
	sample services-connect "$1 service, p50" "$4" "$3" "$2" "$P50"
	[[ $1 == last ]] || sample services-connect "$1 service, p99" "$4" "$3" "$2" "$P99"
}

packet_one() { # TEST BLOCK ROUND VARIANT SIZE
	call "$1" random "$4" "$5"
	sample services-packet "$2" "$5" "$4" "$3" "$P50"
}

measure_calls() {
	local round size

	for ((round = 0; round < ROUNDS; round++)); do
		progress "round $((round + 1)) of $ROUNDS"
		for size in $(shuf -e "${SIZES[@]}"); do
			each_loaded "$size" connect_one random "$round"
			each_loaded "$size" connect_one last "$round"
			each_loaded "$size" packet_one tcp TCP "$round"
			each_loaded "$size" packet_one udp UDP "$round"
			each_loaded "$size" packet_one dns "UDP, a socket each" "$round"
		done
	done
}

# ---- one endpoint moves ------------------------------------------------------------------------

# What kube-proxy runs before it writes: it looks for chains that nobody needs any more, with
# iptables up to a thousand endpoints only.
look_around() { # VARIANT SIZE
	local name backend=legacy

	name=$(name_of "$@")
	[[ $1 != iptables-nft ]] || backend=nft
	if [[ $1 == nftables ]]; then
		timed in_node "$name" nft --json --terse list table ip kube-proxy
	elif (($2 < 100)); then
		timed in_node "$name" "iptables-$backend-save" -t nat
	else
		SECONDS_=0
	fi
}

change_rules() { # VARIANT SIZE VERSION
	local name before

	name=$(name_of "$1" "$2")
	ruleset "${1%-nft}-change" "$2" "$3"
	look_around "$1" "$2"
	before=$SECONDS_
	if [[ $1 == nftables ]]; then
		timed in_node "$name" nft -f "$TMP/rules"
	else
		timed restore "$name" "$1"
	fi
	MS_ALL=$(awk "BEGIN { print ($before + $SECONDS_) * 1000 }")
	MS_WRITE=$(awk "BEGIN { print $SECONDS_ * 1000 }")
}

# As the daemon does that follows an API server.
change_by_daemon() { # SIZE VERSION
	ruleset sidestep-change "$1" "$2"
	echo "$TMP/rules" >&"${CHANGE[1]}"
	read -r MS_WRITE <&"${CHANGE[0]}" || die "no change of services: $(<"$TMP/change.log")"
	MS_ALL=$MS_WRITE
}

# All from a file.
change_by_apply() { # SIZE VERSION
	local name

	name=$(name_of "sidestep, no edges" "$1")
	{
		head -n 1 "$TMP/$name.yaml"
		"$BUILD/tests/bench/ruleset" sidestep "$1" "$2"
	} >"$TMP/changed.yaml"
	timed of "$name" apply -f "$TMP/changed.yaml"
	MS_WRITE=$(awk "BEGIN { print $SECONDS_ * 1000 }")
	MS_ALL=$MS_WRITE
}

change_one() { # VARIANT SIZE ROUND
	local version=$((1 + $3 % 2))

	case $1 in
	sidestep) change_by_daemon "$2" "$version" ;;
	"sidestep apply") change_by_apply "$2" "$version" ;;
	*) change_rules "$1" "$2" "$version" ;;
	esac
	sample services-change "all that is run" "$2" "$1" "$3" "$MS_ALL"
	sample services-change "the write alone" "$2" "$1" "$3" "$MS_WRITE"
}

# Rules take seconds where they are many: once.
is_measured() { # VARIANT SIZE ROUND
	[[ ! ${TOOL[$1]:-} ]] || { is_loaded "$1" "$2" && (($2 < MANY || $3 == 0)); }
}

# The first change of the daemon's reads what is there.
measure_changes_of() { # SIZE
	local round variant CHANGE CHANGE_PID input

	coproc CHANGE {
		exec "$BUILD/tests/bench/change" "/sys/fs/bpf/$ID-$(name_of sidestep "$1")" 2>"$TMP/change.log"
	}
	change_by_daemon "$1" 2
	for ((round = 0; round < CHANGE_ROUNDS; round++)); do
		while read -r variant; do
			is_measured "$variant" "$1" "$round" || continue
			change_one "$variant" "$1" "$round"
		done < <(shuf -e "${CHANGES[@]}")
	done
	input=${CHANGE[1]}
	exec {input}>&- # its end
	wait "$CHANGE_PID"
}

measure_changes() {
	local size

	for size in "${SIZES[@]}"; do
		progress "changes, $size"
		measure_changes_of "$size"
	done
}

# ---- what the kernel's clock says of the hook ----------------------------------------------------

clock_one() { # ROUND VARIANT SIZE
	local name

	name=$(name_of "$2" "$3")
	clocks "$name" >"$TMP/before"
	call clocked random "$2" "$3"
	sample services-hook "sst_connect4" "$3" "$2" "$1" \
		"$(clocks_since "$name" "$TMP/before" | awk '$1 == "connect4" { print $2 / $3 }')"
}

measure_clocks() {
	local round size variant

	for ((round = 0; round < ROUNDS; round++)); do
		for size in $(shuf -e "${SIZES[@]}"); do
			while read -r variant; do
				clock_one "$round" "$variant" "$size"
			done < <(shuf -e "${MESHES[@]}")
		done
	done
}

# ---- the part ------------------------------------------------------------------------------------

clean_up_part() {
	[[ ! -e $MEMORY ]] || find "$MEMORY" -depth -type d -exec rmdir {} + || :
}

# declare_growth TEST UNIT TITLE VARIANTS BLOCKS [MORE]: by number of services.
declare_growth() {
	declare_test "$1" 4 "$2" less "$3" "$4" "$5" "$(list "${SIZES[@]}")" \
		"$(jq -nc '{ sizes: $ARGS.positional } + '"${6:-{\}}" --jsonargs "${SIZES[@]}")"
}

declare_tests() {
	declare_growth services-connect us "connect() to one of N services" \
		"$(list "${VARIANTS[@]}")" "$(list "${CONNECTS[@]}")"
	declare_growth services-packet us "A byte there and back, to one of N services" \
		"$(list "${VARIANTS[@]}")" "$(list "${PACKETS[@]}")"
	declare_growth services-load s "N services from nothing to the kernel" \
		"$(list "${VARIANTS[@]:1}")" '["one load"]'
	declare_growth services-memory MiB "Kernel memory of N services" \
		"$(list "${VARIANTS[@]:1}")" '["one load"]'
	declare_growth services-change ms "One endpoint moves, among N services" \
		"$(list "${CHANGES[@]}")" "$(list "all that is run" "the write alone")"
	declare_growth services-hook ns "The hook of connect(), by the kernel's clock" \
		"$(list "${MESHES[@]}")" '["sst_connect4"]' '{ ratios: false }'
}

tell_notes() {
	note services-connect "Caller and server are one thread on CPU $CLIENT_CPU, each end in a namespace \
of its own, and kube-proxy's rules in a third between them, which routes. direct and Sidestep \
have no netfilter rules there, and so no connection tracking."
	note services-connect "iptables is loaded by iptables-legacy. iptables-nft is measured up to \
${MOST[iptables-nft]} services and nftables up to ${MOST[nftables]}: the time to load them grows with \
about the square of their number."
	note services-packet "UDP is a service in the middle of iptables' list."
	note services-load "Once. iptables in pieces of $PIECE services. Sidestep: its programs, too."
	note services-change "Of kube-proxy the programs that it runs, not its own work. sidestep: what \
its daemon does when the API server tells of it, from there to the maps; sidestep apply: all from \
a file. Rules from $MANY services on: one round."
	note services-hook "A random service, and what the kernel's clock itself costs is part of it."
}

main() {
	need_root
	need_commands bpftool ip jq nsenter shuf taskset timeout
	[[ -x $SIDESTEP && -x $BUILD/tests/bench/services ]] || die "not built yet: make all tools"
	bench_begin
	declare_tests
	find_tools
	find_memory
	load_all
	measure_calls
	measure_clocks
	measure_changes
	tell_notes
}

main "$@"
