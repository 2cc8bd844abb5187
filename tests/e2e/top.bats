#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# `sidestep top`: on a real terminal, which tmux plays, with real traffic; and as text.

load harness

setup() {
	require_command tmux
	harness_setup
}

teardown() {
	tm kill-server 2>/dev/null
	harness_teardown
}

# ---- traffic ---------------------------------------------------------------------

# "web" greets, "sink" counts, "dead" refuses.
nodes() {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	pod_bg node "$TOOLS/echoserver" --mode sink 127.0.0.1:8081
	load_config <<-END
		services:
		  - { name: web, address: 10.96.0.10, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }
		  - { name: sink, address: 10.96.0.11, port: 80, endpoints: [ { address: 127.0.0.1, port: 8081 } ] }
		  - { name: dead, address: 10.96.0.12, port: 80, endpoints: [ { address: 127.0.0.1, port: 8082 } ] }
	END
}

# Calls all three until the test ends; "sink" gets most bytes, "web" most connections.
traffic() {
	pod_start node "$TOOLS/caller" --until-signal --interval-ms 10 10.96.0.10:80
	pod_start node "$TOOLS/caller" --until-signal --interval-ms 50 --send 100000 10.96.0.11:80
	pod_start node "$TOOLS/caller" --until-signal --interval-ms 200 10.96.0.12:80
	pod_start node "$TOOLS/caller" --hold-ms 600000 10.96.0.10:80
}

# ---- the terminal ------------------------------------------------------------------

TERMINALS=0

tm() {
	tmux -u -S "$BATS_TEST_TMPDIR/tmux.$TERMINALS" -f /dev/null "$@" 3>&-
}

# watch [VARIABLE=VALUE...] [OPTIONS]: top on a terminal of 80x24. When it ends, the terminal
# says how, and in which state it is.
watch() {
	local words

	# not the server of the terminal before, which may still be ending
	((++TERMINALS))
	printf -v words '%q ' env LC_ALL=C.UTF-8 "$@"
	tm new-session -d -x 80 -y 24 -s top \
		"$words; echo \"ended with \$?\"; stty -a; exec sleep 600"
	tm set-option -g remain-on-exit on
}

top_with() { # OPTIONS
	watch "$SIDESTEP" top "${OPTIONS[@]}" "$@"
}

keys() {
	tm send-keys -t top "$@"
}

screen() {
	tm capture-pane -p -t top
}

screen_has() {
	screen | grep -qE -e "$1"
}

# shows PATTERN...: within some seconds, each on a line
shows() {
	local pattern

	for pattern; do
		wait_until 8 screen_has "$pattern" || fail "no '$pattern' in:"$'\n'"$(screen)"
	done
}

shows_not() {
	! screen_has "$1" || fail "'$1' in:"$'\n'"$(screen)"
}

# row N: the first word of the N-th row
row() {
	screen | awk -v n="$1" 'NR == 3 + n { print $1 }'
}

rows_are() {
	local i

	for ((i = 1; i <= $#; i++)); do
		[[ $(row "$i") == "${!i}" ]] || return 1
	done
}

# What of each line is beyond the terminal would wrap, and be seen on the next.
lines_fit() { # COLUMNS LINES
	screen | awk -v columns="$1" -v lines="$2" \
		'length > columns { bad = 1 } END { exit bad || NR != lines }' ||
		fail "wider than $1, or not $2 lines:"$'\n'"$(screen)"
}

top_pid() {
	pgrep -P "$(tm display-message -p -t top '#{pane_pid}')"
}

# It has ended, and the terminal is as it was before.
terminal_is_restored() {
	shows 'ended with 0' '(^| )icanon' '(^| )echo '
	[[ $(tm display-message -p -t top '#{alternate_on} #{cursor_flag}') == "0 1" ]]
}

# ---- on a terminal -------------------------------------------------------------------

@test "top shows services, edges and flows at 80x24, and what traffic they have" {
	nodes
	traffic
	top_with
	shows '^\[1 services\]  2 edges   3 flows' 'by bytes, largest first' \
		'^SERVICE +CONN/S ACTIVE +BYTES/S +RTT-P50 +RTT-P99 +ERR/S DENY/S SPLICED$' \
		'^web/80 +[1-9][0-9] +1 +[0-9]+B +[0-9.]+[um]s +[0-9.]+[um]s +0 +0 +0%$' \
		'^sink/80 +[1-9][0-9.]* .*[0-9.]+[KM]iB' '^dead/80 +0 +0 +0B +- +- +[1-5]\.[0-9] +0 +-$'
	lines_fit 80 24
	rows_are sink/80 web/80
	keys 2
	shows '^ 1 services  \[2 edges\]' '^SOURCE +SERVICE +DESTINATION +CONN/S' \
		' web/80 +unknown:8080 +[1-9][0-9] ' ' dead/80 .* [1-5]\.[0-9] +0$'
	lines_fit 80 24
	keys Tab
	shows '\[3 flows\]' '^FLOW +SERVICE +SOURCE +DESTINATION +BYTES/S' \
		'^[0-9]+ +web/80 +127[0-9.~]+:[0-9]+ 127\.0\.0\.1:8080 '
	lines_fit 80 24
	keys '?'
	shows 'reverse the order' '^BYTES/S '
	keys x
	shows '^FLOW '
	keys BTab BTab
	shows '\[1 services\]'
	keys q
	terminal_is_restored
}

@test "top sorts, reverses and filters" {
	nodes
	traffic
	top_with
	shows '^web/80'
	wait_until 5 rows_are sink/80 web/80
	keys '<' '<'
	shows 'by connections, largest first'
	wait_until 5 rows_are web/80 sink/80
	keys r
	shows 'by connections, smallest first'
	# none of these two has connections: by name
	wait_until 5 rows_are - dead/80 sink/80 web/80
	keys Left
	shows 'by service, Z to A'
	wait_until 5 rows_are web/80 sink/80 dead/80 -
	keys r
	wait_until 5 rows_are - dead/80 sink/80 web/80

	keys / EA
	shows '^filter: EA_'
	wait_until 5 rows_are dead/80
	shows_not '^web/80'
	keys BSpace BSpace 80 Enter
	shows 'filter: 80  of 1'
	wait_until 5 rows_are dead/80 sink/80 web/80
	keys / xyz
	shows 'nothing fits the filter'
	keys Escape
	wait_until 5 rows_are - dead/80 sink/80 web/80
	# what is typed there is no command
	keys / q
	shows '^filter: q_'
}

@test "top follows the size of its terminal" {
	nodes
	traffic
	top_with
	shows '^web/80'
	shows_not 'RECV/S'
	tm resize-window -t top -x 120 -y 40
	shows 'SPLICED +SENT/S +RECV/S'
	lines_fit 120 40
	[ "$(screen | grep -n '1-3 view' | cut -d: -f1)" -eq 40 ]
	tm resize-window -t top -x 39 -y 10
	shows '^too small: 39x10, needs 40x6$'
	shows_not web
	tm resize-window -t top -x 40 -y 6
	shows '^sink/80 .*[KM]iB'
	lines_fit 40 6
	# two rows have room; the others are below
	shows_not '^dead/80'
	keys Down Down
	shows '^dead/80'
	shows_not '^sink/80'
	keys Home
	shows '^sink/80'
	tm resize-window -t top -x 80 -y 24
	shows '^dead/80' 'SPLICED$'
}

@test "top pauses, and goes on" {
	local before

	nodes
	traffic
	top_with
	shows '^web/80 +[1-9][0-9]'
	keys Space
	shows PAUSED 'space go on'
	before=$(screen)
	sleep 2.2
	[[ $(screen) == "$before" ]]
	# the views are of the same moment
	keys 2
	shows ' web/80 +unknown:8080 +[1-9][0-9] '
	keys 1
	shows '^\[1 services\]'
	[[ $(screen) == "$before" ]]
	keys Space
	wait_until 5 screen_differs "$before"
	shows_not PAUSED
	shows '^web/80 +[1-9][0-9]'
}

screen_differs() {
	[[ $(screen) != "$1" ]]
}

@test "top says that the data plane was unloaded, and goes on with the next one" {
	nodes
	traffic
	top_with
	shows '^web/80 +[1-9][0-9]'
	sidestep unload
	shows '^unloaded, waiting for a load' ' 0 services 0 edges 0 flows'
	shows_not '^web/80'
	# a link that top held would keep its program there
	[[ -z $(bpftool cgroup show "$CG") ]]
	sidestep load -f "$CONF"
	shows '^web/80 +[1-9][0-9]'
	shows_not unloaded
	keys q
	terminal_is_restored
}

@test "top restores its terminal when it is ended by a signal" {
	local signal

	nodes
	for signal in TERM INT HUP QUIT; do
		top_with
		shows '^web/80'
		[[ $(tm display-message -p -t top '#{alternate_on}') == 1 ]]
		kill "-$signal" "$(top_pid)"
		terminal_is_restored
		tm kill-server
	done
	top_with
	shows '^web/80'
	keys C-c
	terminal_is_restored
}

@test "top ends with its terminal" {
	local pid

	nodes
	top_with
	shows '^web/80'
	pid=$(top_pid)
	tm kill-server
	wait_until 5 none_runs "$pid"
}

@test "top has colour, but for NO_COLOR, and never colour alone" {
	nodes
	traffic
	top_with
	shows '^dead/80 .* [1-5]\.[0-9]'
	tm capture-pane -e -p -t top | grep -q $'\033\[[0-9;]*31m'
	keys q
	tm kill-server
	watch NO_COLOR=1 "$SIDESTEP" top "${OPTIONS[@]}"
	shows '^dead/80 .* [1-5]\.[0-9]'
	run -1 grep -q $'\033\[[0-9;]*3[0-7]m' < <(tm capture-pane -e -p -t top)
}

# A cgroup may be called anything; what tells it from others is often the end of its path.
@test "top shows wide characters in as many columns as they take" {
	local name=日本語-cafe

	nodes
	mkdir "$CG/$name"
	CG=$CG/$name pod_start node "$TOOLS/caller" --until-signal --interval-ms 10 10.96.0.10:80
	top_with --view edges
	shows '^/[^ ]*~[^ ]*afe +web/80 +unknown:8080 +[0-9]'
	tm resize-window -t top -x 180 -y 24
	shows "^/sidestep-test-$ID/$name +web/80 +unknown:8080 +[0-9]"
	# nothing was moved: three characters of three bytes take two columns each
	[ "$(place_of SERVICE)" -eq $(($(place_of web/80) - 3)) ]
}

# place_of WORD: its first byte, in the line that has it
place_of() {
	screen | LC_ALL=C awk -v word="$1" 'index($0, word) { print index($0, word) }'
}

# ---- without one -----------------------------------------------------------------------

@test "top --once tells exact rates of its interval" {
	local i

	nodes
	call node --count 30 10.96.0.10:80
	background "$SIDESTEP" top "${OPTIONS[@]}" -d 4 --once -o json
	sleep 1.5
	call node --count 100 10.96.0.10:80
	call node --count 10 --send 30000 10.96.0.11:80
	call node --count 8 10.96.0.12:80
	await_end "$PID"
	[ "$status" -eq 0 ]
	check '.view == "services" and .left_out == 0 and .interval_seconds >= 4'
	has_counted web/80 connections 100
	has_counted web/80 received 200
	has_counted sink/80 connections 10
	has_counted sink/80 sent 300000
	has_counted dead/80 errors 8
	has_counted dead/80 connections 0
	check '.rows[] | select(.service == "web/80") | .p50 > 0 and .p99 >= .p50 and .rtt_of_interval'
}

# has_counted SERVICE COLUMN N: so many in the interval
has_counted() {
	check --arg service "$1" --arg column "$2" --argjson n "$3" \
		'.interval_seconds as $s | .rows[] | select(.service == $service)
			| (.[$column] * $s - $n | fabs) < 0.001'
}

@test "top prints snapshots as text, sorted and filtered" {
	nodes
	traffic
	try sidestep top -n 2 --sort connections
	[ "$status" -eq 0 ]
	[ "$(grep -c '^SERVICE  *CONN/S' <<<"$output")" -eq 2 ]
	[ "$(grep -c '^20.*Z services, 1\.[0-9] s$' <<<"$output")" -eq 2 ]
	grep -A1 '^SERVICE' <<<"$output" | grep -q '^web/80 '
	try sidestep top --once --view edges --filter DEAD
	[ "$(wc -l <<<"$output")" -eq 3 ]
	grep -q ' dead/80 ' <<<"$output"
	try sidestep top --once --view flows --filter 8080
	grep -qE '^[0-9]+ +web/80 ' <<<"$output"
	run -1 grep -q sink <<<"$output"
}

@test "top without a terminal, or on an unknown one, tells of --once" {
	local name

	nodes
	try sidestep top </dev/null
	[ "$status" -eq 2 ]
	[[ $stderr == *"needs a terminal"*"--once"* ]]
	for name in dumb no-such-terminal ''; do
		watch TERM=$name "$SIDESTEP" top "${OPTIONS[@]}"
		shows "the terminal '$name' cannot be used .* --once" 'ended with 1' '(^| )icanon'
		tm kill-server
	done
}

@test "top refuses what it does not know" {
	nodes
	try sidestep top --once --view nodes
	[ "$status" -eq 2 ]
	[[ $stderr == *"--view is 'nodes', expected services, edges or flows"* ]]
	try sidestep top --once --sort age
	[ "$status" -eq 2 ]
	[[ $stderr == *"--sort is 'age', expected one of service, connections, "* ]]
	try sidestep top -d 0
	[ "$status" -eq 2 ]
	try sidestep top -o json
	[ "$status" -eq 2 ]
	[[ $stderr == *"-o json needs --once"* ]]
	try sidestep top --once --filter "$(printf 'x%.0s' {1..64})"
	[ "$status" -eq 2 ]
	sidestep unload
	try sidestep top --once
	[ "$status" -eq 3 ]
	[[ $stderr == *"not loaded"* ]]
}
