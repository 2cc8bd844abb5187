#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # a shell of its own has variables too; the harness sets some
#
# Libraries that bring many others are loaded by those who need them, and missed in time.

load harness

# run_without SONAME OPTIONS...: `run`, where that library's file is none.
run_without() {
	local file

	file=$(ldconfig -p | sed -n "s|^\t$1 (.* => ||p" | head -n 1)
	[[ $file ]] || fail "$1 is not installed"
	: >"$BATS_TEST_TMPDIR/none"
	run --separate-stderr -1 unshare --mount bash -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' \
		- "$BATS_TEST_TMPDIR/none" "$(realpath "$file")" timeout 20 "$SIDESTEP" run \
		"${OPTIONS[@]}" "${@:2}"
}

@test "a daemon that follows files has neither a client's library nor a server's" {
	config <<<"services: []"
	daemon_start
	[[ $(<"/proc/$DAEMON/maps") != *@(curl|microhttpd|crypto|gnutls).so.* ]]
}

@test "a library that is missing is told before anything is loaded, and what to install" {
	config <<<"services: []"

	run_without libmicrohttpd.so.12 -f "$CONF" --web 127.0.0.1:0
	[[ $stderr == "libmicrohttpd.so.12: --web and --metrics "*" it is in libmicrohttpd12"* ]]
	[[ ! -e $PIN ]]
	run_without libmicrohttpd.so.12 -f "$CONF" --metrics 127.0.0.1:0
	[[ $stderr == "libmicrohttpd.so.12: "*"sidestep: --metrics 127.0.0.1:0: "* ]]
	[[ ! -e $PIN ]]
	run_without libcurl.so.4 --kubernetes --server https://127.0.0.1:1
	[[ $stderr == "libcurl.so.4: --kubernetes "*" it is in libcurl4" ]]
	[[ ! -e $PIN ]]
}
