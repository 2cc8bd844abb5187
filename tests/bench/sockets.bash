#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Round trips and streams between two sockets, beside TCP and AF_UNIX.
#
# Rows 1 and 2 of the benchmark: by TCP without Sidestep, with the splice off, auto and on, and by
# AF_UNIX. What is measured is told in sockets.c, how in user/bench/measure.h. The layouts:
#
#   loopback  one namespace
#   veth      a node's pods: two namespaces on a bridge in a third
#   nodes     pods of two nodes: two namespaces on a router in a third, and an instance of
#             Sidestep for each, that knows nothing of the other: nothing can be spliced
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"

BENCH=$BUILD/tests/bench/sockets

# Two nodes' namespaces, and what routes between them.
make_nodes() {
	local name net

	make_netns between
	nsenter --net="$(netns between)" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	for name in here:1 there:2; do
		net=10.79.${name#*:}
		name=${name%:*}
		make_netns "$name"
		ip -n "$ID-between" link add "$name" type veth peer name eth0 netns "$ID-$name"
		ip -n "$ID-between" address add "$net.1/24" dev "$name"
		ip -n "$ID-between" link set "$name" up
		ip -n "$ID-$name" address add "$net.2/24" dev eth0
		ip -n "$ID-$name" link set eth0 up
		wait_until 5 has_carrier "$name" || die "no carrier in $name"
		ip -n "$ID-$name" route add 10.79.0.0/16 via "$net.1"
	done
}

# Each mode of the splice is a service, so that no configuration has to change between two
# measurements that are compared. add_layout NAME CLIENT_NS SERVER_NS SERVER SERVER_CGROUP [brief]
add_layout() {
	local mode port=8000

	LAYOUTS=$((LAYOUTS + 1))
	OPTIONS+=(--layout "$1,$(netns "$2"),$(netns "$3"),$4${6:+,$6}"
		--variant "$1,tcp,$ROOT/plain,$ROOT/plain,$4:$port")
	for mode in off auto on; do
		port=$((port + 100))
		OPTIONS+=(--variant "$1,$mode,$ROOT/mesh,$ROOT/$5,10.96.$LAYOUTS.$((port / 100)):$port")
	done
	# where the network does not matter; beside the others, since what is compared is measured at once
	[[ $1 == nodes ]] || OPTIONS+=(--variant "$1,unix,$ROOT/plain,$ROOT/plain,unix")
}

# What is off on this kernel is by TCP, which is measured, too: its users have that.
tell_off() {
	local name reason

	of mesh status -o json | jq -r '.features[] | select(.enabled | not) | [.name, .reason] | @tsv' |
		while IFS=$'\t' read -r name reason; do
			case $name in
			splice) note round-trip "The splice is off on this kernel, whatever a service says: $reason." ;;
			splice-auto) note round-trip "auto is off on this kernel, it is TCP with hooks: $reason." ;;
			esac
		done
}

LAYOUTS=0
OPTIONS=(--rounds "$ROUNDS" ${QUICK:+--quick})

need_root
need_commands ip jq nsenter
[[ -x $SIDESTEP && -x $BENCH ]] || die "not built yet: make all tools"
bench_begin
make_cgroup plain
make_cgroup mesh
make_cgroup far
make_pods client=10.78.0.3/24 server=10.78.0.2/24
make_nodes
add_layout loopback client client 127.0.0.1 mesh
add_layout veth client server 10.78.0.2 mesh
add_layout nodes here there 10.79.2.2 far brief
"$BENCH" config "${OPTIONS[@]}" >"$TMP/sidestep.yaml"
run_instance mesh -f "$TMP/sidestep.yaml"
run_instance far -f "$TMP/sidestep.yaml"
# in the background, since a trap waits for the end of what runs in the foreground
"$BENCH" run "${OPTIONS[@]}" --pin "/sys/fs/bpf/$ID-mesh" >>"$BENCH_SAMPLES" &
PIDS+=($!)
wait $!
tell_off
