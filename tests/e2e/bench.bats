#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
# shellcheck disable=SC2030,SC2031 # what a test changes is for itself alone
#
# sidestep bench: what it tells is of traffic that went as it says, it disturbs nobody, and leaves
# nothing, however it ends.

load harness

setup() {
	harness_setup
	export TMPDIR=$BATS_TEST_TMPDIR
}

# As JSON in $output; its exit code in $status.
bench() {
	try sidestep bench -o json "$@"
	echo "$stderr"
}

bench_works() {
	bench "$@"
	[[ $status == 0 ]] || fail "exit code $status: $output"
	check '.works'
	nothing_is_left
}

# In the background, until its daemon serves; BENCH is its process, SPLICER the daemon's.
bench_start() {
	# shells start background processes deaf to INT
	background env --default-signal=INT "$SIDESTEP" bench "${OPTIONS[@]}" "$@"
	BENCH=$PID
	wait_until 20 measures || fail "measures nothing: $(cat "${OUT[$BENCH]}.err")"
	SPLICER=$(pgrep -P "$BENCH" -f "sidestep run")
}

# Somebody lives in both cgroups: the daemon does not.
measures() {
	compgen -G "$CG/sidestep.bench*" >/dev/null &&
		[[ $(cat "$CG"/sidestep.bench*/cgroup.procs) ]]
}

# bench_ends_with STATUS: by itself.
bench_ends_with() {
	await_end "$BENCH"
	[[ $status == "$1" ]] || fail "exit code $status"
	nothing_is_left
	[[ ! $SPLICER ]] || ! runs "$SPLICER" || fail "the daemon still runs"
}

# No cgroup, pin, file nor process.
nothing_is_left() {
	local left

	left=$(compgen -G "$CG/sidestep.bench*" || :
		compgen -G "$PIN-bench-*" || :
		compgen -G "$TMPDIR/sidestep-bench-*" || :)
	[[ ! $left ]] || fail "left: $left"
}

# ---- what it tells -------------------------------------------------------------------

@test "bench --quick: rows, machine, and that it works, within seconds" {
	bench_works --quick
	check '.problems == [] and .method.rounds == 7 and .method.seconds < 60'
	check --arg kernel "$(uname -r)" '.machine.kernel == $kernel'
	check --arg control "$(</proc/sys/net/ipv4/tcp_congestion_control)" \
		'.machine.congestion_control == $control'
	check '.machine.cpus >= 1 and (.machine.load | test("^[0-9.]+ [0-9.]+ [0-9.]+$"))'
	check '[.rows[].test] == ["connect", "round-trip", "stream"]'
	check '.rows[].cells | length >= 2 and .[0].by == "plain" and .[0].ratio == null'
	check '.rows[].cells[] | (.samples | length) == 7 and .value.median > 0'
	check '.rows[].cells[].value | .min <= .q1 and .q1 <= .median and .median <= .q3 and .q3 <= .max'
	# hooks know nothing of what is plain
	check '.rows[].cells[] | (.by == "plain") == (.spliced == null)'
	check '.rows[] | select(.test == "stream").cells[].held_bytes > 0'
	check '.rows[] | select(.test == "round-trip").cells[] | .p99 >= .value.min and .p99_9 >= .p99'
}

@test "bench: the splice takes over round trips where it may, and nothing else" {
	bench_works --quick
	[[ $(value '.off.on // ""') ]] && skip_for splice "$(value '.off.on')"
	check '.rows[] | select(.test == "round-trip").cells[] | select(.by == "on").spliced > 0.2'
	check '.rows[] | select(.test != "round-trip").cells[] | select(.by == "on").spliced < 0.1'
}

@test "bench: what is noisy is what the ratios say" {
	bench_works --quick
	check '.rows[].cells[] | (.ratio // .value) as $f |
		.noisy == ($f.q3 - $f.q1 > 0.2 * $f.median)'
	# as a table, there is no figure then
	run -0 sidestep bench --quick
	[[ $output =~ round\ trip\ 1\ KB\ +1\ +plain\ +(noisy|[0-9.]+)\  ]]
	[[ $output == *"works: hooks attach, all bytes arrive whole"* ]]
	[[ $output == *"round trip 1 KB "@(too noisy|[0-9])* ]]
	[[ $output == *"kernel $(uname -r)"* ]]
	nothing_is_left
}

@test "bench: all rows and ways, with one CPU and two" {
	local cpus=1

	(($(nproc) == 1)) || cpus=2
	bench_works --rounds 1
	check --argjson cpus $cpus '[.rows[] | .cpus] | unique == [range(1; $cpus + 1)]'
	check '[.rows[] | select(.cpus == 1) | .size] == [1, 1, 1024, 16384, 65536, 65536]'
	check '.off as $off | .rows[].cells | map(.by) ==
		(["plain", "off", "auto", "on", "unix"] | map(select($off[.] == null)))'
	check '.rows[].cells[].samples | length == 1'
}

@test "bench: what is off on this kernel is told with its reason" {
	local reason

	config <<-END
		services: []
	END
	sidestep load -f "$CONF"
	show status
	reason=$(value '.features[] | select(.name == "splice-auto").reason')
	bench --quick
	check --arg reason "$reason" '.off.auto == (if $reason == "null" then null else $reason end)'
}

@test "bench: usage, and without root" {
	run -0 sidestep bench --help
	[[ $output == *--quick*--rounds* ]]
	run -2 sidestep bench something
	run -2 sidestep bench --rounds 0
	run -2 sidestep bench --rounds many
	run -2 sidestep bench -o xml
	run -2 sidestep doctor --quick
	require_command setpriv
	try setpriv --reuid=65534 --regid=65534 --clear-groups "$SIDESTEP" bench "${OPTIONS[@]}" --quick
	[[ $status == 1 ]]
	[[ $output == *"does not work: "*"CAP_BPF is missing: run as root"* ]]
	nothing_is_left
}

# ---- what does not work ------------------------------------------------------------------

# Nobody but the daemon is a child of it for a while.
has_measured() {
	for _ in {1..15}; do
		[[ $(pgrep -P "$BENCH") == "$SPLICER" ]] || return 1
		sleep 0.02
	done
}

@test "bench tells when the splice does not take over" {
	bench --quick
	[[ $(value '.off.on // ""') ]] && skip_for splice "$(value '.off.on')"
	bench_start --quick -o json
	kill -STOP "$SPLICER" # it adopts
	wait_until 30 has_measured || :
	kill -CONT "$SPLICER"
	bench_ends_with 1
	check '.works | not'
	check '.problems[] | contains("the splice took over")'
}

@test "bench: its daemon dies, and so does one of its ends" {
	bench_start --rounds 50
	kill -KILL "$SPLICER"
	bench_ends_with 1
	[[ $output == *"does not work: "*"the daemon has died"* ]]
	bench_start --rounds 50
	wait_until 10 kill_one
	bench_ends_with 1
	[[ $output == *"does not work: "*"a process has died"* ]]
}

# One of its processes that is not the daemon.
kill_one() {
	local pid

	for pid in $(pgrep -P "$BENCH"); do
		[[ $pid == "$SPLICER" ]] || kill -KILL "$pid" 2>/dev/null || :
	done
	! runs "$BENCH"
}

# ---- its end ---------------------------------------------------------------------------------

@test "bench: INT, TERM and HUP end it, with nothing left" {
	local signal

	for signal in INT TERM HUP; do
		bench_start --rounds 1000
		kill "-$signal" "$BENCH"
		bench_ends_with $((128 + $(kill -l $signal)))
		[[ ! $output ]]
	done
}

@test "bench: killed, its daemon unloads; the next one removes the rest" {
	bench_start --rounds 1000
	kill -KILL "$BENCH"
	await_end "$BENCH"
	wait_until 10 none_runs "$SPLICER"
	run ! compgen -G "$PIN-bench-*"
	compgen -G "$CG/sidestep.bench*"
	rm -r "$TMPDIR"/sidestep-bench-*
	bench_works --quick
}

@test "bench beside a loaded instance: that is not disturbed, and warned of where it sees the traffic" {
	local before

	ns_make node
	pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	spliced_web 127.0.0.1 on | config
	daemon_start
	show status
	before=$(value -c '{loads, generation, services, endpoints, features}')
	bench_works --quick
	check '.problems[] | contains("another Sidestep serves a cgroup above")'
	show status
	check --argjson before "$before" '{loads, generation, services, endpoints, features} == $before'
	call node --count 10 10.96.0.10:80
	check '.ok == 10'
	mkdir "$CG.beside"
	try "$SIDESTEP" bench "${OPTIONS[@]}" --cgroup "$CG.beside" --quick -o json
	rmdir "$CG.beside"
	[[ $status == 0 ]]
	check '.problems == []'
}
