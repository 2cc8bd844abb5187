#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034,SC2154 # common.bash reads and sets them
#
# PostgreSQL: pgbench, COPY of 1 GB in and out, cancel. The server and libpq both make
# their sockets non-blocking.

load common

services() {
	service db 10.96.0.10 5432 "$(ip4 a)" 5432
}

setup_file() {
	# where Debian keeps the server's programs of each version
	PATH=$PATH:$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
	export PATH PGUSER=postgres PGDATABASE=postgres PGCONNECT_TIMEOUT=20 LC_ALL=C
}

server() {
	as_user postgres
	install -d -o postgres "$DIR/db"
	(cd / && "${AS[@]}" initdb -D "$DIR/db" -A trust -U postgres -N >"$DIR/initdb")
	echo "host all all 10.77.0.0/24 trust" >>"$DIR/db/pg_hba.conf"
	pod_start a "${AS[@]}" env -C / postgres -D "$DIR/db" -c listen_addresses=\* \
		-c unix_socket_directories= -c fsync=off -c full_page_writes=off \
		-c max_wal_size=8GB -c shared_buffers=256MB -c autovacuum=off
	wait_until 60 in_ns client pg_isready -q -h "$(ip4 a)" || fail "$(cat "${OUT[$PID]}.err")"
}

sql() { # STEP STATEMENT
	step "$1" client psql -h 10.96.0.10 -qAtX -v ON_ERROR_STOP=1 -c "$2"
}

calls() {
	server
	step "pgbench: fill" client pgbench -h 10.96.0.10 -q -i -s 2 2>"$DIR/fill"
	step "pgbench, 4 clients" client pgbench -h 10.96.0.10 -n -c 4 -t 1500 >"$DIR/bench"
	transactions
	step "pgbench, prepared, reads only" client pgbench -h 10.96.0.10 -n -S -M prepared \
		-c 4 -t 5000 >"$DIR/bench"
	transactions
	sql "count" "SELECT count(*), sum(abalance) = (SELECT sum(delta) FROM pgbench_history)
		FROM pgbench_accounts; SELECT count(*) FROM pgbench_history"
}

transactions() {
	grep -E '^number of (transactions actually|failed)' "$DIR/bench"
}

# Many small queries: with them a connection becomes request/response.
chat() {
	local i

	echo '\o /dev/null'
	for i in {1..100}; do
		echo "SELECT $i;"
	done
	echo '\o'
}

# psql asks to cancel when it is interrupted, on another connection to the same address.
cancel() {
	local i j session queries=()

	server
	for i in 1 2 3; do
		# with them the connection becomes request/response
		for j in {1..60}; do
			queries+=(-c "SELECT $j")
		done
		queries+=(-c "SELECT pg_sleep(600), $i")
	done
	# bash starts background processes deaf to INT
	pod_start client env --default-signal=INT psql -h 10.96.0.10 -qAtX "${queries[@]}" \
		-c "SELECT 'goes on'"
	session=$PID
	for i in 1 2 3; do
		cancel_one "$session" "$i"
	done
	await_end "$session" >&2
	echo "$status $output"
	echo "$stderr"
}

cancel_one() { # PID NUMBER
	local begin

	wait_until 60 query "pg_sleep(600), $2" || fail "$MODE: query $2 does not run"
	begin=${EPOCHREALTIME/./}
	kill -INT "$1"
	wait_until 60 no_query "pg_sleep(600), $2" || fail "$MODE: query $2 was not cancelled"
	took "cancel, number $2" "$begin"
}

# query TEXT: whether it runs. Not asked by way of the service.
query() {
	[[ $(in_ns client psql -h "$(ip4 a)" -qAtX -c "SELECT count(*) FROM pg_stat_activity
		WHERE strpos(query, '$1') > 0 AND wait_event = 'PgSleep'") == 1 ]]
}

no_query() {
	! query "$1"
}

copy() {
	server
	chat >"$DIR/chat.sql"
	in_ns client psql -h "$(ip4 a)" -qAtX -c "CREATE UNLOGGED TABLE there AS
		SELECT i, repeat(md5(i::text), 32) AS text FROM generate_series(1, 1000000) i;
		CREATE UNLOGGED TABLE back (LIKE there)"
	# shellcheck disable=SC2016 # that shell's
	step "COPY of 1 GB out" client bash -c 'set -o pipefail
		psql -h 10.96.0.10 -qAtX -v ON_ERROR_STOP=1 -f "$0" -c "COPY there TO STDOUT" |
		sha256sum' "$DIR/chat.sql"
	# shellcheck disable=SC2016
	step "COPY of 1 GB out and in again" client bash -c 'set -o pipefail
		psql -h 10.96.0.10 -qAtX -v ON_ERROR_STOP=1 -f "$0" -c "COPY there TO STDOUT" |
		psql -h 10.96.0.10 -qAtX -v ON_ERROR_STOP=1 -f "$0" -c "COPY back FROM STDIN"' \
		"$DIR/chat.sql"
	sql "the same" "SELECT count(*), sum(length(text)), count(*) FILTER
		(WHERE text = repeat(md5(i::text), 32)) FROM back"
	# a gigabyte twice
	end_servers
	rm -rf "$DIR/db"
}

@test "PostgreSQL: pgbench" {
	ns_bridge client a
	SPLICED=(db)
	play calls off auto on
}

@test "PostgreSQL: cancel" {
	ns_bridge client a
	SPLICED=(db)
	play cancel off auto on
}

@test "PostgreSQL: COPY of 1 GB" {
	ns_bridge client a
	SPLICED=(db)
	play copy off auto on
}
