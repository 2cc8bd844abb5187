#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# The Grafana dashboard of deploy/: its queries are put to a real Prometheus that scrapes a real
# node_exporter with the stats file, and the daemon itself, while there is traffic of each kind.
# A query that may have no answer says why, in a member that Grafana does not know: mayBeEmpty.

load harness

DASHBOARD=$BATS_TEST_DIRNAME/../../deploy/grafana/sidestep.json

@test "the dashboard has the form that Grafana reads" {
	run -0 jq -e '
		.uid == "sidestep" and .title == "Sidestep" and .schemaVersion >= 38
		and ([.panels[].id] | length == (unique | length))
		and all(.panels[]; .gridPos | .x >= 0 and .w > 0 and .h > 0 and .x + .w <= 24)
		and all(.panels[] | select(.type != "row"); .title != "" and (.targets | length > 0)
			and ([.targets[].refId] | length == (unique | length))
			and all(.targets[]; (.expr | length > 0)
				and .datasource == {type: "prometheus", uid: "${datasource}"}))
		and ([.templating.list[].name] == ["datasource", "instance", "service"])
		and all(.panels[]; .type | IN("row", "timeseries", "table"))' "$DASHBOARD"
	# no two panels lie on each other
	run -0 jq -e '[.panels[] | .gridPos as $p | range($p.y; $p.y + $p.h) as $y
		| range($p.x; $p.x + $p.w) as $x | [$x, $y]] | length == (unique | length)' "$DASHBOARD"
}

stage() {
	local cgroup

	cgroup=${CG#"$(cgroup2_root)"}
	mkdir "$CG/guest" "$CG/shop"
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	config <<-END
		services:
		  - { name: web, address: 10.96.0.10, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }
		  - { name: dead, address: 10.96.0.12, port: 80, endpoints: [ { address: 127.0.0.1, port: 8082 } ] }
		workloads:
		  - { name: guest, labels: { app: guest }, cgroup: $cgroup/guest }
		  - { name: shop, labels: { app: shop }, cgroup: $cgroup/shop }
		policies:
		  - { name: closed, subject: { app: guest }, egress: [ { name: dead, ports: [ 8082 ] } ] }
		  - { name: soon, mode: shadow, subject: { app: shop }, egress: [] }
	END
	# where Prometheus reaches it
	background nsenter --net="${NS}node" "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF" \
		--metrics 127.0.0.1:9471
	DAEMON=$PID
	wait_until 20 daemon_answers || fail "no daemon: $(cat "${OUT[$DAEMON]}.err")"
}

# start_in NAME COMMAND...: a pod in a cgroup below the test's, which tells who calls.
start_in() {
	background sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' \
		"$CG/$1" nsenter --net="${NS}node" "${@:2}"
}

traffic() {
	local caller=("$TOOLS/caller" --until-signal --interval-ms 50)

	pod_start node "${caller[@]}" --send 1000 10.96.0.10:80
	pod_start node "${caller[@]}" 10.96.0.12:80
	start_in guest "${caller[@]}" 10.96.0.10:80
	start_in guest "${caller[@]}" 10.96.0.12:80
	start_in shop "${caller[@]}" 10.96.0.10:80
}

observers() {
	background nsenter --net="${NS}node" prometheus-node-exporter \
		--web.listen-address=127.0.0.1:9100 --collector.disable-defaults \
		--collector.textfile --collector.textfile.directory="$BATS_TEST_TMPDIR"
	cat >"$BATS_TEST_TMPDIR/prometheus.yml" <<-END
		global: { scrape_interval: 1s }
		scrape_configs:
		  - { job_name: node, static_configs: [ { targets: [ "127.0.0.1:9100" ] } ] }
		  - { job_name: sidestep, static_configs: [ { targets: [ "127.0.0.1:9471" ] } ] }
	END
	background nsenter --net="${NS}node" prometheus \
		--config.file="$BATS_TEST_TMPDIR/prometheus.yml" \
		--storage.tsdb.path="$BATS_TEST_TMPDIR/prometheus" \
		--web.listen-address=127.0.0.1:9090 --log.level=error
}

# ask QUERY: the answer in $output; false when Prometheus does not take the query.
ask() {
	output=$(in_ns node curl -sS --max-time 10 --data-urlencode "query=$1" \
		http://127.0.0.1:9090/api/v1/query) && jq -e '.status == "success"' <<<"$output" >/dev/null
}

has_answer() {
	ask "$1" && jq -e '.data.result | length > 0' <<<"$output" >/dev/null
}

# As Grafana would put it, for all instances and services: lines of QUERY<tab>WHY-MAYBE-EMPTY.
queries() {
	jq -r --arg job "$1" '[.panels[].targets[]?, .annotations.list[]]
		| .[] | [(.expr
			| gsub("instance=~\"\\$instance\""; "instance=~\".*\",job=\"" + $job + "\"")
			| gsub("\\$service"; ".*") | gsub("\\$__rate_interval"; "20s")),
			.mayBeEmpty // ""] | @tsv' "$DASHBOARD" | sed 's/\\\\/\\/g'
}

@test "each query of the dashboard has an answer, from the stats file and from /metrics" {
	local job query reason bad=0 n=0

	require_command prometheus
	require_command prometheus-node-exporter
	require_command promtool
	require_command curl
	stage
	traffic
	observers
	wait_until 60 has_answer 'rate(sidestep_edge_connections_failed_total{job="node"}[20s]) > 0'
	wait_until 60 has_answer 'increase(sidestep_policy_rule_would_deny_total{job="node"}[20s]) > 0'
	wait_until 60 has_answer 'rate(sidestep_edge_denied_total{job="node"}[20s]) > 0'
	wait_until 30 has_answer 'up{job="sidestep"} == 1' ||
		fail "$(in_ns node curl -sS http://127.0.0.1:9090/api/v1/targets)"
	for job in node sidestep; do
		while IFS=$'\t' read -r query reason; do
			n=$((n + 1))
			ask "$query" || { echo "refused: $query: $output"; bad=1; continue; }
			[[ $reason ]] || jq -e '.data.result | length > 0' <<<"$output" >/dev/null ||
				{ echo "no answer ($job): $query"; bad=1; }
		done < <(queries $job)
	done
	[ "$n" -gt 80 ]
	[ "$bad" -eq 0 ]

	run -0 promtool check metrics <"$STATS"
	[ -z "$output" ]
	in_ns node curl -sS http://127.0.0.1:9471/metrics >"$BATS_TEST_TMPDIR/scraped"
	run -0 promtool check metrics <"$BATS_TEST_TMPDIR/scraped"
	[ -z "$output" ]
	# the collector has found nothing wrong with the file
	ask 'node_textfile_scrape_error'
	check '.data.result[0].value[1] == "0"'
}
