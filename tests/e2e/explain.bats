#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# What people see of policy: explain, check, diff, replay, stats, and the records of flows. All of
# it from the kernel's tables, with the daemon down, unless flows are followed.

load harness

# Web may reach the database, which is also a service; a stranger may not.
shop() { # WHO MAY
	cat <<-END
		services:
		  - { name: dbs, address: 10.96.0.10, port: 80, endpoints: [ { address: $(ip4 db), port: 8080 } ] }
		workloads:
		  - { name: web, namespace: shop, labels: { app: web }, netns: ${NS}web, addresses: [ $(ip4 web), '$(ip6 web)' ] }
		  - { name: db, namespace: shop, labels: { app: db }, netns: ${NS}db, addresses: [ $(ip4 db), '$(ip6 db)' ], ports: { pg: 8080 } }
		  - { name: other, namespace: shop, labels: { app: other }, netns: ${NS}other, addresses: [ $(ip4 other), '$(ip6 other)' ] }
		policies:
		  - name: db
		    namespace: shop
		    subject: { app: db }
		    ingress: [ { name: from-$1, from: [ { labels: { app: $1 } } ], ports: [ pg ] } ]
	END
}

start_shop() {
	ns_bridge web db other
	serve db
	shop web | load_config
}

# policy COMMAND ARGUMENTS...: the options stand behind both words
policy() {
	"$SIDESTEP" policy "$1" "${OPTIONS[@]}" "${@:2}"
}

# agrees WHO DESTINATION PORT ADDRESS: explain says what a call finds
agrees() {
	local expected=0

	call "$1" --count 1 "$4"
	check '.ok == 1' >/dev/null || expected=5
	try sidestep explain "$1" "$2" "$3"
	[[ $status == "$expected" ]] || fail "explain $1 $2 $3: $status, the call: $expected"$'\n'"$output"
}

@test "explain says what a call finds" {
	local who

	start_shop
	for who in web other db; do
		agrees "$who" db 8080 "$(ip4 db):8080"
		agrees "$who" db pg "$(ip4 db):8080"
		agrees "$who" "$(ip4 db)" 8080 "$(ip4 db):8080"
		agrees "$who" shop/db@"$(ip6 db)" 8080/TCP "[$(ip6 db)]:8080"
		agrees "$who" dbs 80 10.96.0.10:80
		agrees "$who" 10.96.0.10 80 10.96.0.10:80
	done
	try sidestep explain other dbs:80
	[[ $status == 5 ]]
	[[ $output == *"ingress of shop/db: denied, isolated by shop/db"* ]]
}

@test "explain tells of each endpoint and of what it does not know" {
	start_shop
	try sidestep explain app=web db 8080 -o json
	[[ $status == 0 ]]
	check '.pairs[0].ingress.rule == "shop/db/from-web"'
	check '.pairs[0].ingress.matches | map(.part) == ["decides", "too late", "too late"]'
	try sidestep explain web nobody 80
	[[ $status == 1 && $stderr == "nobody: no such workload, identity or service" ]]
	try sidestep explain db web pg
	[[ $status == 1 && $stderr == "pg: no port of 'web' is called so" ]]
	try sidestep explain web
	[[ $status == 2 ]]
	echo "{}" | apply_config
	try sidestep explain web db 8080
	[[ $status == 0 && $output == "no policy is in force: everything is allowed" ]]
}

@test "on loopback explain tells who listens" {
	mkdir "$CG/db" "$CG/other"
	load_config <<-END
		workloads:
		  - { name: db, labels: { app: db }, cgroup: ${CG#"$(cgroup2_root)"}/db }
		  - { name: other, labels: { app: other }, cgroup: ${CG#"$(cgroup2_root)"}/other }
		policies:
		  - { name: db, subject: { app: db }, isolate: [ ingress ] }
	END
	background sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$CG/db" \
		"$TOOLS/echoserver" --name db --greet 127.0.0.1:28080
	wait_until 10 is_ready "$PID"
	try sidestep explain other 127.0.0.1 28080
	[[ $status == 5 && $output == *"-> default/db at 127.0.0.1, port 28080/TCP: denied"* ]]
	try sidestep explain other 127.0.0.1 28081
	[[ $status == 0 && $output == *"-> host at 127.0.0.1"* ]]
}

@test "identities and workloads are listed" {
	start_shop
	show workloads
	check 'map(.workload) == ["web", "db", "other"]'
	show identities
	check 'map(select(.reserved)) | length == 5'
	check 'map(select(.labels == "app=db"))[0].ports == "pg=8080/TCP"'
}

@test "a workload whose cgroup is not there is told" {
	mkdir "$CG/db"
	config <<-END
		workloads:
		  - { name: db, cgroup: ${CG#"$(cgroup2_root)"}/db }
		  - { name: gone, cgroup: ${CG#"$(cgroup2_root)"}/gone }
	END
	try sidestep load -f "$CONF"
	[[ $status == 0 ]]
	[[ $stderr == *":3:5: workload default/gone: there is no cgroup ${CG#"$(cgroup2_root)"}/gone: "* ]]
	[[ $stderr != *default/db* ]]
}

@test "workloads outside of the cgroup with the programs are warned of" {
	local top=${CG#"$(cgroup2_root)"}/pods
	local warning=": warning: workload default/b: cgroup ${top}2/b lies outside of $top, to which the programs are attached: they see none of its sockets; so do those of 1 more"
	OPTIONS+=(--cgroup "$CG/pods") # the last one counts

	mkdir -p "$CG"/pods/a "$CG"/pods2/b
	config <<-END
		workloads:
		  - { name: a, cgroup: $top/a }
		  - { name: b, labels: { b: b }, cgroup: ${top}2/b }
		  - { name: c, cgroup: ${top%/*} }
		  - { name: d, addresses: [ 10.0.0.1 ] }
	END
	try sidestep load -f "$CONF"
	[[ $status == 0 && $stderr == "$CONF:3:5$warning" ]] || fail "$stderr"
	try sidestep apply -f "$CONF"
	[[ $status == 0 && $stderr == "$CONF:3:5$warning" && $output == "no difference" ]]
	try sidestep check -f "$CONF"
	[[ $status == 0 && $stderr == "$CONF:3:5$warning" ]]
	try policy check -f "$CONF"
	[[ $status == 0 && $stderr == "$CONF:3:5$warning" ]]
	try policy check -f "$CONF" --strict
	[[ $status == 4 ]]
	try "$SIDESTEP" check -f "$CONF" # nobody knows
	[[ $status == 0 && ! $stderr ]]
	try sidestep doctor
	[[ $output == *"sidestep$warning"* ]]
	daemon_start
	echo "  - { name: e, addresses: [ 10.0.0.2 ] }" >>"$CONF"
	wait_until 10 warned_of_twice
	grep -q '^sidestep_config_problems 0' "$STATS" # a warning is none
}

# When it is loaded, and when the daemon has read the file anew.
warned_of_twice() {
	[[ $(grep -c "warning: workload default/b" "${OUT[$DAEMON]}.err") == 2 ]]
}

@test "policy check warns, and refuses when it is strict" {
	ns_bridge web db other
	shop nobody | config
	try policy check -f "$CONF"
	[[ $status == 0 && $output == "3 workloads, 1 policy, valid, 1 warning" ]]
	[[ $stderr == *"warning: the peer selects no workload now: it matches nobody" ]]
	try policy check -f "$CONF" --strict
	[[ $status == 4 ]]
	try policy check -f "$CONF" --strict -o json
	[[ $status == 4 && ! $stderr ]]
	check '.valid and .workloads == 3 and .policies == 1 and .more == 0 and (.problems | length == 1)'
	check --arg file "$CONF" '.problems[0] | .kind == "warning" and .file == $file and .line == 11
		and .column == 45 and (.text | startswith("the peer selects no workload now: "))'
	echo "policies: [ {} ]" | config
	try policy check -f "$CONF" -o json
	[[ $status == 4 && ! $stderr ]]
	check '(.valid | not) and .workloads == null'
	check '.problems[] | .kind == "error" and .line == 1 and .column == 13'
	shop web | config
	try policy check -f "$CONF" --strict
	[[ $status == 0 && ! $stderr ]]
}

@test "policy diff tells what would change" {
	start_shop
	try policy diff -f "$CONF"
	[[ $status == 0 && $output == "no verdict changes" ]]
	shop other | config
	try policy diff -f "$CONF" -o json
	[[ $status == 6 ]]
	check '[.changes[] | select(.after.verdict == "denied") | .source.labels] | unique == ["app=web"]'
	check '[.changes[] | select(.after.verdict == "allowed") | .source.labels] | unique == ["app=other"]'
	check '[.changes[].ports[]] | unique == [{ protocol: "TCP", first: 8080, last: 8080 }]'
	call web --count 1 10.96.0.10:80 # nothing was changed
	check '.ok == 1'
}

@test "followed flows tell of policy, and are replayed" {
	local follow log=$BATS_TEST_TMPDIR/flows.log

	start_shop
	daemon_start
	background "$SIDESTEP" flows "${OPTIONS[@]}" --follow -o json
	follow=$PID
	sleep 0.5
	call web --count 3 10.96.0.10:80
	call other --count 2 10.96.0.10:80
	wait_until 10 grep -q '"denied"' "${OUT[$follow]}"
	sleep 0.5
	finish "$follow"
	echo "$output" >"$log"
	output=$(jq -s . "$log")
	check '[.[] | select(.event == "open")] | length == 3 and all(.[]; .verdict == "allowed" and
		.rule == "shop/db/from-web" and .source_identity.workload == "shop/web")'
	check '[.[] | select(.event == "denied")] | length == 2 and all(.[]; .verdict == "denied" and
		.direction == "ingress" and .tier == "network" and .rule == "shop/db/isolated" and
		.source_identity.workload == "shop/other" and
		.destination_identity.workload == "shop/db")'
	try policy replay -f "$CONF" --flows "$log"
	[[ $status == 0 && $output == "5 flows: 0 would be denied, 0 would be opened" ]]
	try policy replay -f "$CONF" --flows /dev/null # shows nothing, so it must not pass
	[[ $status == 1 && $stderr == "sidestep: /dev/null: no flows to judge, so nothing is known" ]]
	shop other | config
	try policy replay -f "$CONF" --flows - -o json <"$log"
	[[ $status == 6 ]]
	check '.flows == 5 and .denied == 3 and .opened == 2'
}

@test "policy diff and replay know who cannot be told, and how the node fails" {
	local log=$BATS_TEST_TMPDIR/flows.log

	ns_bridge web db other stranger
	serve web
	shop web | config
	daemon_start
	background "$SIDESTEP" flows "${OPTIONS[@]}" --follow -o json
	sleep 0.5
	call stranger --count 2 "$(ip4 web):8080"
	check '.ok == 2'
	sleep 0.5
	finish "$PID"
	grep -v '^#' <<<"$output" >"$log"
	{ shop web && echo "node: { fail: closed }"; } | config
	try policy replay -f "$CONF" --flows "$log" -o json
	[[ $status == 6 ]]
	check '.changes | length == 1 and all(.[]; .flows == 2 and .verdict == "denied" and .undecided
		and .source.labels == "unknown" and .rule == null and .direction == "egress")'
	wait_until 10 fails_closed # the daemon follows the file
	call stranger "$(ip4 web):8080"
	check '.ok == 0 and .errors == { EPERM: 1 }'
	shop web >"$CONF.open"
	try policy diff -f "$CONF.open"
	[[ $status == 6 && $output == *"no longer egress: fails closed"* ]]
}

fails_closed() {
	show status
	check '.fail == "closed"' >/dev/null
}

@test "live flows are listed with who they are of" {
	start_shop
	pod_start web "$TOOLS/caller" --hold-ms 60000 10.96.0.10:80
	wait_until 30 flows_are 1 || fail "$output"
	show flows
	check '.[0].source_identity.workload == "shop/web"'
	check '.[0].destination_identity.workload == "shop/db"'
	check '.[0] | .verdict == "allowed" and .rule == "shop/db/from-web"'
	try sidestep flows
	[[ $output == *" shop/web  shop/db  allowed  ingress network shop/db/from-web" ]]
}

flows_are() { # NUMBER
	show flows
	check "length == $1" >/dev/null
}

@test "rules are counted, and those never hit are marked" {
	start_shop
	call web --count 3 10.96.0.10:80
	call other --count 2 10.96.0.10:80
	try policy stats -o json
	check '.[] | select(.rule == "from-web") | .decided == 3 and (.never_hit | not)'
	check '.[] | select(.rule == "isolated") | .decided == 2'
	check '.[] | select(.policy == "host") | .never_hit'
}

@test "a rule in shadow counts what it would have denied" {
	start_shop
	{
		shop web
		echo "  - { name: try, namespace: shop, subject: { app: web }, isolate: [ egress ], mode: shadow }"
	} | apply_config
	call web --count 3 10.96.0.10:80
	check '.ok == 3'
	try policy stats -o json
	check '.[] | select(.policy == "try") | .decided == 0 and .shadow == 3 and .would_deny == 3'
	try sidestep explain web db 8080
	[[ $status == 0 && $output == *"egress in shadow: would be denied, shop/try/isolated has a say"* ]]
}
