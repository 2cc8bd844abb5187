#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # jq and JavaScript have variables too; run
# sets stderr, and the harness reads OPTIONS
#
# The page of `run --web`, and `map`: who may look, what it tells, what browsers cannot do to
# the daemon; and all of it in a real Chromium.

load harness
load browser

TOKEN=correct-horse-battery-staple

setup() {
	harness_setup
	require_command curl
}

# Services before one namespace: "web" greets, "dead" has nobody behind it. Sets WEB, the
# process that greets.
nodes() {
	ns_make node
	pod_bg node "$TOOLS/echoserver" --name a --greet 127.0.0.1:8080
	WEB=$PID
	config <<-END
		services:
		  - { name: web, address: 10.96.0.10, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }
		  - { name: dead, address: 10.96.0.12, port: 80, endpoints: [ { address: 127.0.0.1, port: 8082 } ] }
	END
}

# many N: a configuration of so many services
many() {
	seq 1 "$1" | awk 'BEGIN { print "services:" } {
		printf "  - { name: service-%d, address: 10.%d.%d.1, port: 80, endpoints: [ { address: 127.0.0.1, port: 8080 } ] }\n",
			$1, 100 + $1 / 250, $1 % 250 }' | config
}

# page_start [OPTIONS]: a daemon with a page; sets URL.
page_start() {
	daemon_start --web 127.0.0.1:0 "$@"
	wait_until 10 has_url || fail "no page: $(cat "${OUT[$DAEMON]}.err")"
}

has_url() {
	URL=$(sed -n 's|.*the page is at \(http://[^ ]*\)/$|\1|p' "${OUT[$DAEMON]}.err")
	[[ $URL ]]
}

# status_of CURL-ARGUMENTS...: the HTTP status alone
status_of() {
	curl -s -o /dev/null -w '%{http_code}\n' --max-time 10 "$@"
}

# first_line HEADERS: of the answer to a request that curl would not send
first_line() {
	timeout 5 bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"; printf "GET / HTTP/1.1\r\n$1\r\n" >&9
		read -r line <&9 && echo "$line"' "${URL##*:}" "$1"
}

# state: the page's snapshot in $output
state() {
	output=$(curl -s --max-time 10 "$URL/api/state")
	check '.version' >/dev/null
}

# reader PATH: a client that asks and never reads; sets PID.
reader() {
	background bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"
		printf "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" "$1" >&9; exec sleep 120' \
		"${URL##*:}" "$1"
}

# connected PID: whether the peer has not yet hung up
established() {
	ss -Htn state established "sport = :${URL##*:}" | wc -l
}

none_established() {
	(($(established) == 0))
}

memory() {
	awk '/^VmRSS/ { print $2 }' "/proc/$DAEMON/status"
}

# ---- who may look ------------------------------------------------------------------------

@test "the page is whole, and loads nothing from elsewhere" {
	nodes
	page_start
	try curl -si "$URL/"
	[[ $status == 0 && $output == "HTTP/1.1 200 OK"* ]]
	grep -q '^Content-Type: text/html; charset=utf-8' <<<"$output"
	grep -q '^X-Frame-Options: DENY' <<<"$output"
	grep -q '^X-Content-Type-Options: nosniff' <<<"$output"
	grep -q '^Referrer-Policy: no-referrer' <<<"$output"
	grep -q '^Cache-Control: no-store' <<<"$output"
	grep -qE "^Content-Security-Policy: default-src 'none'; script-src 'nonce-[0-9a-f]{32}'" <<<"$output"
	run ! grep -q 'unsafe-' <<<"$output"
	run ! grep -qE '(src|href)="(https?:)?//' <<<"$output"
	run ! grep -q '{{' <<<"$output"
	# each answer has a nonce of its own
	[[ $(curl -s "$URL/" | grep -o 'nonce="[^"]*"' | sort -u) != \
		$(curl -s "$URL/" | grep -o 'nonce="[^"]*"' | sort -u) ]]
}

@test "only what is asked here is answered" {
	nodes
	page_start
	[[ $(status_of "$URL/healthz") == 200 ]]
	[[ $(status_of -I "$URL/") == 200 ]]
	[[ $(status_of "$URL/nothing") == 404 ]]
	[[ $(status_of "$URL//") == 404 ]]
	[[ $(status_of -d a=b "$URL/") == 405 ]]
	[[ $(status_of -X DELETE "$URL/") == 405 ]]
	[[ $(status_of -X GET -d a=b "$URL/") == 400 ]]
	[[ $(status_of -I "$URL/api/events") == 405 ]]
	[[ $(status_of -H "X: $(printf 'x%.0s' {1..40000})" "$URL/") == 431 ]]
}

# A page whose name its owner's DNS leads to 127.0.0.1 has that name in Host:.
@test "a name that a stranger leads here is refused" {
	nodes
	page_start
	[[ $(status_of -H 'Host: localhost:1' "$URL/") == 200 ]]
	[[ $(status_of -H 'Host: [::1]' "$URL/") == 200 ]]
	[[ $(status_of -H 'Host: rebound.example.org' "$URL/api/state") == 421 ]]
	[[ $(status_of -H 'Host: 10.0.0.1' "$URL/") == 421 ]]
	[[ $(status_of -H 'Host;' "$URL/") == 4?? ]]
	[[ $(first_line 'Host: localhost\r\nHost: rebound.example.org\r\n') == *" 4"* ]]
	[[ $(first_line '') == *" 4"* ]]
	[[ $(first_line 'Host: localhost\r\n') == *" 200 "* ]]
}

@test "where there is a token, nothing is told without it" {
	local jar=$BATS_TEST_TMPDIR/jar

	nodes
	(umask 077 && echo "$TOKEN" >"$BATS_TEST_TMPDIR/token")
	page_start --web-token "$BATS_TEST_TMPDIR/token"
	for path in / /api/state /api/events '/api/explain?source=a&destination=b'; do
		[[ $(status_of "$URL$path") == 401 ]]
		[[ $(status_of -H "Authorization: Bearer wrong$TOKEN" "$URL$path") == 401 ]]
	done
	[[ $(status_of "$URL/healthz") == 200 ]]
	[[ $(status_of -H "Authorization: Bearer $TOKEN" "$URL/api/state") == 200 ]]
	[[ $(status_of "$URL/?token=wrong") == 401 ]]
	# a token in the address becomes a cookie, and leaves the address
	try curl -si -c "$jar" "$URL/?token=$TOKEN"
	[[ $output == "HTTP/1.1 303 "* ]]
	grep -qE '^Set-Cookie: sidestep-[0-9]+=.*; Path=/; HttpOnly; SameSite=Lax' <<<"$output"
	[[ $(sed -n 's/^Location: //p' <<<"$output") == $'/\r' ]]
	[[ $(status_of -b "$jar" "$URL/") == 200 ]]
	[[ $(status_of -b "$jar" "$URL/api/state") == 200 ]]
	# a name is no danger here: its owner has no token
	[[ $(status_of -b "$jar" -H 'Host: node.example.org' "$URL/") == 401 ]]
	[[ $(status_of -H "Authorization: Bearer $TOKEN" -H 'Host: node.example.org' "$URL/") == 200 ]]
	run ! grep -r "$TOKEN" "${OUT[$DAEMON]}" "${OUT[$DAEMON]}.err"
}

# refused WHY OPTIONS...: before anything is loaded
refused() {
	try sidestep run -f "$CONF" "${@:2}"
	[[ $status == 1 ]] || fail "exit code $status: $stderr"
	[[ $stderr == *"$1"* ]] || fail "$stderr"
	[[ ! -e $PIN ]]
}

@test "what cannot be is refused before anything is loaded" {
	nodes
	echo short >"$BATS_TEST_TMPDIR/short"
	chmod 600 "$BATS_TEST_TMPDIR/short"
	refused "expected an address and a port" --web 9470
	refused "others than this machine reach :9470: that needs --web-token FILE" --web :9470
	refused "others than this machine reach 0.0.0.0:9470" --web 0.0.0.0:9470
	refused "expected one line of 16 to 128" --web :0 --web-token "$BATS_TEST_TMPDIR/short"
	refused "No such file" --web :0 --web-token "$BATS_TEST_TMPDIR/none"
	try sidestep run -f "$CONF" --web-token "$BATS_TEST_TMPDIR/short"
	[[ $status == 2 && $stderr == *"--web-token needs --web"* ]]
}

@test "a port in use is told, and nothing is loaded" {
	local url

	nodes
	page_start
	url=$URL
	OPTIONS=(--cgroup "$CG" --pin "$PIN-two" --socket "$BATS_TEST_TMPDIR/socket-two"
		--stats "$STATS-two" --cache "$BATS_TEST_TMPDIR/cache")
	try sidestep run -f "$CONF" --web "${url#http://}"
	[[ $status == 1 && $stderr == *"--web ${url#http://}: Address already in use"* ]]
	[[ ! -e $PIN-two ]]
	[[ $(status_of "$url/healthz") == 200 ]]
}

# ---- what it tells -----------------------------------------------------------------------

@test "a snapshot agrees with the listings" {
	nodes
	page_start
	call node --count 10 --send 1000 10.96.0.10:80
	state
	check '.services.total == 2 and (.nodes.rows | map(.[0]) | contains(["web/80", "dead/80"]))'
	wait_until 5 snapshot_has 10
	check --argjson map "$(sidestep map -o json)" \
		'(.nodes.rows | map(.[0])) == ($map.nodes | map(.name)) and
		 (.edges.rows | map([.[0], .[1], .[2]])) == ($map.edges | map([.from, .to, .opened]))'
	# a stream begins with what is there, and goes on
	try timeout 5 curl -sN "$URL/api/events"
	(($(grep -c '^data: {' <<<"$output") >= 3))
	grep '^data: ' <<<"$output" | sed 's/^data: //' | jq -e '.services.total == 2' >/dev/null
}

snapshot_has() {
	state && check '[.edges.rows[] | .[2]] | add == '"$1" >/dev/null
}

# A page of two workloads, of which api may not call db
api_denied() {
	ns_make node
	config <<-END
		workloads:
		  - { name: api, labels: { app: api }, addresses: [ 10.1.0.1 ] }
		  - { name: db, labels: { app: db }, addresses: [ 10.1.0.2 ] }
		policies:
		  - name: db
		    subject: { app: db }
		    ingress: [ { from: [ { labels: { app: web } } ] } ]
	END
	page_start
}

@test "explain answers as the command does" {
	api_denied
	try curl -s "$URL/api/explain?source=api&destination=db&port=80%2FTCP"
	check '.verdict == "denied" and .pairs[0].ingress.rule != null'
	[[ $(jq -S . <<<"$output") == "$(sidestep explain api db 80/TCP -o json | jq -S .)" ]]
	try curl -s "$URL/api/explain?source=nobody%2Fx&destination=db&port=80"
	check '.problems | length == 1'
	[[ $(status_of "$URL/api/explain?source=nobody%2Fx&destination=db&port=80") == 400 ]]
	[[ $(status_of "$URL/api/explain?source=api") == 400 ]]
	[[ $(status_of "$URL/api/explain?source=&destination=db") == 400 ]]
}

@test "the map is drawn for documents" {
	nodes
	sidestep load -f "$CONF"
	call node --count 3 10.96.0.10:80
	try sidestep map
	[[ $status == 0 && $output == "<svg "*"</svg>" && $output == *">web/80<"* ]]
	try sidestep map -o dot
	[[ $status == 0 && $output == "digraph sidestep {"*"}" && $output == *'label="web/80"'* ]]
	show map
	check '[.nodes[] | select(.kind == "service").name] == ["dead/80", "web/80"]'
	check '[.edges[].opened] | add == 3'
	try sidestep map -o table
	[[ $status == 2 && $stderr == *"expected svg, dot or json"* ]]
}

# ---- what browsers cannot do ---------------------------------------------------------------

@test "a browser that never reads is hung up on, and others go on" {
	local before i

	ns_make node
	many 1500
	page_start
	try timeout 4 curl -sN -o /dev/null "$URL/api/events"
	before=$(memory)
	for i in 1 2 3; do
		reader /api/events
	done
	reader /api/state
	try timeout 15 curl -sN "$URL/api/events"
	(($(grep -c '^data: ' <<<"$output") >= 5))
	(($(memory) < before + 20000)) || fail "from $before to $(memory) KiB"
	wait_until 40 none_established || fail "$(established) are still there"
	[[ $(grep -c 'ended a connection that did not read' "${OUT[$DAEMON]}.err") == 1 ]]
	[[ $(status_of "$URL/healthz") == 200 ]]
}

@test "requests that never end are hung up on" {
	local port

	nodes
	page_start
	port=${URL##*:}
	background bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"; printf "GET / HTTP/1.1\r\nHost: loc" >&9
		exec sleep 120' "$port"
	background bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$0"; while printf "G" >&9; do sleep 1; done' "$port"
	wait_until 5 some_established
	wait_until 40 none_established || fail "$(established) are still there"
}

some_established() {
	(($(established) > 0))
}

@test "streams are bounded, and the one too many is told so" {
	local i

	nodes
	page_start
	for i in {1..16}; do
		background curl -sN -o /dev/null "$URL/api/events"
	done
	wait_until 10 stream_refused || fail "the seventeenth is served"
	try curl -si --max-time 5 "$URL/api/events"
	[[ $output == "HTTP/1.1 503 "*"Retry-After: 10"* ]]
	# everything else is there as before
	[[ $(status_of "$URL/api/state") == 200 ]]
	finish "$PID"
	wait_until 10 stream_served
	(($(grep -c 'more than 16 browsers' "${OUT[$DAEMON]}.err") == 1))
}

stream_refused() {
	[[ $(status_of --max-time 1 "$URL/api/events") == 503 ]]
}

stream_served() {
	[[ $(timeout 2 curl -s -o /dev/null -w '%{http_code}' "$URL/api/events" || :) != 503 ]]
}

@test "a storm of requests leaves the daemon its time" {
	nodes
	page_start
	pod_start node "$TOOLS/caller" --count 1000000 --interval-ms 5 --until-signal 10.96.0.10:80
	try timeout 60 curl -sZ --parallel-max 60 -o /dev/null -w '%{http_code}\n' \
		"$URL/api/state?[1-2000]"
	[[ $(sort <<<"$output" | uniq -c | tr -s ' ') == " 2000 200" ]]
	daemon_answers
	finish "$PID"
	check '.failed == 0'
}

# ---- in a browser ----------------------------------------------------------------------------

# A function for the page: the cell of a table's row
CELL='(id, row, column) => {
	const table = document.querySelector(`#${id} table`);
	const at = [...table.querySelectorAll("thead th")].findIndex((th) => th.textContent === column);
	const found = [...table.querySelectorAll("tbody tr")].find((tr) => tr.textContent.includes(row));
	return found && found.children[at].textContent; }'

@test "Chromium draws the services, and what happens to them" {
	nodes
	page_start
	# it reads all there is: whoever closes with unread bytes resets, which is trouble
	pod_start node "$TOOLS/caller" --count 1000000 --interval-ms 20 --until-signal 10.96.0.10:80
	browser_start
	browser_open "$URL/"
	browser_until 20 'document.querySelectorAll("#map .node.service").length === 2'
	browser_until 10 'document.querySelectorAll("#map .line[marker-end]").length === 1'
	browser_until 10 "Number(($CELL)('services', 'web/80', 'Opened')) > 20"
	browser_until 10 "($CELL)('calls', 'web/80', 'Rate').endsWith('/s')"
	browser_value 'document.getElementById("status").textContent'
	[[ $output == live ]]
	# in the map nothing is in trouble, until the server stops
	browser_holds '!document.querySelector("#map .line.failing")'
	finish "$WEB"
	browser_until 15 'document.querySelectorAll("#map .line.failing").length === 1'
	browser_until 10 "Number(($CELL)('services', 'web/80', 'Failed')) > 0"
	[[ ! $(browser_complaints) ]] || fail "$(browser_complaints)"
}

@test "Chromium: an endpoint that leaves the file leaves the page" {
	nodes
	page_start
	browser_start
	browser_open "$URL/"
	browser_until 20 "($CELL)('endpoints', 'dead/80', 'State') === 'ready'"
	sed -i 's/port: 8082 }/port: 8082, draining: true }/' "$CONF"
	browser_until 10 "($CELL)('endpoints', 'dead/80', 'State') === 'draining'"
	browser_until 10 'document.querySelector("#map .node.down title").textContent === "dead/80"'
	sed -i '/dead/d' "$CONF"
	browser_until 10 'document.querySelectorAll("#map .node.service").length === 1'
	browser_until 10 "!($CELL)('services', 'dead/80', 'State')"
	[[ ! $(browser_complaints) ]] || fail "$(browser_complaints)"
}

@test "Chromium by keyboard and for a screen reader" {
	nodes
	page_start
	call node --count 3 10.96.0.10:80
	browser_start
	browser_open "$URL/"
	browser_until 20 'document.querySelectorAll("#map .line[marker-end]").length === 1'
	# the nodes are one stop of the tabulator; arrows go on from there
	browser_value 'document.querySelectorAll("#map .node[tabindex=\"0\"]").length'
	[[ $output == 1 ]]
	browser_value 'document.querySelector("#map .node[tabindex=\"0\"]").focus()'
	browser_key ArrowRight
	browser_value 'document.activeElement.getAttribute("aria-label")'
	[[ $output == *"service "* ]]
	browser_key Enter
	browser_until 5 '!document.getElementById("selected").hidden'
	browser_holds 'document.activeElement.getAttribute("aria-pressed") === "true"'
	browser_key Escape
	browser_until 5 'document.getElementById("selected").hidden'
	# a heading's button sorts
	browser_value 'document.querySelectorAll("#services thead button")[0].focus()'
	browser_key Enter
	browser_until 5 'document.querySelector("#services th").getAttribute("aria-sort") === "descending"'
	# what a screen reader is told: landmarks, names, headers
	browser_ask Accessibility.getFullAXTree
	check '[.nodes[] | select(.ignored | not).role.value] |
		(contains(["banner", "main", "navigation", "region", "table", "columnheader", "rowheader",
			"searchbox", "status", "form"]) or contains(["banner", "main", "navigation", "region",
			"table", "columnheader", "rowheader", "searchbox", "status"]))'
	check '[.nodes[] | select(.ignored | not) |
		select(.role.value | IN("button", "searchbox", "textbox", "radio", "link", "combobox")) |
		select((.name.value // "") == "")] == []'
	[[ ! $(browser_complaints) ]] || fail "$(browser_complaints)"
}

# contrast A B: of two colours, "rgb(1, 2, 3)"
CONTRAST='(a, b) => { const l = (c) => { const [r, g, b] = c.match(/[\d.]+/g).map((v) => (v /= 255) <= 0.03928
	? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const [x, y] = [l(a), l(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); }'

@test "Chromium in light and dark: all can be read" {
	local scheme

	nodes
	page_start
	browser_start
	browser_open "$URL/"
	browser_until 20 'document.querySelectorAll("#map .node").length'
	for scheme in light dark; do
		browser_ask Emulation.setEmulatedMedia \
			"$(jq -n --arg value "$scheme" '{features: [{name: "prefers-color-scheme", $value}]}')"
		browser_value "(() => { const style = getComputedStyle(document.documentElement);
			const probe = document.body.appendChild(document.createElement('i'));
			const of = (name) => { probe.style.color = style.getPropertyValue(name);
				return getComputedStyle(probe).color; };
			const worst = Math.min(...[['--ink', '--paper'], ['--ink', '--shade'], ['--faint', '--paper'],
				['--faint', '--shade'], ['--ink', '--service'], ['--ink', '--party'],
				['--faint', '--service'], ['--denied', '--shade'], ['--accent', '--shade'],
				['--failing', '--paper'], ['--line', '--paper']]
				.map(([a, b]) => ($CONTRAST)(of(a), of(b))));
			const paper = of('--paper');
			probe.remove();
			return [worst, paper]; })()"
		check '.[0] >= 4.5'
		check --arg scheme "$scheme" '(.[1] == "rgb(255, 255, 255)") == ($scheme == "light")'
	done
}

@test "Chromium: explain, and what is typed is text" {
	api_denied
	browser_start
	browser_open "$URL/"
	browser_until 20 'document.querySelectorAll("#policies tbody tr").length > 1'
	browser_value '(() => { const form = document.getElementById("explain");
		form.source.value = "api"; form.destination.value = "db"; form.port.value = "80";
		form.requestSubmit(); })()'
	browser_until 10 'document.getElementById("answer").textContent.includes("port 80: denied")'
	browser_value '(() => { const form = document.getElementById("explain");
		form.source.value = "<img src=x onerror=alert(1)>"; form.requestSubmit(); })()'
	browser_until 10 'document.querySelector("#answer .bad").textContent.includes("<img")'
	browser_holds '!document.querySelector("#answer img")'
}

@test "Chromium at 500 services" {
	ns_make node
	many 500
	page_start
	browser_start
	browser_open "$URL/"
	browser_until 30 'document.querySelectorAll("#map .node.service").length === 500'
	browser_until 10 'document.querySelectorAll("#services tbody tr").length === 200'
	browser_value 'Number(document.documentElement.dataset.drawMs)'
	echo "# drawn in $output ms" >&3
	((output < 2000))
	browser_value '(() => { const filter = document.getElementById("filter"); filter.value = "service-499";
		filter.dispatchEvent(new Event("input")); })()'
	browser_until 5 'document.querySelectorAll("#map .node").length === 1'
	browser_until 5 'document.querySelectorAll("#services tbody tr").length === 1'
	[[ ! $(browser_complaints) ]] || fail "$(browser_complaints)"
}

@test "Chromium reads the map for documents, whatever a cgroup is called" {
	local odd=$CG/'a<&">b'

	nodes
	sidestep load -f "$CONF"
	mkdir "$odd"
	CG=$odd call node --count 2 10.96.0.10:80
	sidestep map >"$BATS_TEST_TMPDIR/map.svg"
	browser_start
	browser_open "file://$BATS_TEST_TMPDIR/map.svg"
	browser_until 10 'document.documentElement.tagName === "svg"'
	browser_value '[document.querySelectorAll("parsererror").length,
		[...document.querySelectorAll("title")].filter((t) => t.textContent.endsWith("/a<&\">b")).length]'
	[[ $output == "[0,1]" ]]
}
