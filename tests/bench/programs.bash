#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Real programs: redis, PostgreSQL, memcached, nginx with files and as a proxy, iperf3
#
# Their own benchmarks, as pods of a node, without Sidestep ("tcp") and by a service of each of the
# splice's modes.
#
# tcp has a cgroup and servers of its own, the modes share theirs. All servers are alive at the
# same time, and idle but for the one that is called.
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"
# shellcheck source=tests/bench/servers.bash
source "${BASH_SOURCE[0]%/*}/servers.bash"

CLIENT=10.78.0.3
SERVER=10.78.0.2
PROXY=10.78.0.4

MODES=(off auto on)
VARIANTS=(tcp) # that can be measured here, in any program
PROXIED=(tcp)  # likewise, by nginx as a proxy
# By program: its port, for tcp; a hundred more for those in Sidestep's cgroup. nginx has a service
# for small files and one for large ones, which are counted apart.
declare -A PORTS=([redis]=6000 [pgbench]=6001 [memcached]=6002 [nginx]=6003 [nginx-large]=6003
	[iperf3]=6004)
PROGRAMS=(redis pgbench memcached nginx nginx-large iperf3 proxy)
declare -A GROUP=([tcp]=tcp [off]=mesh [auto]=mesh [on]=mesh)

POSTGRES=(setpriv --reuid postgres --regid postgres --clear-groups env -C / LC_ALL=C)
PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)

MS=$((${QUICK:-0} ? 40 : 100))
TOOL_MS=300 # wrk looks at its counts each 100 ms
SHARE=$((${QUICK:-0} ? 4 : 1))

# ---- surroundings ------------------------------------------------------------------------

# address MODE PROGRAM: of the service, or for tcp of the server itself.
address() {
	local n

	case $1 in
	tcp) [[ $2 == proxy ]] && echo "$PROXY" || echo "$SERVER" ;;
	*)
		n=$(printf '%s\n' "${PROGRAMS[@]}" | grep -nx -- "$2")
		echo "10.96.$(mode_number "$1").${n%%:*}"
		;;
	esac
}

mode_number() {
	local i

	for i in "${!MODES[@]}"; do
		[[ ${MODES[i]} != "$1" ]] || echo "$i"
	done
}

# port VARIANT PROGRAM: that clients call. A service has the port of its server.
port() {
	case $1 in
	tcp) [[ $2 == proxy ]] && echo 7000 || echo "${PORTS[$2]}" ;;
	*) [[ $2 == proxy ]] && echo $((7001 + $(mode_number "$1"))) || echo $((PORTS[$2] + 100)) ;;
	esac
}

sidestep_yaml() {
	local mode program endpoint

	echo "services:"
	for mode in "${MODES[@]}"; do
		for program in "${PROGRAMS[@]}"; do
			endpoint=$SERVER
			[[ $program != proxy ]] || endpoint=$PROXY
			echo "  - { name: $program-$mode, address: $(address "$mode" "$program")," \
				"port: $(port "$mode" "$program"), splice: $mode," \
				"endpoints: [ { address: $endpoint } ] }"
		done
	done
}

make_all() {
	make_pods client=$CLIENT/24 server=$SERVER/24 proxy=$PROXY/24
	make_files 1024 65536
	sidestep_yaml >"$TMP/sidestep.yaml"
	run_instance mesh -f "$TMP/sidestep.yaml"
	make_cgroup tcp/client
	make_cgroup mesh/client
	make_cluster
	make_servers tcp 0
	make_servers mesh 100
	find_variants
}

# PostgreSQL's data. It is filled once, and then copied.
make_cluster() {
	install -d -o postgres "$TMP/pg-tcp"
	"${POSTGRES[@]}" "$PG_BIN/initdb" -D "$TMP/pg-tcp" -A trust -U postgres -N >"$TMP/initdb" 2>&1 ||
		die "initdb: $(<"$TMP/initdb")"
	echo "host all all 10.78.0.0/24 trust" >>"$TMP/pg-tcp/pg_hba.conf"
	cat >>"$TMP/pg-tcp/postgresql.conf" <<-END
		listen_addresses = '$SERVER'
		unix_socket_directories = ''
		fsync = off
		autovacuum = off
	END
	cp -a "$TMP/pg-tcp" "$TMP/pg-mesh"
}

make_servers() { # CGROUP PORTS_ADDED
	local added=$2 data=$TMP/redis-$1 port

	mkdir "$data"
	port=$((PORTS[redis] + added))
	serve "$1/server" server "$port" redis-server --port "$port" --bind "$SERVER" \
		--protected-mode no --save '' --dir "$data"
	port=$((PORTS[memcached] + added))
	serve "$1/server" server "$port" memcached -u nobody -l "$SERVER" -p "$port" -U 0
	nginx_files "$1/server" server $((PORTS[nginx] + added))
	port=$((PORTS[iperf3] + added))
	serve "$1/server" server "$port" iperf3 -s -p "$port"
	port=$((PORTS[pgbench] + added))
	serve "$1/server" server "$port" "${POSTGRES[@]}" "$PG_BIN/postgres" -D "$TMP/pg-$1" -p "$port"
	fill "$1" "$port"
	make_proxy "$1"
}

# What clients will ask for.
fill() { # CGROUP PORT
	wait_until 20 ask "$1" pg_isready -q -h "$SERVER" -p "$2" || die "PostgreSQL does not answer"
	ask "$1" pgbench -U postgres -h "$SERVER" -p "$2" -q -i -s 1 postgres >"$TMP/fill" 2>&1 ||
		die "pgbench -i: $(<"$TMP/fill")"
	ask "$1" "$BUILD/tests/bench/load" set \
		"$SERVER:$(($2 - PORTS[pgbench] + PORTS[memcached]))" 1024 1 1 >/dev/null
}

# A port for each variant, since behind it is that variant's service. Connections to it are kept.
make_proxy() { # CGROUP
	local variant port

	for variant in tcp "${MODES[@]}"; do
		[[ ${GROUP[$variant]} == "$1" ]] || continue
		port=$(port "$variant" proxy)
		cat <<-END
			upstream back-$variant {
				server $(address "$variant" nginx):$(port "$variant" nginx);
				keepalive 64;
				keepalive_requests 1000000000;
			}
			server {
				listen $port;
				location / {
					proxy_pass http://back-$variant;
					proxy_http_version 1.1;
					proxy_set_header Connection "";
				}
			}
		END
	done | nginx "$1/proxy" proxy "$(port "$([[ $1 == tcp ]] && echo tcp || echo off)" proxy)"
}

# nginx as a proxy waits edge-triggered and asks FIONREAD how much is there.
find_variants() {
	local mode

	for mode in "${MODES[@]}"; do
		if can_splice mesh "$mode"; then
			VARIANTS+=("$mode")
			PROXIED+=("$mode")
		else
			skip_all "$mode" "$REASON"
		fi
	done
	can_splice mesh on && ! can_splice mesh auto || return 0
	PROXIED=(tcp off)
	skip nginx-proxy on "nginx asks FIONREAD: $REASON"
	skip nginx-proxy-latency on "nginx asks FIONREAD: $REASON"
}

# ---- what is told ------------------------------------------------------------------------

declare_both() { # TEST TITLE PERCENTILES COLUMN...: "", or how the latency is told
	local blocks=("1 CPU") block latencies=() how

	((CLIENT_CPU == SERVER_CPU)) || blocks+=("2 CPUs")
	declare_test "$1" 6 1/s more "$2, requests a second" "$(list tcp "${MODES[@]}")" \
		"$(list "${blocks[@]}")" "$(list "${@:4}")"
	for block in "${blocks[@]}"; do
		for how in $3; do
			latencies+=("$block, $how")
		done
	done
	declare_test "$1-latency" 6 us less "$2, latency" "$(list tcp "${MODES[@]}")" \
		"$(list "${latencies[@]}")" "$(list "${@:4}")"
	TESTS+=("$1" "$1-latency")
}

declare_all() {
	local blocks=("1 CPU")

	((CLIENT_CPU == SERVER_CPU)) || blocks+=("2 CPUs")
	TESTS=()
	declare_both redis "redis" "mean p99" "GET, 1" "SET, 1" "GET, 50" "SET, 50" \
		"GET, 1 x 16" "SET, 1 x 16" "GET, 50 x 16" "SET, 50 x 16"
	declare_both pgbench "PostgreSQL" mean "-c 1" "-c 8"
	declare_both memcached "memcached, 1 KB" "p50 p99" "get, 1" "set, 1" "get, 50" "set, 50"
	declare_both nginx "nginx with files" "p50 p99" "1 KB, 32" "64 KB, 32"
	declare_both nginx-proxy "nginx as a proxy" "p50 p99" "1 KB, 32" "64 KB, 32"
	declare_test iperf3 6 Gbit/s more "iperf3" "$(list tcp "${MODES[@]}")" \
		"$(list "${blocks[@]}")" "$(list "1 stream")"
	TESTS+=(iperf3)
	declare_shares
	tell_notes
}

declare_shares() {
	jq -nc --argjson variants "$(list "${MODES[@]}")" \
		--argjson columns "$(list redis pgbench memcached "nginx 1 KB" "nginx 64 KB" iperf3 "nginx-proxy")" '{
			test: "programs-spliced", row: 6, unit: "%", better: "more", ratios: false,
			title: "Share of the bytes that went past TCP", $variants, blocks: ["all"], $columns }' \
		>>"$BENCH_SAMPLES"
}

skip_all() { # VARIANT REASON
	local test

	for test in "${TESTS[@]}" programs-spliced; do
		skip "$test" "$1" "$2"
	done
}

tell_notes() {
	note redis "redis-benchmark: GET or SET of 3 bytes, connections x requests in a pipeline."
	note pgbench "pgbench -S, scale 1, that many clients."
	note memcached "Values of 1 KB, that many connections; tests/bench/load."
	note nginx "wrk, that many connections; sendfile and tcp_nopush on, as Debian has it."
	note nginx-proxy "wrk, a proxy in a third namespace, nginx with files behind it."
	note iperf3 "1 CPU: all on CPU $CLIENT_CPU. 2 CPUs: clients on $CLIENT_CPU, all servers on \
$SERVER_CPU. So for all of these programs."
}

# ---- measuring: each sets up to four samples -------------------------------------------------

# tell TEST COLUMN RATE [HOW LATENCY]...: for BLOCK, VARIANT and ROUND.
tell() {
	local test=$1 column=$2

	sample "$test" "$BLOCK" "$column" "$VARIANT" "$ROUND" "$3"
	shift 3
	while (($#)); do
		sample "$test-latency" "$BLOCK, $1" "$column" "$VARIANT" "$ROUND" "$2"
		shift 2
	done
}

# at PROGRAM: sets HOST and PORT.
at() {
	HOST=$(address "$VARIANT" "$1")
	PORT=$(port "$VARIANT" "$1")
}

measure_redis() { # CONNECTIONS PIPELINE REQUESTS
	local out name rate mean p99 suffix=

	(($2 == 1)) || suffix=" x $2"
	at redis
	out=$(ask "${GROUP[$VARIANT]}" redis-benchmark -h "$HOST" -p "$PORT" --csv -t get,set \
		-c "$1" -P "$2" -n "$(($3 / SHARE))") || die "redis-benchmark, $VARIANT: $out"
	while IFS=, read -r name rate mean _ _ _ p99 _; do
		[[ $name == GET || $name == SET ]] || continue
		tell redis "$name, $1$suffix" "$rate" mean "$(us "$mean")" p99 "$(us "$p99")"
	done < <(tr -d '"' <<<"$out")
	[[ $out == *'"GET"'* && $out == *'"SET"'* ]] || die "redis-benchmark, $VARIANT: $out"
}

# us MILLISECONDS
us() {
	awk "BEGIN { print $1 * 1000 }"
}

measure_pgbench() { # CLIENTS TRANSACTIONS
	local out rate mean

	at pgbench
	out=$(ask "${GROUP[$VARIANT]}" pgbench -U postgres -h "$HOST" -p "$PORT" -n -S -c "$1" \
		-t "$(($2 / SHARE))" postgres 2>&1) || die "pgbench, $VARIANT: $out"
	[[ $out == *"failed transactions: 0 "* ]] || die "pgbench, $VARIANT: $out"
	rate=$(sed -nE 's/^tps = ([0-9.]+) \(without.*/\1/p' <<<"$out")
	mean=$(sed -nE 's/^latency average = ([0-9.]+) ms/\1/p' <<<"$out")
	tell pgbench "-c $1" "$rate" mean "$(us "$mean")"
}

measure_memcached() { # get|set CONNECTIONS
	local out rate p50 p99

	at memcached
	out=$(ask "${GROUP[$VARIANT]}" "$BUILD/tests/bench/load" "$1" "$HOST:$PORT" 1024 "$2" "$MS") ||
		die "memcached, $VARIANT: failed"
	read -r rate p50 p99 _ <<<"$out"
	tell memcached "$1, $2" "$rate" p50 "$p50" p99 "$p99"
}

measure_nginx() { # TEST PROGRAM SIZE
	local out rate p50 p99

	at "$2"
	out=$(wrk_for "$TOOL_MS" "${GROUP[$VARIANT]}" 32 "http://$HOST:$PORT/$3")
	read -r rate p50 p99 <<<"$out"
	tell "$1" "$(($3 / 1024)) KB, 32" "$rate" p50 "$p50" p99 "$p99"
}

measure_iperf3() {
	local out

	at iperf3
	out=$(ask "${GROUP[$VARIANT]}" iperf3 -c "$HOST" -p "$PORT" -n "$((400 / SHARE))M" -J) ||
		die "iperf3, $VARIANT: $out"
	out=$(jq -e '.end.sum_received.bits_per_second / 1e9' <<<"$out")
	sample iperf3 "$BLOCK" "1 stream" "$VARIANT" "$ROUND" "$out"
}

# What is compared, right after one another.
each() { # COMMAND...
	for VARIANT in $(shuf -e "${VARIANTS[@]}"); do
		"$@"
	done
}

each_proxied() {
	for VARIANT in $(shuf -e "${PROXIED[@]}"); do
		"$@"
	done
}

measure_block() { # BLOCK CPU
	BLOCK=$1
	pin_all "$2"
	each measure_redis 1 1 8000
	each measure_redis 50 1 10000
	each measure_redis 1 16 50000
	each measure_redis 50 16 100000
	each measure_pgbench 1 2000
	each measure_pgbench 8 400
	each measure_memcached get 1
	each measure_memcached set 1
	each measure_memcached get 50
	each measure_memcached set 50
	each measure_nginx nginx nginx 1024
	each measure_nginx nginx nginx-large 65536
	each_proxied measure_nginx nginx-proxy proxy 1024
	each_proxied measure_nginx nginx-proxy proxy 65536
	each measure_iperf3
}

measure() {
	local cpus

	for ((ROUND = 0; ROUND < ROUNDS; ROUND++)); do
		progress "round $((ROUND + 1)) of $ROUNDS"
		for cpus in $(shuf -i 1-2); do
			((cpus == 2)) || measure_block "1 CPU" "$CLIENT_CPU"
			((cpus == 1 || CLIENT_CPU == SERVER_CPU)) || measure_block "2 CPUs" "$SERVER_CPU"
		done
	done
}

# That it was Sidestep that was measured. A stream is left to TCP, and so may large answers be.
tell_shares() {
	tell_share redis redis "${VARIANTS[@]:1}"
	tell_share pgbench pgbench "${VARIANTS[@]:1}"
	tell_share memcached memcached "${VARIANTS[@]:1}"
	tell_share nginx "nginx 1 KB" "${VARIANTS[@]:1}"
	tell_share nginx-large "nginx 64 KB" "${VARIANTS[@]:1}"
	tell_share iperf3 iperf3 "${VARIANTS[@]:1}"
	tell_share proxy nginx-proxy "${PROXIED[@]:1}"
}

tell_share() { # PROGRAM COLUMN MODE...
	local mode share

	for mode in "${@:3}"; do
		share=$(spliced mesh "$1-$mode") || die "$1, $mode: nothing is counted"
		[[ $mode == off || $1 == nginx-large || $1 == iperf3 || $share != 0 ]] ||
			die "$1, $mode: nothing was spliced"
		sample programs-spliced all "$2" "$mode" 0 "$share"
	done
}

main() {
	need_root
	need_commands jq ip nsenter ss taskset wrk nginx redis-server redis-benchmark memcached \
		pgbench iperf3 setpriv
	[[ -x $PG_BIN/postgres ]] || die "PostgreSQL's server is missing: run scripts/setup"
	[[ -x $SIDESTEP && -x $BUILD/tests/bench/load ]] || die "not built yet: make all tools"
	bench_begin
	declare_all
	make_all
	measure
	tell_shares
}

main "$@"
