# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # jq has variables; others use these
#
# What the tests with real programs share. Each test tells a scenario: a function that
# starts servers, lets clients work, and prints what they saw. It is played with
# splice: off, with auto and, for programs that do not ask FIONREAD, with on; each time
# with new servers and a Sidestep newly loaded. What was seen must be the same.
#
#   services() { service web 10.96.0.10 80 "$(ip4 a)" 8080; }
#
#   @test "..." {
#       ns_bridge client a
#       SPLICED=(web)                   # with on; and with auto, where it is adopted
#       play scenario off auto on
#   }
#
# How long a step took is printed and never judged, but for STALLED.

load ../e2e/harness

STALLED=180 # seconds; on a machine with little else to do no step takes 30

PROGRAMS=$BATS_TEST_DIRNAME
BUILT=$REPO/build/programs # by scripts/test-programs

setup() {
	harness_and_folder
}

harness_and_folder() {
	harness_setup
	# not below bats' own folder, into which only root can look
	DATA=$(mktemp -d "/tmp/sidestep-programs.XXXXXX")
	chmod 0755 "$DATA"
	SPLICED=()          # services of which bytes must have been spliced, where that may be
	STEPS=()            # their names, in order
	declare -gA TOOK=() # milliseconds by "step/mode"
}

teardown() {
	local status=0

	tell_results
	harness_teardown || status=1
	rm -rf "$DATA"
	return $status
}

# What the last scenario saw before it failed: bats prints it only then.
tell_results() {
	[[ ! -e ${RESULT:-} ]] || tail -n 20 "$RESULT"
}

# ---- playing a scenario ----------------------------------------------------------------

# play SCENARIO MODE...
play() {
	local scenario=$1 mode

	shift
	for mode; do
		play_once "$scenario" "$mode"
		diff "$DATA/result.$1" "$RESULT" || fail "$mode is not like $1"
	done
	print_times "$@"
}

# Sets MODE, and DIR, an empty folder.
play_once() { # SCENARIO MODE
	MODE=$2
	DIR=$DATA/$MODE
	RESULT=$DATA/result.$MODE
	mkdir "$DIR"
	{
		echo "services:"
		services
	} | config
	daemon_start
	[[ $MODE != on ]] || require_feature splice
	"$1" >"$RESULT"
	spliced_as_expected
	end_servers
	finish "$DAEMON" >/dev/null
	# spliced bytes of servers that were stopped may be unread for a moment
	wait_until 20 sidestep unload
}

# service NAME ADDRESS PORT ENDPOINT TARGET: an entry of the configuration
service() {
	cat <<-END
		  - name: $1
		    address: $2
		    port: $3
		    target: $5
		    splice: $MODE
		    endpoints: [ { address: $4 } ]
	END
}

end_servers() {
	local pid

	# in the order they were started: clients last
	for pid in "${PIDS[@]}"; do
		[[ $pid == "$DAEMON" ]] || finish "$pid" >/dev/null
	done
}

spliced_as_expected() {
	local service

	show services
	if ! may_splice; then
		check 'all(.[]; .counters | .spliced_sent_bytes + .spliced_received_bytes == 0)'
		return
	fi
	for service in "${SPLICED[@]}"; do
		check --arg name "$service" \
			'.[] | select(.service == $name).counters
			 | .spliced_sent_bytes + .spliced_received_bytes > 0'
	done
	tell_spliced
}

may_splice() {
	local before=$output splices

	[[ $MODE != off ]] || return 1
	[[ $MODE != auto ]] || splices=$(sidestep status -o json |
		jq 'any(.features[]; .name == "splice-auto" and .enabled)')
	output=$before
	[[ ${splices:-true} == true ]]
}

tell_spliced() {
	value '.[] | select(.counters.opened > 0) |
		"# \(.service): spliced \(.counters.spliced_sent_bytes) bytes to it and " +
		"\(.counters.spliced_received_bytes) from it; by TCP " +
		"\(.counters.sent_bytes) and \(.counters.received_bytes)"' |
		sed "s/^# /# $MODE: /" >&3
}

# ---- steps -----------------------------------------------------------------------------

# step NAME POD COMMAND...: must succeed, and end at all.
step() {
	local name=$1 begin=${EPOCHREALTIME/./} status=0

	pod "$2" timeout --kill-after=5 "$STALLED" "${@:3}" || status=$?
	took "$name" "$begin"
	((status != 124 && status != 137)) || fail "$MODE: $name: stalled: ${*:3}"
	((status == 0)) || fail "$MODE: $name: exit code $status: ${*:3}"
}

# took STEP MICROSECONDS: since that time
took() {
	printf '%s\n' "${STEPS[@]}" | grep -qxF -- "$1" || STEPS+=("$1")
	TOOK[$1/$MODE]=$(((${EPOCHREALTIME/./} - $2) / 1000))
}

print_times() { # MODE...
	local step mode

	{
		printf '# %-44s' "$BATS_TEST_DESCRIPTION, s"
		printf ' %8s' "$@"
		for step in "${STEPS[@]}"; do
			printf '\n#   %-42s' "$step"
			for mode; do
				printf ' %8s' "$(seconds "${TOOK[$step/$mode]}")"
			done
		done
		echo
	} >&3
}

seconds() { # MILLISECONDS
	printf '%d.%02d' $(($1 / 1000)) $(($1 % 1000 / 10))
}

# ---- small helpers ---------------------------------------------------------------------

# listens POD PORT: waits until something does
listens() {
	wait_until 60 accepts "$1" "$2" || fail "nothing listens on $2 of $1"
}

accepts() {
	[[ $(in_ns "$1" ss -Hltn "sport = :$2") ]]
}

# random_file PATH SIZE: the same for each mode, unlike at every place
random_file() {
	openssl enc -aes-128-ctr -nosalt -pass pass:sidestep -pbkdf2 -iter 1 -in /dev/zero \
		2>/dev/null | head -c "$2" >"$1"
}

# sums FILE...: what is in them, without their names
sums() {
	sha256sum "$@" | cut -d ' ' -f 1
}

# as_user USER: words in front of a program that refuses root
as_user() {
	AS=(setpriv --reuid "$1" --regid "$1" --clear-groups)
}

# ---- HTTP through a proxy --------------------------------------------------------------

# proxied COMMAND...: a server in pod a, behind a proxy that COMMAND starts and that clients
# call at 10.96.0.10
proxied() {
	[[ -e $DATA/file ]] || random_file "$DATA/file" 20000000
	pod_bg a "$BUILT/gohttp" serve :8080 "$DATA/file"
	"$@"
	step "answers and uploads" client "$BUILT/gohttp" client http://10.96.0.10
	step "small, then 20 MB four times" client \
		curl -sS -f -o "$DIR/small" "http://10.96.0.10/bytes?size=[1-60]" \
		--next -sS -f -o "$DIR/large.#1" "http://10.96.0.10/file?[1-4]"
	sums "$DIR"/large.* | uniq -c
	rm "$DIR"/large.*
}
