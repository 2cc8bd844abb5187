#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
# shellcheck disable=SC2030,SC2031 # what a test changes is for itself alone
#
# Loading, upgrading, changing and removing the data plane, by hand and by the
# daemon; and that whatever goes wrong leaves what was in force.

load harness

# nodes: a client and a server in one namespace.
nodes() {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	pod_bg node "$TOOLS/echoserver" --name b --greet 127.0.0.1:8081
}

# web ENDPOINT...: service "web" with endpoints by their ports.
web() {
	local port

	printf 'services:\n'
	printf '  - { name: web, address: 10.96.0.10, port: 80, balance: round-robin, endpoints: ['
	for port; do
		printf '{ address: 127.0.0.1, port: %s },' "$port"
	done
	printf ']}\n'
}

calls() { # COUNT
	call node --count "$1" 10.96.0.10:80
	check --argjson n "$1" '.ok == $n'
}

opened() {
	show services
	value '.[0].counters.opened'
}

active_is() { # COUNT
	show services
	check --argjson n "$1" '.[0].counters.active == $n' >/dev/null
}

endpoints_are() { # PORT...
	show endpoints
	check --arg ports "$*" '
		[.[] | select(.state == "ready").endpoint.port | tostring] | sort | join(" ") == $ports' \
		>/dev/null
}

# ---- what is in the kernel ---------------------------------------------------------

# Ids of everything of this instance, as bpftool sees it: what is pinned, what hangs
# on the cgroup, and every program that uses one of our maps.
instance_maps() {
	local pin

	for pin in "$PIN"/*/*; do
		bpftool -j map show pinned "$pin" 2>/dev/null | jq '.id // empty'
	done
}

instance_programs() { # MAP...
	bpftool -j prog show | jq --arg maps " $* " '.[]
		| select(any(.map_ids[]?; tostring | inside($maps))) | .id'
}

no_maps() {
	local id

	for id; do
		! bpftool map show id "$id" >/dev/null 2>&1 || return 1
	done
}

no_programs() {
	local id

	for id; do
		! bpftool prog show id "$id" >/dev/null 2>&1 || return 1
	done
}

# None of our programs is left on the cgroup.
cgroup_is_bare() {
	[[ $(bpftool -j cgroup show "$CG") =~ ^(\[\])?$ ]]
}

selftest_cgroups() {
	find "$CG" -mindepth 1 -name 'sidestep.selftest.*'
}

# Neither a pin nor a program nor a cgroup of the self-test.
nothing_is_left() {
	[[ ! -e $PIN ]] || fail "left: $(find "$PIN")"
	cgroup_is_bare || fail "left: $(bpftool cgroup show "$CG")"
	[[ ! $(selftest_cgroups) ]] || fail "left: $(selftest_cgroups)"
}

# ---- load and unload ---------------------------------------------------------------

@test "load, call, unload: nothing is left" {
	local maps programs

	nodes
	web 8080 | load_config
	calls 5
	mapfile -t maps < <(instance_maps)
	[ "${#maps[@]}" -gt 5 ]
	mapfile -t programs < <(instance_programs "${maps[@]}")
	[ "${#programs[@]}" -gt 5 ]
	run ! cgroup_is_bare

	run -0 sidestep unload
	[ ! -e "$PIN" ]
	cgroup_is_bare
	# the kernel frees after a grace period
	wait_until 10 no_programs "${programs[@]}"
	wait_until 10 no_maps "${maps[@]}"
}

@test "unload is idempotent" {
	run -0 sidestep unload
	nodes
	web 8080 | load_config
	run -0 sidestep unload
	run -0 sidestep unload
	[ ! -e "$PIN" ]
}

@test "unload --purge takes the files of a daemon that has ended, and their folder" {
	local here=$BATS_TEST_TMPDIR/run

	nodes
	mkdir "$here"
	OPTIONS=(--cgroup "$CG" --pin "$PIN" --socket "$here/socket" --stats "$here/stats"
		--cache "$here/cache")
	# shellcheck disable=SC2034 # the harness reads it
	STATS=$here/stats
	web 8080 | config
	daemon_start
	run -1 sidestep unload --purge
	[[ $output == *"has not ended yet"* ]]
	calls 5
	finish "$DAEMON" KILL
	[[ -e $here/socket && -e $here/socket.lock && -e $here/stats && -e $here/cache ]]
	run -0 sidestep unload --purge
	[[ ! -e $here && ! -e $PIN ]]
	run -0 sidestep unload --purge
}

@test "unload --stay ends at a signal" {
	background "$SIDESTEP" unload "${OPTIONS[@]}" --stay
	run ! wait_until 1 none_runs "$PID"
	finish "$PID"
	[[ $status == 0 ]]
}

@test "a second load upgrades: connections and counters live on" {
	local held

	nodes
	web 8080 | load_config
	calls 5
	pod_start node "$TOOLS/caller" --hold-ms 20000 10.96.0.10:80
	held=$PID
	wait_until 5 active_is 1

	web 8080 8081 | load_config
	show status
	check '.loads == 2'
	[ "$(opened)" -eq 6 ]
	calls 4
	[ "$(opened)" -eq 10 ]
	finish "$held"
	check '.ok == 1'
	active_is 0
	show services
	check '.[0].counters | .opened == 10 and .closed == 10'
}

# load_with_memory GIB: as on a machine that has so much.
load_with_memory() {
	MEMORY_GIB=$1 LD_PRELOAD="${TOOLS%/tools}/faults/memory.so" \
		"$SIDESTEP" load "${OPTIONS[@]}" -f "$CONF"
}

# sizes_are EVENTS UDP_FLOWS SENDERS DATAGRAMS AFFINITY SERVICES
sizes_are() {
	local map sizes=()

	for map in events udp_flows senders datagrams affinity services; do
		sizes+=("$(bpftool map show pinned "$PIN"/abi*/$map -j | jq .max_entries)")
	done
	[[ ${sizes[*]} == "$*" ]] || fail "sizes: ${sizes[*]}, expected: $*"
	show status
	check --argjson n "$5" '.maps[] | select(.name == "affinity").capacity == $n'
}

@test "maps are as large as memory suggests, and stay so in an upgrade" {
	require_command bpftool
	nodes
	web 8080 | config
	load_with_memory 2
	sizes_are 2097152 8192 8192 8192 8192 65536
	load_with_memory 64
	sizes_are 2097152 8192 8192 8192 8192 65536
	show status
	check '.loads == 2'
	sidestep unload
	load_with_memory 64
	sizes_are 67108864 65536 65536 65536 65536 65536
	load_with_memory 2
	sizes_are 67108864 65536 65536 65536 65536 65536
	calls 1
}

# many COUNT: services with one endpoint each.
many() {
	awk -v n="$1" 'BEGIN {
		print "services:"
		for (i = 0; i < n; i++)
			printf "  - { name: s%d, address: 10.100.%d.%d, port: 80, " \
				"endpoints: [ { address: 127.0.0.1, port: 8080 } ] }\n", \
				i, i / 256, i % 256
	}'
}

@test "an upgrade tries what it loads beside as many services as there is room for" {
	many 65533 | config
	run sidestep load -f "$CONF"
	[ "$status" -eq 4 ]
	[[ $output == *"services: 65533 needed, room for 65532"* ]]
	many 65532 | load_config
	sidestep load -f "$CONF"
	show status
	check '.loads == 2'
	check '.maps[] | select(.name == "services") | .entries == 65532 and .capacity == 65532'
}

@test "twenty upgrades under load, no call fails" {
	local load

	nodes
	web 8080 | load_config
	pod_start node "$TOOLS/caller" --until-signal --threads 2 --interval-ms 1 10.96.0.10:80
	load=$PID
	for _ in {1..20}; do
		sidestep load -f "$CONF"
	done
	finish "$load"
	check '.ok > 100 and .failed == 0'
}

@test "a load that fails leaves nothing" {
	web 8080 | sed 's/8080/0/' | config
	run sidestep load -f "$CONF"
	[ "$status" -eq 4 ]
	[ ! -e "$PIN" ]
	run sidestep load -f "$CONF.missing"
	[ "$status" -ne 0 ]
	[ ! -e "$PIN" ]

	nodes
	web 8080 | config
	run "$SIDESTEP" load -f "$CONF" --pin "$PIN" --cgroup "$CG/missing"
	[ "$status" -eq 1 ]
	[ ! -e "$PIN" ]
	cgroup_is_bare
}

@test "a second load that fails leaves the first in force" {
	nodes
	web 8080 | load_config
	calls 3
	web 8080 | sed 's/balance/blance/' | config
	run sidestep load -f "$CONF"
	[ "$status" -eq 4 ]
	[ "$(opened)" -eq 3 ]
	calls 3
}

@test "two instances do not see each other" {
	local other

	nodes
	web 8080 | load_config
	mkdir "$CG/other"
	other=(--cgroup "$CG/other" --pin "$PIN-other" --cache "$BATS_TEST_TMPDIR/cache")
	web 8081 >"$CONF.other"
	"$SIDESTEP" load "${other[@]}" -f "$CONF.other"

	calls 4
	[ "$(opened)" -eq 4 ]
	run -0 "$SIDESTEP" services "${other[@]}" -o json
	check '.[0].counters.opened == 0'
	run -0 "$SIDESTEP" unload "${other[@]}"
	[ ! -e "$PIN-other" ]
	rmdir "$CG/other"
	calls 4
}

@test "what is outside the cgroup is not touched" {
	nodes
	web 8080 | load_config
	run in_ns node "$TOOLS/caller" 10.96.0.10:80
	check '.errors == {ENETUNREACH: 1}'
}

# With these capabilities only; in the namespace.
with_caps() { # +CAPABILITY,... COMMAND...
	in_ns node setpriv --inh-caps=-all --bounding-set="-all,$1" "${@:2}"
}

@test "three capabilities are enough" {
	local caps=+bpf,+net_admin,+perfmon

	require_command setpriv
	nodes
	web 8080 | config
	with_caps "$caps" "$SIDESTEP" load "${OPTIONS[@]}" -f "$CONF"
	run -0 with_caps "$caps" "$SIDESTEP" status "${OPTIONS[@]}" -o json
	check '.loads == 1'
	calls 3

	web 8080 8081 | config
	with_caps "$caps" "$SIDESTEP" load "${OPTIONS[@]}" -f "$CONF"
	run -0 with_caps "$caps" "$SIDESTEP" status "${OPTIONS[@]}" -o json
	check '.loads == 2 and any(.features[]; .name == "splice")'
	endpoints_are 8080 8081
	calls 4
	[ "$(opened)" -eq 7 ]

	with_caps "$caps" "$SIDESTEP" unload "${OPTIONS[@]}"
	nothing_is_left
}

@test "a capability that is missing is named, and nothing is loaded" {
	local all=(+bpf +net_admin +perfmon) name caps i

	require_command setpriv
	nodes
	web 8080 | config
	for i in 0 1 2; do
		name=CAP_${all[i]#+}
		caps=("${all[@]}")
		unset "caps[$i]"
		try with_caps "$(IFS=,; echo "${caps[*]}")" "$SIDESTEP" load "${OPTIONS[@]}" -f "$CONF"
		[ "$status" -eq 1 ]
		[[ $stderr == *"${name^^} is missing"* ]]
		nothing_is_left
	done
}

# ---- a load that is disturbed ----------------------------------------------------------

# A load takes some 300 ms, more on a machine at work.
MOMENTS=(0.02 0.05 0.1 0.15 0.2 0.3 0.4)

# load_for SECONDS: a load that has run for so long; sets LOADING.
load_for() {
	background "$SIDESTEP" load "${OPTIONS[@]}" -f "$CONF"
	LOADING=$PID
	sleep "$1"
}

@test "an unload during a load waits for it" {
	local moment

	nodes
	web 8080 | config
	for moment in "${MOMENTS[@]}"; do
		load_for "$moment"
		run -0 sidestep unload
		await_end "$LOADING"
		[ "$status" -eq 0 ] || fail "after $moment s: $stderr"
		if [[ -e $PIN ]]; then # whole
			calls 1
			endpoints_are 8080
			sidestep unload
		fi
		nothing_is_left
	done
}

@test "a load that is killed does not stop the next one, and leaves nothing" {
	local moment

	nodes
	web 8080 | config
	for moment in "${MOMENTS[@]}"; do
		load_for "$moment"
		finish "$LOADING" KILL
		run -0 sidestep load -f "$CONF"
		calls 1
		run -0 sidestep unload
		nothing_is_left
	done
}

@test "an upgrade that is killed leaves a data plane that serves" {
	local moment

	nodes
	web 8080 | load_config
	for moment in "${MOMENTS[@]}"; do
		load_for "$moment"
		finish "$LOADING" KILL
		calls 1
	done
	run -0 sidestep load -f "$CONF"
	calls 1
	[ "$(opened)" -eq $((${#MOMENTS[@]} + 1)) ]
	run -0 sidestep unload
	nothing_is_left
}

@test "SIGTERM ends a load when it is whole, or rolled back" {
	local moment

	nodes
	web 8080 | config
	for moment in "${MOMENTS[@]}"; do
		load_for "$moment"
		kill -TERM "$LOADING" 2>/dev/null || :
		wait_until 10 none_runs "$LOADING"
		await_end "$LOADING"
		[ -z "$(selftest_cgroups)" ]
		if [[ -e $PIN ]]; then
			run -0 sidestep apply -f "$CONF"
			calls 1
			sidestep unload
		fi
		nothing_is_left
	done
}

@test "SIGTERM does not leave a load without what its file says" {
	local moment

	nodes
	web 8080 | config
	for moment in "${MOMENTS[@]}"; do
		load_for "$moment"
		kill -TERM "$LOADING" 2>/dev/null || :
		await_end "$LOADING"
		[[ ! -e $PIN ]] || endpoints_are 8080 || fail "after $moment s: $output"
		sidestep unload
	done
}

@test "loads beside a daemon keep the splice on" {
	nodes
	web 8080 | config
	daemon_start
	require_feature splice
	for _ in {1..10}; do
		run -0 sidestep load -f "$CONF"
		[[ $output != *"splice is off"* ]]
		show status
		check 'any(.features[]; .name == "splice" and .enabled)'
	done
	check '.loads == 11'
}

# ---- exit codes and messages -----------------------------------------------------------

@test "commands without a data plane say so and exit 3" {
	local command

	web 8080 | config
	for command in status services endpoints flows "capture web" "apply -f $CONF"; do
		# shellcheck disable=SC2086 # a command and its options
		try sidestep $command
		[ "$status" -eq 3 ] || fail "$command: exit code $status"
		[[ $stderr == *"not loaded"* ]] || fail "$command: $stderr"
	done
	run -0 sidestep check -f "$CONF"
	run -0 sidestep version
}

@test "usage errors exit 2, help exits 0" {
	local command

	for command in load unload apply run status services endpoints flows capture doctor check \
		version; do
		run -0 "$SIDESTEP" "$command" --help
		[[ $output == Usage:* ]]
		run -2 "$SIDESTEP" "$command" --no-such-option
	done
	run -2 "$SIDESTEP"
	run -2 "$SIDESTEP" nonsense
	run -2 sidestep load
	run -2 sidestep status -o xml
}

@test "a place that is not bpffs is refused, and nothing is made there" {
	local pin

	web 8080 | config
	for pin in "$BATS_TEST_TMPDIR/pin" "$BATS_TEST_TMPDIR/a/pin" /sys/fs/sidestep-test-$ID; do
		try "$SIDESTEP" load --cgroup "$CG" --pin "$pin" -f "$CONF"
		[ "$status" -eq 1 ]
		[[ $stderr == *"$pin is not on bpffs"* ]]
		[ ! -e "$pin" ]
	done
	[ ! -e "$BATS_TEST_TMPDIR/a" ]
	nothing_is_left
}

@test "a wrong configuration changes nothing and is told with file, line and column" {
	local generation command

	nodes
	web 8080 | load_config
	show status
	generation=$(value .generation)

	config <<-END
		services:
		  - name: web
		    address: 10.96.0.999
		    port: 80
		    balanse: random
		    endpoints: [ { address: 127.0.0.1, port: 99999 } ]
	END
	for command in apply check load; do
		try sidestep $command -f "$CONF"
		[ "$status" -eq 4 ]
		[[ $stderr == *"$CONF:3:14: "* ]]
		[[ $stderr == *"$CONF:5:5: "*"did you mean 'balance'"* ]]
		[[ $stderr == *"$CONF:6:46: "* ]]
	done
	show status
	check --argjson generation "$generation" '.generation == $generation'
	calls 3
}

@test "a file that others may write is refused, and so is one of somebody else" {
	nodes
	web 8080 | load_config
	web 8080 8081 | config
	chmod g+w "$CONF"
	try sidestep apply -f "$CONF"
	[ "$status" -eq 4 ]
	[[ $stderr == *"others may write"*"chmod go-w $CONF"* ]] || fail "$stderr"
	chmod g-w "$CONF"
	chown 65534 "$CONF"
	try sidestep apply -f "$CONF"
	[ "$status" -eq 4 ]
	[[ $stderr == *"user 65534"*"chown root $CONF"* ]] || fail "$stderr"
	chown root "$CONF"
	run -0 sidestep apply -f "$CONF"
}

@test "apply --dry-run prints the difference and changes nothing" {
	nodes
	web 8080 | load_config
	web 8080 8081 | config
	run -0 sidestep apply --dry-run -f "$CONF"
	[[ $output == *"+"*"127.0.0.1:8081"* ]]
	endpoints_are 8080

	run -0 sidestep apply -f "$CONF"
	[[ $output == *"+"*"127.0.0.1:8081"* ]]
	endpoints_are 8080 8081
	# nothing more to do
	run -0 sidestep apply -f "$CONF"
	[[ $output != *"+"* ]]
}

@test "a second writer waits, and is locked out in the end" {
	local writer

	nodes
	web 8080 | load_config
	web 8081 | config
	# the lock is one on the pin folder: hold it as a writer at work would
	background flock --no-fork "$PIN" sleep 60
	writer=$PID
	sleep 0.3
	try sidestep apply -f "$CONF"
	[ "$status" -eq 1 ]
	[ -n "$stderr" ]
	endpoints_are 8080 # readers need no lock
	calls 2

	finish "$writer"
	run -0 sidestep apply -f "$CONF"
	endpoints_are 8081
}

@test "writers at once take turns" {
	local pids=() i

	nodes
	web 8080 | load_config
	for i in {1..8}; do
		web 8080 "$((9000 + i))" >"$CONF.$i"
		background "$SIDESTEP" apply "${OPTIONS[@]}" -f "$CONF.$i"
		pids+=("$PID")
	done
	for i in "${pids[@]}"; do
		await_end "$i"
		[ "$status" -eq 0 ]
	done
	show endpoints
	check 'map(select(.state == "ready")) | length == 2'
}

# ---- the daemon ---------------------------------------------------------------------------

@test "run serves; SIGTERM ends it and leaves the data plane" {
	nodes
	web 8080 | config
	daemon_start
	calls 3
	finish "$DAEMON"
	[ "$status" -eq 0 ]
	show status
	check '.daemon == false'
	calls 3
	[ "$(opened)" -eq 6 ]
}

@test "run --unload-on-exit removes it" {
	nodes
	web 8080 | config
	daemon_start --unload-on-exit
	calls 3
	finish "$DAEMON"
	[ "$status" -eq 0 ]
	[ ! -e "$PIN" ]
}

@test "the daemon is killed and started again: service goes on, counters are intact" {
	nodes
	web 8080 | config
	daemon_start
	calls 10
	finish "$DAEMON" KILL
	calls 10
	[ "$(opened)" -eq 20 ]
	show status
	check '.daemon == false'

	daemon_start
	calls 10
	[ "$(opened)" -eq 30 ]
	stats_fresh
	[ "$(metric sidestep_connections_opened_total service=web)" -eq 30 ]
}

@test "a second daemon on the same data plane is refused, and changes nothing" {
	local before

	nodes
	web 8080 | config
	daemon_start
	web 8081 >"$CONF.other"
	show status
	before=$(value '{loads, generation}')

	try timeout 30 "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF.other"
	[ "$status" -eq 1 ]
	[[ $stderr == *"another daemon runs"* ]]
	try timeout 30 "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF.other" \
		--socket "$BATS_TEST_TMPDIR/other"
	[ "$status" -eq 1 ]
	[[ $stderr == *"another daemon, with another socket"* ]]
	[ ! -e "$BATS_TEST_TMPDIR/other" ]

	show status
	check --argjson before "$before" '.daemon and {loads, generation} == $before'
	endpoints_are 8080
	calls 1
	# and the first still follows its file
	web 8081 | config
	wait_until 10 endpoints_are 8081
}

# no_daemon_with STATS...: none begins, and none has loaded anything before it found out
no_daemon_with() {
	local stats

	web 8080 | config
	for stats; do
		try timeout 5 "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF" --stats "$stats"
		[ "$status" -eq 1 ] || fail "$stats: exit code $status: $stderr"
		[[ $stderr == *"$stats"* ]] || fail "$stats is not named: $stderr"
		nothing_is_left
	done
}

@test "a daemon whose stats folder cannot be made does not begin" {
	no_daemon_with "$BATS_TEST_TMPDIR/missing/folder/stats" /proc/sidestep/stats
}

@test "a daemon that cannot write into its stats folder does not begin" {
	touch "$BATS_TEST_TMPDIR/file"
	no_daemon_with "$BATS_TEST_TMPDIR/file/stats" /proc/stats
}

# ask_as UID: what the daemon answers to a ping of this user.
ask_as() {
	python3 - "$1" <<-'END'
		import os, socket, sys
		os.chdir(os.environ["BATS_TEST_TMPDIR"])
		os.setuid(int(sys.argv[1]))
		s = socket.socket(socket.AF_UNIX)
		s.connect("socket")
		s.sendall(b'{"command":"ping"}\n')
		try:
		    print(s.recv(100).decode())
		except ConnectionResetError:
		    pass
	END
}

@test "the control socket answers to root and to nobody else" {
	require_command python3
	nodes
	web 8080 | config
	daemon_start
	[ "$(stat -c %a "$BATS_TEST_TMPDIR/socket")" = 600 ]
	[ "$(ask_as 0)" = pong ]
	# also where its mode would let others in
	chmod 666 "$BATS_TEST_TMPDIR/socket"
	[ "$(ask_as 65534)" = "" ]
	[ "$(ask_as 0)" = pong ]
}

@test "a socket's path that is too long is refused, the longest one is not" {
	local room path

	nodes
	web 8080 | config
	room=$((107 - ${#BATS_TEST_TMPDIR} - 1))
	printf -v path "%s/%0${room}d" "$BATS_TEST_TMPDIR" 0
	try timeout 30 "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF" --socket "${path}1"
	[ "$status" -eq 1 ]
	[[ $stderr == *"${path}1: "*" at most 107 bytes"* ]]
	nothing_is_left

	OPTIONS+=(--socket "$path")
	daemon_start
	[ -S "$path" ]
	calls 1
}

@test "the daemon follows atomic renames and edits in place" {
	nodes
	web 8080 | config
	daemon_start
	endpoints_are 8080

	web 8081 | config # a rename
	wait_until 10 endpoints_are 8081
	web 8080 8081 >"$CONF" # in place
	wait_until 10 endpoints_are 8080 8081
	web 8080 | config
	wait_until 10 endpoints_are 8080
	rm "$CONF" # gone for a moment, as some editors do
	sleep 0.3
	endpoints_are 8080
	web 8081 >"$CONF"
	wait_until 10 endpoints_are 8081
}

@test "the daemon follows what is written while it starts" {
	local moment

	nodes
	for moment in 0.05 0.1 0.2 0.3; do
		web 8080 | config
		background "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF" --unload-on-exit
		DAEMON=$PID
		sleep "$moment"
		web 8081 | config
		wait_until 10 endpoints_are 8081 || fail "written after $moment s: $output"
		# nothing of the load puts the old one back
		wait_until 10 daemon_answers
		endpoints_are 8081
		finish "$DAEMON"
		nothing_is_left
	done
}

@test "the daemon follows a link to the file: its target, and the link" {
	local folder=$BATS_TEST_TMPDIR/elsewhere

	nodes
	mkdir "$folder"
	web 8080 >"$folder/one"
	ln -s "$folder/one" "$CONF"
	daemon_start
	endpoints_are 8080

	web 8081 >"$folder/one" # the target, in place
	wait_until 10 endpoints_are 8081
	web 8080 >"$folder/one.new" # and by a rename
	mv "$folder/one.new" "$folder/one"
	wait_until 10 endpoints_are 8080
	web 8080 8081 >"$folder/two"
	ln -sfn "$folder/two" "$CONF" # another target
	wait_until 10 endpoints_are 8080 8081
	web 8081 >"$folder/two"
	wait_until 10 endpoints_are 8081
}

@test "the daemon follows each of its files" {
	local second=$BATS_TEST_TMPDIR/elsewhere/web.yaml

	namespace() {
		echo '{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }'
	}

	nodes
	mkdir "${second%/*}"
	namespace | config
	web 8080 >"$second"
	daemon_start -f "$second"
	endpoints_are 8080
	web 8081 >"$second"
	wait_until 10 endpoints_are 8081

	echo 'kind: Pod' | config # the first one, too; nothing is taken of the second then
	wait_until 10 grep -qF "$CONF:1:1: found Pod without 'apiVersion'" "${OUT[$DAEMON]}.err"
	web 8080 >"$second"
	sleep 0.3
	endpoints_are 8081
	namespace | config
	wait_until 10 endpoints_are 8080
}

@test "the daemon follows a mounted ConfigMap" {
	local folder=$BATS_TEST_TMPDIR/map version ports=(8080 8081)

	# FILE -> ..data/FILE, ..data -> a folder of this version
	mkdir -p "$folder/..v1"
	nodes
	web 8080 >"$folder/..v1/sidestep.yaml"
	ln -s ..v1 "$folder/..data"
	ln -s ..data/sidestep.yaml "$folder/sidestep.yaml"
	CONF=$folder/sidestep.yaml
	daemon_start
	endpoints_are 8080
	for version in 2 3; do
		mkdir "$folder/..v$version"
		web "${ports[@]}" >"$folder/..v$version/sidestep.yaml"
		ln -s "..v$version" "$folder/..data_tmp"
		mv -T "$folder/..data_tmp" "$folder/..data"
		rm -r "$folder/..v$((version - 1))"
		wait_until 10 endpoints_are "${ports[@]}"
		ports=(8081)
	done
}

@test "the daemon keeps the last good configuration, and tells of the bad one" {
	nodes
	web 8080 | config
	daemon_start
	config <<<"services: nonsense"
	wait_until 10 grep -q "$CONF:1:11: " "${OUT[$DAEMON]}.err"
	calls 3
	stats_fresh
	[ "$(metric sidestep_config_last_reload_successful)" -eq 0 ]

	web 8081 | config
	wait_until 10 endpoints_are 8081
	stats_fresh
	[ "$(metric sidestep_config_last_reload_successful)" -eq 1 ]
}

@test "SIGHUP reads the file again" {
	local before

	nodes
	web 8080 | config
	daemon_start
	stats_fresh
	before=$(metric sidestep_config_last_reload_timestamp_seconds)
	sleep 1.1
	kill -HUP "$DAEMON"
	stats_fresh
	[ "$(metric sidestep_config_last_reload_timestamp_seconds)" -gt "$before" ]
	daemon_answers
}

@test "the file is swapped 1,000 times under load, no call fails" {
	local load i

	nodes
	web 8080 | config
	daemon_start
	pod_start node "$TOOLS/caller" --until-signal --threads 2 --interval-ms 1 10.96.0.10:80
	load=$PID
	for ((i = 0; i < 500; i++)); do
		web 8080 8081 | config
		web 8081 | config
	done
	wait_until 10 endpoints_are 8081
	finish "$load"
	check '.ok > 1000 and .failed == 0 and .names.a > 0 and .names.b > 0'
}
