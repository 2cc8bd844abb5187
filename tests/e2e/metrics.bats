#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# The metrics' ways out: the stats file, /metrics, what the programs cost; and what becomes of
# them when the disk is full, the daemon is killed, or everybody scrapes.

load harness

node() {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	config <<-END
		node: { telemetry: { series: ${1:-10000} } }
		services:
		  - { name: web, address: 10.96.0.10, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }
		  - { name: dead, address: 10.96.0.12, port: 80, endpoints: [ { address: 127.0.0.1, port: 8082 } ] }
	END
}

# Where the daemon serves /metrics; it says so at its start.
url() {
	sed -n 's|.*metrics at \(http://[^ ]*\)|\1|p' "${OUT[$DAEMON]}.err"
}

# scrape [CURL'S OPTIONS]: into the file that `metric` reads.
scrape() {
	curl -sS --fail --max-time 10 "$@" -o "$STATS" "$(url)"
}

@test "/metrics tells of who calls whom, and is valid" {
	require_command promtool
	require_command curl
	node
	daemon_start --metrics 127.0.0.1:0 --istio-names
	call node --count 10 --send 1000 10.96.0.10:80
	call node --count 3 10.96.0.12:80
	scrape
	[ "$(metric sidestep_edge_connections_opened_total service=web reporter=source)" -eq 10 ]
	[ "$(metric sidestep_edge_connections_failed_total service=dead reason=refused)" -eq 3 ]
	[ "$(metric sidestep_connect_seconds_count service=web)" -eq 10 ]
	[ "$(metric istio_tcp_connections_opened_total destination_service_name=dead)" -eq 3 ]
	[ "$(metric istio_tcp_connections_closed_total destination_service_name=dead \
		response_flags=CONNECT)" -eq 3 ]
	run -0 promtool check metrics <"$STATS"
	# nothing but that two of Istio's names have the unit before the end
	[ -z "$output" ]
	scrape -D "$BATS_TEST_TMPDIR/head" -H 'Accept: application/openmetrics-text; version=1.0.0'
	grep -qi '^content-type: application/openmetrics-text' "$BATS_TEST_TMPDIR/head"
	[ "$(tail -1 "$STATS")" = "# EOF" ]
}

@test "a flow that failed is the exemplar of its edge" {
	local follow

	require_command curl
	node
	daemon_start --metrics 127.0.0.1:0
	background "$SIDESTEP" flows "${OPTIONS[@]}" --follow -o json
	follow=$PID
	sleep 0.5
	call node 10.96.0.12:80
	wait_until 10 grep -q '"failed"' "${OUT[$follow]}"
	finish "$follow"
	scrape -H 'Accept: application/openmetrics-text'
	[[ $(grep '^sidestep_edge_connections_failed_total.*refused' "$STATS") == \
		*"# {flow=$(value 'select(.event == "failed").flow | @json')} 1.0"* ]]
}

@test "a storm of scrapes is answered from few readings" {
	local storm=()

	require_command curl
	node
	daemon_start --metrics 127.0.0.1:0
	for _ in 1 2 3 4; do
		background curl -sS --fail --max-time 20 "$(url)?[1-100]"
		storm+=("$PID")
	done
	wait_until 30 none_runs "${storm[@]}"
	sleep 1 # the text of before is told again for a while
	scrape
	# how many readings there were depends on the machine; that they were few does not
	[ "$(metric sidestep_scrapes_total text=again)" -ge 300 ]
	[ "$(metric sidestep_scrapes_total)" -ge 401 ]
	daemon_answers
}

@test "while figures are read and written, changes and other requests go on" {
	local scrape page

	require_command curl
	node
	mkfifo "$STATS.series" # whoever reads it at its start sticks there until somebody writes
	daemon_start --metrics 127.0.0.1:0 --web 127.0.0.1:0
	background curl -sS --fail "$(url)"
	scrape=$PID
	background curl -sS --fail "$(sed -n 's|.*the page is at \(http://[^ ]*\)|\1|p' \
		"${OUT[$DAEMON]}.err")api/state"
	page=$PID
	sed 's/name: dead/name: late/' "$CONF" | config
	wait_until 10 is_listed late
	[ "$(curl -sS --fail --max-time 10 "$(url | sed 's/metrics$/livez/')")" = ok ]
	runs "$scrape"
	runs "$page"
	[ ! -e "$STATS" ]
	: >"$STATS.series"
	await_end "$scrape" >/dev/null
	[ "$status" -eq 0 ]
	grep -q 'opened_total{service="late"' <<<"$output"
	await_end "$page" >/dev/null
	[ "$status" -eq 0 ]
	check '.services.total == 2'
	wait_until 10 test -e "$STATS"
}

is_listed() {
	sidestep services -o json | jq -e --arg name "$1" 'any(.[]; .service == $name)' >/dev/null
}

@test "a port in use is told, and nothing is loaded" {
	node
	daemon_start --metrics 127.0.0.1:0
	try "$SIDESTEP" run -f "$CONF" --pin "$PIN-two" --cgroup "$CG" --cache "$BATS_TEST_TMPDIR/c2" \
		--socket "$BATS_TEST_TMPDIR/two" --stats "$BATS_TEST_TMPDIR/two.prom" \
		--metrics "$(url | sed 's|http://||; s|/metrics||')"
	[ "$status" -eq 1 ]
	[[ $stderr == *"in use"* ]]
	[ ! -e "$PIN-two" ]
	try sidestep run -f "$CONF" --metrics nonsense
	[ "$status" -eq 2 ]
}

@test "no more series than the budget, and no counter goes back when the daemon is killed" {
	local port before after

	node 600
	daemon_start
	for port in {8100..8160}; do
		pod_start node "$TOOLS/caller" --count 3 "127.0.0.1:$port"
	done
	stats_fresh
	[ "$(grep -vc '^#' "$STATS")" -le 600 ]
	[ "$(metric sidestep_export_series_folded kind=edge)" -gt 0 ]
	[ "$(metric sidestep_edge_connections_failed_total source=other)" -gt 0 ]
	before=$(mktemp -p "$BATS_TEST_TMPDIR")
	after=$(mktemp -p "$BATS_TEST_TMPDIR")
	grep -E '^[a-z_]+_total' "$STATS" | grep -v _daemon_ | LC_ALL=C sort >"$before"
	finish "$DAEMON" KILL
	daemon_start
	stats_fresh
	grep -E '^[a-z_]+_total' "$STATS" | grep -v _daemon_ | LC_ALL=C sort >"$after"
	# labels may hold blanks
	run -0 awk 'NR == FNR { v = $NF; sub(/ [^ ]*$/, ""); was[$0] = v; next }
		{ v = $NF; sub(/ [^ ]*$/, ""); now[$0] = v }
		END { for (s in was) if (!(s in now) || now[s] + 0 < was[s] + 0) {
			print s, was[s], now[s]; bad = 1 } exit bad }' "$before" "$after"
}

@test "a full disk is counted and told once, and the data path goes on" {
	local disk=$BATS_TEST_TMPDIR/disk

	node
	mkdir "$disk"
	mount -t tmpfs -o size=256k tmpfs "$disk"
	STATS=$disk/sidestep.prom
	OPTIONS+=(--stats "$STATS" --metrics 127.0.0.1:0)
	# "run" alone takes --metrics
	background "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF"
	DAEMON=$PID
	OPTIONS=("${OPTIONS[@]:0:${#OPTIONS[@]}-2}")
	wait_until 20 test -s "$STATS"
	head -c 1M /dev/zero >"$disk/filler" || :
	wait_until 20 grep -q 'cannot be written' "${OUT[$DAEMON]}.err"
	sleep 6 # one more failure
	call node --count 5 10.96.0.10:80
	check '.ok == 5'
	[ "$(grep -c 'sidestep.prom cannot be written' "${OUT[$DAEMON]}.err")" -eq 1 ]
	STATS=$BATS_TEST_TMPDIR/scraped scrape
	[ "$(STATS=$BATS_TEST_TMPDIR/scraped metric sidestep_stats_file_failures_total)" -ge 1 ]
	rm "$disk/filler"
	wait_until 20 grep -q 'is written again' "${OUT[$DAEMON]}.err"
	finish "$DAEMON"
	umount "$disk"
}

@test "status --cost measures the programs, and says what measuring takes" {
	node
	sidestep load -f "$CONF"
	pod_start node "$TOOLS/caller" --until-signal --interval-ms 1 10.96.0.10:80
	try sidestep status --cost 1 -o json
	check '.seconds >= 1 and .included_ns > 0 and .included_ns < 10000'
	check '.programs[] | select(.program == "sst_connect4") | .runs > 10 and .ns_per_run > 0'
	check 'all(.programs[]; .runs >= 0 and (.runs > 0 or .run_time_ns == 0))'
	run -0 sidestep status --cost
	[[ $output == *"sst_sockops"*"measuring added about"* ]]
	try sidestep status 5
	[ "$status" -eq 2 ]
	try sidestep status --cost none
	[ "$status" -eq 2 ]
}
