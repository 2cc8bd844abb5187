#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# As a mesh: beside haproxy and two Envoys in a row, latency, requests, CPU time and memory
#
# A client calls nginx, which answers with 1 KB from its memory on connections that are kept:
# directly, through the proxies that a mesh would have between them, and by Sidestep with policy and
# telemetry.
#
# Client and server are two pods of a node. Proxies are called by their own address, so that no
# redirection is measured; of two, each is in its pod, and they talk plain text. Each variant has a
# cgroup with its client, proxies and a server of its own. All are alive at the same time.
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"
# shellcheck source=tests/tools/envoy.bash
source "${BASH_SOURCE[0]%/*}/../tools/envoy.bash"
# shellcheck source=tests/bench/servers.bash
source "${BASH_SOURCE[0]%/*}/servers.bash"

CLIENT=10.78.0.3
SERVER=10.78.0.2
SIZE=1024
CONNECTIONS=(1 32)
MS=$((${QUICK:-0} ? 40 : 100))
TOOL_MS=300 # wrk looks at its counts each 100 ms

VARIANTS=(direct haproxy envoys-tcp envoys-http)
# A mode of Sidestep's splice is a service of its own.
declare -A SERVICES=([sidestep-off]=10.96.0.1 [sidestep-auto]=10.96.0.2 [sidestep-on]=10.96.0.3)
SIDESTEPS=(sidestep-off sidestep-auto sidestep-on)

declare -A URL=()    # by variant: what its client calls, ADDRESS:PORT
declare -A GROUP=()  # ... and the cgroup it is in
SOFTIRQS=() # files that tell the CPU time of the kernel's own threads
ENVOY=
FORTIO=

# ---- surroundings ------------------------------------------------------------------------

# The other end of each listens on 80NN in the server's namespace.
make_variant() { # NAME PORT
	make_cgroup "$1/client"
	nginx "$1/server" server "$2" <<-END
		server {
			listen $2;
			default_type text/plain;
			return 200 $(printf "%${SIZE}s" "" | tr ' ' x);
		}
	END
	GROUP[$1]=$1
	URL[$1]=$SERVER:$2
}

make_haproxy() { # PORT
	make_variant haproxy "$1"
	cat >"$TMP/haproxy.cfg" <<-END
		global
			maxconn 1000
			nbthread 1
		defaults
			mode tcp
			timeout connect 10s
			timeout client 60s
			timeout server 60s
		listen front
			bind 127.0.0.1:$1
			server back $SERVER:$1
	END
	serve haproxy/proxy client "$1" haproxy -db -f "$TMP/haproxy.cfg"
	URL[haproxy]=127.0.0.1:$1
}

# The server's one is at 90NN, and before it the client's.
make_envoys() { # http|tcp PORT
	local name=envoys-$1 port=$(($2 + 1000)) program=$TMP/envoy-$1

	make_variant "$name" "$2"
	# a pair's pods share an image, so both share the program's pages, but not with the other pair
	cp "$ENVOY" "$program"
	make_envoy "$1" server 0.0.0.0 "$port" 127.0.0.1 "$2"
	make_envoy "$1" client 127.0.0.1 "$port" "$SERVER" "$port"
	URL[$name]=127.0.0.1:$port
}

make_envoy() { # http|tcp NETNS LISTEN PORT BACK PORT
	local file=$TMP/envoy-$1-$2.yaml

	envoy_yaml "$1" "${@:3}" >"$file"
	serve "envoys-$1/proxy" "$2" "$4" "$TMP/envoy-$1" -c "$file" --concurrency 1 \
		--disable-hot-restart -l error
}

# The pair, each isolated but for the other, among a hundred other workloads with a policy each.
# Every connection is told of in the flow log.
sidestep_yaml() { # PORT
	local i

	cat <<-END
		node:
		  telemetry: { flow-log: { file: $TMP/flows.json } }
		services:
	END
	for i in "${SIDESTEPS[@]}"; do
		echo "  - { name: $i, address: ${SERVICES[$i]}, port: 80, target: $1, splice: ${i#*-}," \
			"endpoints: [ { address: $SERVER } ] }"
	done
	cat <<-END
		workloads:
		  - { name: caller, labels: { app: caller }, cgroup: /$ID/sidestep/client, addresses: [ $CLIENT ] }
		  - { name: called, labels: { app: called }, cgroup: /$ID/sidestep/server, addresses: [ $SERVER ] }
	END
	for ((i = 0; i < 100; i++)); do
		echo "  - { name: other-$i, labels: { app: other-$i }, addresses: [ 10.100.0.$i ] }"
	done
	cat <<-END
		policies:
		  - name: out
		    subject: { app: caller }
		    egress: [ { to: [ { labels: { app: called } } ], ports: [ $1 ] } ]
		  - name: in
		    subject: { app: called }
		    ingress: [ { from: [ { labels: { app: caller } } ], ports: [ $1 ] } ]
	END
	for ((i = 0; i < 100; i++)); do
		echo "  - { name: other-$i, subject: { app: other-$i }," \
			"ingress: [ { from: [ { labels: { app: other-$((99 - i)) } } ], ports: [ 80 ] } ] }"
	done
}

make_sidestep() { # PORT
	local name

	sidestep_yaml "$1" >"$TMP/sidestep.yaml"
	run_instance sidestep -f "$TMP/sidestep.yaml"
	make_cgroup daemon
	echo "$DAEMON" >"$ROOT/daemon/cgroup.procs"
	make_variant sidestep "$1"
	for name in "${SIDESTEPS[@]}"; do
		GROUP[$name]=sidestep
		URL[$name]=${SERVICES[$name]}:80
	done
}

# Kernel threads that do what interrupts have left to do, for the CPUs that are used.
find_softirqs() {
	local comm cpu

	for comm in /proc/[0-9]*/comm; do
		for cpu in "$CLIENT_CPU" "$SERVER_CPU"; do
			[[ $(cat "$comm" 2>/dev/null) != ksoftirqd/$cpu || ! -r ${comm%/*}/schedstat ]] ||
				SOFTIRQS+=("${comm%/*}/schedstat")
		done
	done
}

make_all() {
	local name

	make_pods client=$CLIENT/24 server=$SERVER/24
	find_softirqs
	make_variant direct 8000
	make_haproxy 8001
	make_envoys tcp 8002
	make_envoys http 8003
	make_sidestep 8004
	for name in "${SIDESTEPS[@]}"; do
		if can_splice sidestep "${name#*-}"; then
			VARIANTS+=("$name")
		else
			skip_variant "$name" "$REASON"
		fi
	done
}

# ---- what is told ------------------------------------------------------------------------

declare_requests() { # TEST UNIT less|more TITLE BLOCK...
	declare_test "$1" 5 "$2" "$3" "$4" \
		"$(list direct haproxy envoys-tcp envoys-http "${SIDESTEPS[@]}")" \
		"$(list "${@:5}")" "$(list "1 connection" "32 connections")"
}

declare_all() {
	local blocks=("1 CPU")

	((CLIENT_CPU == SERVER_CPU)) || blocks+=("2 CPUs")
	declare_requests mesh-latency us less "A request through a mesh" \
		"${blocks[@]/%/, p50}" "${blocks[@]/%/, p99}"
	declare_requests mesh-requests 1/s more "Requests a second through a mesh" "${blocks[@]}"
	declare_requests mesh-cpu "CPU ms" less "CPU time of 1,000 requests, of all who take part" \
		"${blocks[@]}"
	declare_requests mesh-wrk 1/s more "The same by wrk" "1 CPU"
	declare_requests mesh-fortio 1/s more "The same by fortio" "1 CPU"
	declare_test mesh-memory 5 MiB less "Memory" \
		"$(list envoys-http envoys-tcp haproxy sidestep sidestep-daemon sidestep-maps)" \
		"$(list "for one client and one server")" "$(list "after the load")"
	tell_notes
}

skip_variant() { # VARIANT REASON
	local test

	for test in mesh-latency mesh-requests mesh-cpu mesh-wrk mesh-fortio; do
		skip "$test" "$1" "$2"
	done
}

tell_notes() {
	local version

	version=$("$ENVOY" --version | sed -nE 's/.*version: [^/]*\/([^/]*)\/.*/\1/p')
	note mesh-latency "haproxy: one, mode tcp, in the client's pod. envoys: one in each pod, $version, \
--concurrency 1, no TLS; the client calls the first by its address. sidestep: a policy for each of 102 \
workloads, edges, a flow log."
	note mesh-latency "1 CPU: all on CPU $CLIENT_CPU. 2 CPUs: the client on $CLIENT_CPU, \
proxies, server and Sidestep's daemon on $SERVER_CPU."
	note mesh-cpu "What the scheduler has charged to client, proxies, server and daemon (usage_usec of \
their cgroups) and to ksoftirqd meanwhile; what interrupts do is charged to whom they interrupt."
	note mesh-memory "Pss of the proxies' processes, pages that two Envoys share counted once for both. \
sidestep is sidestep-daemon, its Pss without what it has mapped of the maps, and sidestep-maps, what the \
kernel says maps and programs have (bytes_memlock). Each pod has an Envoy, each node has one Sidestep."
}

# ---- measuring -----------------------------------------------------------------------------

# Sets RATE, P50, P99 and CPU.
load() { # VARIANT CONNECTIONS
	local group=${GROUP[$1]} out

	out=$(ask "$group" "$BUILD/tests/bench/load" http "${URL[$1]}" "$SIZE" "$2" "$MS" \
		"$ROOT/$group/cpu.stat" "$ROOT/daemon/cpu.stat" "${SOFTIRQS[@]}") ||
		die "$1, $2 connections: failed"
	read -r RATE P50 P99 CPU <<<"$out"
}

measure_load() { # BLOCK CONNECTIONS ROUND
	local column="$2 connections" variant

	(($2 > 1)) || column="1 connection"
	for variant in $(shuf -e "${VARIANTS[@]}"); do
		load "$variant" "$2"
		sample mesh-latency "$1, p50" "$column" "$variant" "$3" "$P50"
		sample mesh-latency "$1, p99" "$column" "$variant" "$3" "$P99"
		sample mesh-requests "$1" "$column" "$variant" "$3" "$RATE"
		sample mesh-cpu "$1" "$column" "$variant" "$3" "$CPU"
	done
	[[ $1 != "1 CPU" ]] || measure_tools "$1" "$column" "$2" "$3"
}

measure_tools() { # BLOCK COLUMN CONNECTIONS ROUND
	local variant value

	for variant in $(shuf -e "${VARIANTS[@]}"); do
		value=$(by_wrk "$variant" "$3")
		sample mesh-wrk "$1" "$2" "$variant" "$4" "$value"
	done
	[[ $FORTIO ]] || return 0
	for variant in $(shuf -e "${VARIANTS[@]}"); do
		value=$(by_fortio "$variant" "$3")
		sample mesh-fortio "$1" "$2" "$variant" "$4" "$value"
	done
}

by_wrk() { # VARIANT CONNECTIONS
	local out

	out=$(wrk_for "$TOOL_MS" "${GROUP[$1]}" "$2" "http://${URL[$1]}/$SIZE")
	echo "${out%% *}"
}

by_fortio() { # VARIANT CONNECTIONS
	local out

	out=$(ask "${GROUP[$1]}" "$FORTIO" load -qps 0 -c "$2" -t "${TOOL_MS}ms" -quiet -json - \
		"http://${URL[$1]}/$SIZE" 2>"$TMP/fortio.log") || die "fortio, $1: $(<"$TMP/fortio.log")"
	jq -e 'if (.RetCodes | keys) == ["200"] then .ActualQPS else null end' <<<"$out" ||
		die "fortio, $1: $out"
}

# MiB of the processes in a cgroup.
pss() { # CGROUP
	local pid

	for pid in $(<"$ROOT/$1/cgroup.procs"); do
		cat "/proc/$pid/smaps"
	done | awk '
		/^[0-9a-f]+-[0-9a-f]+ / { map = $6 ~ /bpf-map/ }
		/^Pss:/ && !map { sum += $2 }
		END { printf "%.2f\n", sum / 1024 }'
}

# MiB of the instance's maps and programs. Links have pins, too, and no memory to speak of.
maps_memory() {
	local pin

	for pin in /sys/fs/bpf/"$ID"-sidestep/abi*/*; do
		bpftool -j map show pinned "$pin" 2>/dev/null ||
			bpftool -j prog show pinned "$pin" 2>/dev/null || :
	done | jq -s 'map(.bytes_memlock // 0) | add / 1048576'
}

measure_memory() { # ROUND
	local group value maps

	for group in haproxy envoys-tcp envoys-http; do
		value=$(pss "$group/proxy")
		tell_memory "$group" "$1" "$value"
	done
	value=$(pss daemon)
	maps=$(maps_memory)
	tell_memory sidestep-daemon "$1" "$value"
	tell_memory sidestep-maps "$1" "$maps"
	tell_memory sidestep "$1" "$(awk "BEGIN { print $value + $maps }")"
}

tell_memory() { # VARIANT ROUND VALUE
	sample mesh-memory "for one client and one server" "after the load" "$@"
}

measure_block() { # BLOCK CPU ROUND
	local n

	pin_all "$2"
	for n in $(shuf -e "${CONNECTIONS[@]}"); do
		measure_load "$1" "$n" "$3"
	done
}

measure() {
	local round cpus

	for ((round = 0; round < ROUNDS; round++)); do
		progress "round $((round + 1)) of $ROUNDS"
		for cpus in $(shuf -i 1-2); do
			((cpus == 2)) || measure_block "1 CPU" "$CLIENT_CPU" "$round"
			((cpus == 1 || CLIENT_CPU == SERVER_CPU)) ||
				measure_block "2 CPUs" "$SERVER_CPU" "$round"
		done
		measure_memory "$round"
	done
}

# That it was Sidestep that was measured, with all that was asked of it.
check_sidestep() {
	local name share

	for name in "${VARIANTS[@]:4}"; do
		share=$(spliced sidestep "$name") || die "$name: nothing is counted"
		[[ $name != sidestep-on || $share != 0 ]] || die "$name: nothing was spliced"
		note mesh-latency "$name: $(printf '%.1f' "$share") % of the bytes were spliced."
	done
	grep -q '"verdict":"allowed"' "$TMP/flows.json" ||
		die "policy did not decide, or the flow log did not tell: $(tail -n 1 "$TMP/flows.json")"
}

main() {
	need_root
	need_commands jq bpftool ip nsenter ss taskset wrk nginx haproxy
	[[ -x $SIDESTEP && -x $BUILD/tests/bench/load ]] || die "not built yet: make all tools"
	ENVOY=$("$REPO/scripts/fetch" envoy)
	bench_begin
	declare_all
	FORTIO=$("$REPO/scripts/fetch" fortio 2>"$TMP/fetch") ||
		skip mesh-fortio "" "$(tail -n 1 "$TMP/fetch")"
	make_all
	measure
	check_sidestep
}

main "$@"
