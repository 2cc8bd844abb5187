#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
# shellcheck disable=SC2030,SC2031 # what a test changes is for itself alone
#
# sidestep doctor: what it tells agrees with what a load finds, it disturbs nobody,
# leaves nothing, and what it found is kept as long as it is true.

load harness

cache() {
	echo "$BATS_TEST_TMPDIR/cache"
}

# As JSON in $output; its exit code in $status.
doctor() {
	try sidestep doctor -o json
	echo "$stderr"
}

doctor_is_content() {
	doctor
	[[ $status == 0 ]] || fail "exit code $status: $output"
	check '.sound and .problems == []'
}

node_config() { # SPLICE
	config <<-END
		node: { splice: $1 }
		services:
		  - { name: web, address: 10.96.0.10, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }
	END
}

# Pins and cgroups, its own and the self-test's below.
nothing_is_left() {
	local left

	left=$(find "$PIN"-doctor-* "$CG" -mindepth 1 -name 'sidestep.*' 2>/dev/null || :
		compgen -G "$PIN-doctor-*" || :)
	[[ ! $left ]] || fail "left: $left"
}

# ---- what it tells -------------------------------------------------------------------

@test "doctor: host, features and checks, as JSON" {
	doctor_is_content
	check --arg kernel "$(uname -r)" '.kernel == $kernel'
	check '[.host[].name] == ["kernel", "architecture", "capabilities", "cgroup2", "bpffs",
		"btf", "lockdown", "lsm", "kube-proxy"]'
	check --arg root "$(cgroup2_root)" '
		.host[] | select(.name == "cgroup2").value | startswith($root)'
	check '.features | length == 9'
	check '.features[] | select(.essential) | .verdict == "ok" and .reason == null'
	# what is not ok says why, by which check, and what helps
	check '.features[] | .verdict == "ok" or (.reason != null and .remedy != null)'
	check '.checks | length > 30'
	check '.checks[] | (.verdict == "passed") == (.reason == null)'
	check '.checks[] | .verdict == "passed" or .verdict == "failed" or .verdict == "not tried"'
	# a check that only doctor tries
	check '.checks[] | select(.name == "totals" or .name == "unload").verdict == "passed"'
	check '.seconds < 30'
	nothing_is_left
}

@test "doctor: a row a feature, with -v a row a check, and what helps" {
	run -0 sidestep doctor
	[[ $output == *"FEATURE "*"VERDICT"* ]]
	[[ $output =~ services\ +ok\  ]]
	[[ $output != *"CHECK "* ]]
	[[ $output == *"everything that services need works ("*s\) ]]
	try sidestep doctor -v
	[ "$status" -eq 0 ]
	[[ $output == *"CHECK "* ]]
	[[ $output =~ order\ +splice\ +passed\  ]]
	if [[ $output =~ splice-auto\ +off\  ]]; then
		[[ $output == *$'\nsplice-auto: '* ]]
	fi
}

@test "doctor agrees with what a load finds" {
	local found

	doctor_is_content
	found=$(value -c '[.features[] | { name, off: (.verdict == "off"), reason }]')
	rm "$(cache)"
	node_config auto
	run -0 sidestep load -f "$CONF"
	[[ $output != *" is off: "* || $output == *"'sidestep doctor' tells"* ]]
	show status
	check --argjson found "$found" '[.features[] | { name, off: (.enabled | not), reason }] == $found'
}

@test "doctor: usage" {
	run -2 sidestep doctor -o xml
	run -2 sidestep doctor something
	run -0 sidestep doctor --help
}

# ---- beside others -------------------------------------------------------------------

loaded_web() { # SPLICE
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	node_config "$1"
	daemon_start
}

@test "doctor beside a loaded instance: its traffic and its tables are not disturbed" {
	local load before

	loaded_web auto
	show status
	before=$(value -c '{loads, generation, services, endpoints, features}')
	pod_start node "$TOOLS/caller" --until-signal --interval-ms 1 10.96.0.10:80
	load=$PID
	for _ in 1 2 3; do
		doctor_is_content
	done
	finish "$load"
	check '.ok > 100 and .failed == 0'
	show status
	check --argjson before "$before" '{loads, generation, services, endpoints, features} == $before'
	check '.daemon'
	nothing_is_left
}

# A daemon that adopts whatever it finds in the cgroup must not get the test's sockets.
@test "doctor beside an instance that splices everything" {
	loaded_web "on"
	require_feature splice
	for _ in 1 2 3; do
		doctor_is_content
		check '.features[] | select(.name == "splice").verdict == "ok"'
		check '.checks[] | select(.name == "totals").verdict == "passed"'
	done
}

@test "two doctors at once" {
	local first second

	background "$SIDESTEP" doctor "${OPTIONS[@]}" -o json
	first=$PID
	background "$SIDESTEP" doctor "${OPTIONS[@]}" -o json
	second=$PID
	await_end "$first"
	[ "$status" -eq 0 ]
	await_end "$second"
	[ "$status" -eq 0 ]
	nothing_is_left
}

# ---- what it cannot do ---------------------------------------------------------------

without() { # CAPABILITY... : the rest of the three that are needed
	local all=(bpf net_admin perfmon) keep=-all name

	for name in "${all[@]}"; do
		[[ " $* " == *" $name "* ]] || keep+=",+$name"
	done
	try setpriv --inh-caps=-all --bounding-set="$keep" "$SIDESTEP" doctor "${OPTIONS[@]}" -o json
	echo "$output"
}

@test "doctor without capabilities names them and exits with 1" {
	require_command setpriv
	without bpf
	[ "$status" -eq 1 ]
	check '.sound == false'
	check '.host[] | select(.name == "capabilities") |
		.value == "missing: CAP_BPF" and (.remedy | length > 0)'
	check '.features[] | .verdict == "off"'
	check '.checks[] | .verdict == "not tried" and .reason != null'
	check '.problems[] | contains("CAP_BPF is missing")'
	without bpf net_admin perfmon
	[ "$status" -eq 1 ]
	check '.host[] | select(.name == "capabilities").value ==
		"missing: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"'
	nothing_is_left
}

@test "doctor with no more than three capabilities" {
	require_command setpriv
	ns_make node
	try in_ns node setpriv --inh-caps=-all --bounding-set=-all,+bpf,+net_admin,+perfmon \
		"$SIDESTEP" doctor "${OPTIONS[@]}" -o json
	[ "$status" -eq 0 ] || fail "$output"
	check '.sound'
	nothing_is_left
}

@test "doctor says what it could not do, and exits with 1" {
	# room for its own cgroup, but not for the self-test's below
	echo 1 >"$CG/cgroup.max.descendants"
	doctor
	[ "$status" -eq 1 ]
	check '.sound == false and (.problems | length) > 0'
	check '.problems[0] | contains("no cgroup could be made")'
	nothing_is_left
	try sidestep doctor --cgroup "$CG/missing"
	[ "$status" -eq 1 ]
	[[ $output == *"$CG/missing is no cgroup"* ]]
}

# ---- an end in the middle --------------------------------------------------------------

MOMENTS=(0.05 0.15 0.3 0.4 0.5 0.6 0.8)

doctor_start() {
	# a shell starts what runs in the background deaf to INT
	background env --default-signal=INT "$SIDESTEP" doctor "${OPTIONS[@]}"
}

@test "doctor ended by a signal leaves nothing" {
	local moment signal

	for signal in INT TERM HUP; do
		for moment in 0.1 0.4 0.7; do
			doctor_start
			sleep "$moment"
			kill "-$signal" "$PID" 2>/dev/null || :
			await_end "$PID"
			nothing_is_left
		done
	done
}

@test "doctor that is killed: the next one takes away what is left" {
	local moment left=0

	for moment in "${MOMENTS[@]}"; do
		doctor_start
		sleep "$moment"
		finish "$PID" KILL
		nothing_is_left >/dev/null || left=$((left + 1))
	done
	((left > 0)) || fail "none was killed half-way"
	doctor_is_content
	nothing_is_left
}

# ---- what is kept ------------------------------------------------------------------------

auto_reason() {
	show status
	value '.features[] | select(.name == "splice-auto").reason'
}

# A word that no self-test says: whoever says it has read the file.
mark_cache() {
	sed -i 's/^fionread-spliced: .*/fionread-spliced: failed: kept/' "$(cache)"
	grep -q kept "$(cache)"
}

was_kept() {
	sidestep load -f "$CONF"
	[[ $(auto_reason) == kept ]]
}

was_tried() {
	sidestep load -f "$CONF"
	[[ $(auto_reason) != kept ]] || fail "the file was believed"
}

with_cache() {
	node_config auto
	sidestep load -f "$CONF"
	require_feature splice
	[ -f "$(cache)" ]
	mark_cache
	cp "$(cache)" "$BATS_TEST_TMPDIR/kept"
}

restore_cache() {
	rm -rf "$(cache)"
	cp "$BATS_TEST_TMPDIR/kept" "$(cache)"
}

@test "what a load found of the kernel is kept, and doctor renews it" {
	with_cache
	was_kept
	# also by a first load
	sidestep unload
	was_kept
	doctor_is_content
	run ! grep kept "$(cache)"
	was_tried
	# doctor does not read it
	restore_cache
	doctor
	[[ $output != *kept* ]]
}

@test "what is kept of another kernel, boot or build says nothing" {
	local pattern

	with_cache
	grep -qF "$(uname -r) " "$(cache)"
	grep -qF "boot $(</proc/sys/kernel/random/boot_id) " "$(cache)"
	for pattern in "2s/^[^ ]*/6.1.0-other/" "2s/boot [^ ]*/boot other/" \
		"2s/version [^ ]*/version 0.0.0/" "2s/ABI [0-9]*/ABI 0/" \
		"2s/programs [^ ]*/programs 0/" "2s/ [^ ]*readers$/ other/" "1s/1$/0/"; do
		restore_cache
		sed -i "$pattern" "$(cache)"
		was_tried
		# and is replaced
		run ! grep kept "$(cache)"
	done
}

@test "what is not whole, or not ours, says nothing" {
	local cache

	cache=$(cache)
	with_cache
	head -n 5 "$BATS_TEST_TMPDIR/kept" >"$cache"
	was_tried
	: >"$cache"
	was_tried
	head -c 100000 /dev/urandom >"$cache"
	was_tried
	restore_cache
	echo more >>"$cache"
	was_tried
	restore_cache
	sed -i 's/^order: passed: $/order: failed: bytes arrived out of order/' "$cache"
	was_tried
	restore_cache
	chmod g+w "$cache"
	was_tried
	restore_cache
	chown 65534 "$cache"
	was_tried
	rm "$cache"
	ln -s kept "$cache"
	was_tried
	rm -rf "$cache"
	mkdir "$cache"
	was_tried
	rmdir "$cache"
	mkfifo "$cache"
	was_tried
}

@test "a cache that cannot be written is no failure" {
	node_config auto
	run -0 sidestep load -f "$CONF" --cache /proc/sidestep/cache
	run -0 sidestep load -f "$CONF" --cache "$BATS_TEST_TMPDIR/missing/folder/cache"
	run -0 sidestep load -f "$CONF" --cache "$BATS_TEST_TMPDIR/folder/cache"
	[ -f "$BATS_TEST_TMPDIR/folder/cache" ]
	run -0 sidestep doctor --cache /proc/sidestep/cache
}
