#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Telemetry: events a second, what a flow and a message cost, scrapes, listings of live flows
#
# Costs are measured against no Sidestep, in turn, each variant on a cgroup of its own (connections.c).
# Scrapes and listings have nothing to be compared with; they are measured by size.
set -euo pipefail
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"

SPENT=$BUILD/tests/bench/spent
SERVER=10.78.0.2
CLIENT=10.78.0.3
PORT=9000 # of the first variant

SINKS=(count filter null pipe file)
VARIANTS=(none "none again" "edges off" "edges on" "edges on, events")
ENDPOINTS=(100 1000 10000 100000)
EDGES=(1000 10000)
FLOWS=(1000 10000 50000)
[[ ! $QUICK ]] || ENDPOINTS=(100 10000) EDGES=(1000) FLOWS=(1000 10000)

EVENTS_MS=${QUICK:+50}
EVENTS_MS=${EVENTS_MS:-100}
COST_MS=${QUICK:+100}
COST_MS=${COST_MS:-300}
PER_CROWD=10000 # flows of a process, which may open so many files

declare -A DAEMONS=() URLS=() READY=() # by instance: its daemon, /metrics, when a scrape is a new one

# declare_sizes TEST TITLE THING SIZE...
declare_sizes() {
	local columns=() size

	for size in "${@:4}"; do
		columns+=("$(with_commas "$size") $3")
	done
	declare_test "$1" 8 ms less "$2" "$(list sidestep)" "$(list time "CPU time")" \
		"$(list "${columns[@]}")" "$(jq -nc '{sizes: $ARGS.positional, ratios: false}' \
			--jsonargs "${@:4}")"
}

# take TEST THING SIZE ROUND MS CPU_MS
take() {
	sample "$1" time "$(with_commas "$3") $2" sidestep "$4" "$5"
	sample "$1" "CPU time" "$(with_commas "$3") $2" sidestep "$4" "$6"
}

# ---- events ------------------------------------------------------------------------------------

declare_events() {
	local test

	for test in events events-lost; do
		[[ $test == events ]] && set -- M/s more "Events a second, by where they go" \
			"without a loss" "at full speed" "at full speed, of CPU time"
		[[ $test == events ]] || set -- % less "Events lost at full speed" lost
		declare_test $test 8 "$1" "$2" "$3" "$(list sidestep)" "$(list "${@:4}")" \
			"$(list "${SINKS[@]}")" '{"ratios": false}'
	done
	note events "A program writes them on CPU $CLIENT_CPU, the daemon's reader is on CPU $SERVER_CPU; \
a line has 1.1 KB. count: nothing but read; filter: one that takes none; file: in memory (/dev/shm)."
	((CLIENT_CPU != SERVER_CPU)) || skip events "" "the machine has one CPU"
}

measure_events() { # ROUND
	local sink rate cpu_rate lost without sinks

	((CLIENT_CPU != SERVER_CPU)) || return 0
	mapfile -t sinks < <(shuf -e "${SINKS[@]}")
	"$BUILD/tests/bench/events" --ms "$EVENTS_MS" --writer "$CLIENT_CPU" --reader "$SERVER_CPU" \
		"${sinks[@]}" >"$TMP/events" || die "events: failed"
	while read -r sink rate cpu_rate lost without; do
		sample events "without a loss" "$sink" sidestep "$1" "$without"
		sample events "at full speed" "$sink" sidestep "$1" "$rate"
		sample events "at full speed, of CPU time" "$sink" sidestep "$1" "$cpu_rate"
		sample events-lost lost "$sink" sidestep "$1" "$lost"
	done <"$TMP/events"
}

# ---- what a flow and a message cost -------------------------------------------------------------

name_of() { # VARIANT
	tr -d , <<<"${1// /-}"
}

write_cost_file() { # VARIANT
	local port telemetry="edges: 10000"

	port=$(port_of "$1" "${VARIANTS[@]}")
	[[ $1 != "edges off" ]] || telemetry="edges: 0"
	[[ $1 != *events ]] || telemetry+=", flow-log: { file: /dev/null }"
	cat <<-END
		node: { splice: off, telemetry: { $telemetry } }
		services:
		  - name: called
		    address: 10.96.1.1
		    ports:
		      - { name: tcp, port: $port }
		      - { name: udp, port: $port, protocol: UDP }
		    endpoints: [ { address: $SERVER } ]
	END
}

make_variants() {
	local variant name

	make_pods "client=$CLIENT/24" "server=$SERVER/24"
	# with few ports there is soon one in TIME_WAIT for each, and no more of them from then on
	for name in client server; do
		nsenter --net="$(netns "$name")" \
			sh -c 'echo 10000 12047 >/proc/sys/net/ipv4/ip_local_port_range'
	done
	for variant in "${VARIANTS[@]}"; do
		name=$(name_of "$variant")
		make_cgroup "$name"
		write_cost_file "$variant" >"$TMP/$name.yaml"
		case $variant in
		none*) ;;
		*events) run_instance "$name" -f "$TMP/$name.yaml" ;;
		*) load_instance "$name" "$TMP/$name.yaml" ;;
		esac
	done
}

declare_costs() {
	declare_test flow-cost 8 us less "Connect, request, answer, close" "$(list "${VARIANTS[@]}")" \
		"$(list "time, p50" "CPU time")" "$(list veth)"
	declare_test message-cost 8 us less "Round trip of 64 bytes" \
		"$(list "${VARIANTS[@]::4}")" "$(list "time, p50" "CPU time")" "$(list TCP UDP)"
	note flow-cost "Both ends on CPU $CLIENT_CPU. events: the daemon writes a flow log to /dev/null, \
on whatever CPU is free."
	note message-cost "Both ends on CPU $CLIENT_CPU, veth, splice off."
}

# measure_cost TEST COLUMN ROUND VARIANT... [-- OPTION...]
measure_cost() {
	local test=$1 column=$2 round=$3 name variant time cpu called ways=()
	local -A variants=()

	shift 3
	for (( ; $#; )); do
		[[ $1 == -- ]] && shift && break
		name=$(name_of "$1")
		variants[$name]=$1
		called=10.96.1.1
		[[ $1 != none* ]] || called=$SERVER
		ways+=("$name,$ROOT/$name,$ROOT/$name,$called:$(port_of "$1" "${VARIANTS[@]}"),$SERVER:$(port_of "$1" "${VARIANTS[@]}")")
		shift
	done
	chrt -f 10 "$BUILD/tests/bench/connections" --client "$(netns client),$CLIENT_CPU" \
		--server "$(netns server),$CLIENT_CPU" --ms "$COST_MS" "$@" "${ways[@]}" \
		>"$TMP/figures" || die "$test, $column: failed"
	while read -r name _ time _ _ _ cpu; do
		variant=${variants[$name]}
		sample "$test" "time, p50" "$column" "$variant" "$round" "$time"
		sample "$test" "CPU time" "$column" "$variant" "$round" "$cpu"
	done <"$TMP/figures"
}

measure_costs() { # ROUND
	measure_cost flow-cost veth "$1" "${VARIANTS[@]}"
	measure_cost message-cost TCP "$1" "${VARIANTS[@]::4}" -- --messages tcp
	measure_cost message-cost UDP "$1" "${VARIANTS[@]::4}" -- --messages udp
}

# ---- scrapes -----------------------------------------------------------------------------------

# write_services N ENDPOINTS [ADDRESS]: N services of so many endpoints each; with one, it is ADDRESS.
write_services() {
	awk -v n="$1" -v endpoints="$2" -v address="${3:-}" '
		function quad(first, i) { return first + int(i / 65536) "." int(i / 256) % 256 "." i % 256 }
		BEGIN {
			print "node: { splice: off, telemetry: { edges: 20000 } }"
			print "services:"
			for (i = 0; i < n; i++) {
				printf "  - { name: s%d, address: 10.%s, port: 80, target: 8080, endpoints: [", i, quad(96, i)
				for (j = 0; j < endpoints; j++)
					printf " { address: %s },", endpoints == 1 ? address : "10." quad(128, i * endpoints + j)
				print " ] }"
			}
		}'
}

# run_scraped INSTANCE: with $TMP/INSTANCE.yaml.
run_scraped() {
	run_instance "$1" -f "$TMP/$1.yaml" --metrics 127.0.0.1:0
	DAEMONS[$1]=$DAEMON
	URLS[$1]=$(sed -n 's|.*metrics at \(http://[^ ]*\)|\1|p' "$TMP/$1.log")
	READY[$1]=0
}

now_ms() {
	echo "${EPOCHREALTIME/./}" | cut -c -13
}

cpu_ms() { # PID
	cat /proc/"$1"/task/*/schedstat | awk '{ ns += $1 } END { printf "%.3f\n", ns / 1e6 }'
}

# scrape INSTANCE: sets MS and CPU_MS. Who comes within nine times of what the last one took gets
# the same text, which is not what is measured.
scrape() {
	local before rest seconds

	rest=$((READY[$1] - $(now_ms)))
	((rest <= 0)) || sleep "$(printf '%d.%03d' $((rest / 1000)) $((rest % 1000)))"
	before=$(cpu_ms "${DAEMONS[$1]}")
	seconds=$(curl -sS --fail --max-time 60 -o /dev/null -w '%{time_total}' "${URLS[$1]}") ||
		die "$1: the scrape failed"
	CPU_MS=$(jq -n "$(cpu_ms "${DAEMONS[$1]}") - $before")
	MS=$(jq -n "$seconds * 1000")
	READY[$1]=$(($(now_ms) + ${MS%.*} * 10 + 150))
}

# In a namespace of its own: an echoserver for so many.
serve_in() { # INSTANCE PORT
	(
		ulimit -n "$(ulimit -Hn)"
		enter "$1" "$1" "$BUILD/tests/tools/echoserver" "127.0.0.1:$2"
	) >"$TMP/$1.$2.server" 2>&1 &
	PIDS+=("$!")
	wait_until 10 grep -qs ^ready "$TMP/$1.$2.server" || die "$1: no server"
}

make_edges() { # N
	local name=edges-$1

	write_services "$1" 1 127.0.0.1 >"$TMP/$name.yaml"
	make_netns "$name"
	run_scraped "$name"
	serve_in "$name" 8080
	# shellcheck disable=SC2016 # that shell's
	(enter "$name" "$name" bash -c 'for ((i = 0; i < $1; i++)); do
			exec 3<>"/dev/tcp/10.$((96 + i / 65536)).$((i / 256 % 256)).$((i % 256))/80" && exec 3>&- || exit
		done' bash "$1") || die "$name: a connection failed"
	[[ $(of "$name" edges -o json | jq length) == "$1" ]] || die "$name: there are not as many"
}

hold_crowd() { # INSTANCE PORT FLOWS
	(
		ulimit -n "$(ulimit -Hn)"
		enter "$1" "$1" "$BUILD/tests/tools/crowd" --flows "$3" --rounds 1 --size 8 --hold \
			"127.0.0.1:$2"
	) >"$TMP/$1.$2.crowd" 2>&1 &
	PIDS+=("$!")
	wait_until 120 grep -qs ^ready "$TMP/$1.$2.crowd" || die "$1: $(<"$TMP/$1.$2.crowd")"
}

make_flows() { # N
	local name=flows-$1 port=8080 left=$1 now

	write_services 1 1 127.0.0.1 >"$TMP/$name.yaml"
	make_netns "$name"
	run_scraped "$name"
	for (( ; left; left -= now, port++)); do
		now=$((left < PER_CROWD ? left : PER_CROWD))
		serve_in "$name" "$port"
		hold_crowd "$name" "$port" "$now"
	done
	[[ $(of "$name" flows -o json | jq length) == "$1" ]] || die "$name: not all are listed"
}

make_scraped() {
	local n

	for n in "${ENDPOINTS[@]}"; do
		write_services $((n / 10)) 10 >"$TMP/endpoints-$n.yaml"
		run_scraped "endpoints-$n"
	done
	for n in "${EDGES[@]}"; do
		make_edges "$n"
	done
	for n in "${FLOWS[@]}"; do
		make_flows "$n"
	done
}

declare_scrapes() {
	declare_sizes scrape "A scrape of /metrics, by endpoints" endpoints "${ENDPOINTS[@]}"
	declare_sizes scrape-edges "A scrape of /metrics, by edges" edges "${EDGES[@]}"
	declare_sizes scrape-flows "A scrape of /metrics, by live flows" "live flows" "${FLOWS[@]}"
	note scrape "With the metrics' budget as it is by itself, 10,000 series. Changes do not wait meanwhile."
	declare_sizes flows "sidestep flows -o json" "live flows" "${FLOWS[@]}"
	note flows "The programme's begin and two walks included."
}

measure_scrapes() { # ROUND
	local n

	for n in $(shuf -e "${ENDPOINTS[@]}"); do
		scrape "endpoints-$n"
		take scrape endpoints "$n" "$1" "$MS" "$CPU_MS"
	done
	for n in $(shuf -e "${EDGES[@]}"); do
		scrape "edges-$n"
		take scrape-edges edges "$n" "$1" "$MS" "$CPU_MS"
	done
	for n in $(shuf -e "${FLOWS[@]}"); do
		scrape "flows-$n"
		take scrape-flows "live flows" "$n" "$1" "$MS" "$CPU_MS"
	done
}

measure_listings() { # ROUND
	local n WORDS line

	for n in $(shuf -e "${FLOWS[@]}"); do
		words_of "flows-$n" flows -o json
		line=$("$SPENT" "${WORDS[@]}") || die "flows: failed"
		read -r MS CPU_MS _ <<<"$line"
		take flows "live flows" "$n" "$1" "$MS" "$CPU_MS"
	done
}

# ---- all -----------------------------------------------------------------------------------------

# Events and costs while nothing else is there; then the daemons.
measure_all() {
	local round

	declare_events
	declare_costs
	make_variants
	for ((round = 0; round < ROUNDS; round++)); do
		measure_events "$round"
		measure_costs "$round"
		progress "events and costs, round $((round + 1)) of $ROUNDS"
	done
	declare_scrapes
	make_scraped
	for ((round = 0; round < ROUNDS; round++)); do
		measure_scrapes "$round"
		measure_listings "$round"
		progress "scrapes and listings, round $((round + 1)) of $ROUNDS"
	done
}

bench_begin
need_root
need_commands jq ip nsenter chrt curl
measure_all
