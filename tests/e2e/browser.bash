# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # jq has variables too; the harness reads PIDS
#
# A real Chromium without a window, driven over its debugging pipe: JSON objects with a NUL
# behind each. To be loaded behind the harness.
#
#   browser_start                # sets BROWSER, its process
#   browser_open http://127.0.0.1:9470/
#   browser_until 10 'document.title === "Sidestep"'
#   browser_value '1 + 1'        # JSON in $output, a string without its quotes
#   browser_complaints           # console errors, refusals of the CSP, exceptions; one a line

BROWSER=
BROWSER_SESSION=
BROWSER_ID=0

browser_start() {
	local dir=$BATS_TEST_TMPDIR/browser

	require_command chromium
	mkdir "$dir"
	mkfifo "$dir/in" "$dir/out"
	# both ways open at once, so that nobody waits for the other to open
	exec {BROWSER_IN}<>"$dir/in" {BROWSER_OUT}<>"$dir/out"
	# root has no sandbox, and /dev/shm may be small
	HOME=$dir chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
		--no-first-run --disable-background-networking --disable-component-update \
		--disable-sync --disable-extensions --user-data-dir="$dir/profile" \
		--window-size="${BROWSER_SIZE:-1280,900}" --hide-scrollbars \
		--remote-debugging-pipe about:blank \
		3<"$dir/in" 4>"$dir/out" >"$dir/log" 2>&1 &
	BROWSER=$!
	PIDS[BROWSER]=$BROWSER
	OUT[BROWSER]=$dir/log
	BROWSER_EVENTS=$dir/events
	: >"$BROWSER_EVENTS"
}

# browser_ask METHOD [PARAMETERS]: its answer in $output; events meanwhile are kept.
browser_ask() {
	local message id=$((++BROWSER_ID))

	jq -cnj --argjson id "$id" --arg method "$1" --argjson params "${2:-{\}}" \
		--arg session "$BROWSER_SESSION" '{$id, $method, $params} +
		if $session == "" then {} else {sessionId: $session} end' >&"$BROWSER_IN"
	printf '\0' >&"$BROWSER_IN"
	while IFS= read -r -t 30 -d '' -u "$BROWSER_OUT" message; do
		if jq -e --argjson id "$id" '.id == $id' <<<"$message" >/dev/null; then
			output=$(jq -c 'if .error then error(.error.message) else .result end' \
				<<<"$message")
			return
		fi
		jq -c . <<<"$message" >>"$BROWSER_EVENTS"
	done
	fail "no answer to $1: $(cat "${OUT[$BROWSER]}")"
}

# browser_open URL: in a new tab, which is then the one that is asked.
browser_open() {
	local domain

	BROWSER_SESSION=
	browser_ask Target.createTarget '{"url": "about:blank"}'
	browser_ask Target.attachToTarget "$(value '{targetId, flatten: true}')"
	BROWSER_SESSION=$(value -r .sessionId)
	for domain in Page Runtime Log; do
		browser_ask "$domain.enable"
	done
	browser_ask Page.navigate "$(jq -n --arg url "$1" '{$url}')"
	check '.errorText == null'
}

# browser_value EXPRESSION: of JavaScript, awaited; its value in $output.
browser_value() {
	browser_ask Runtime.evaluate "$(jq -n --arg expression "$1" \
		'{$expression, returnByValue: true, awaitPromise: true}')"
	check '.exceptionDetails == null' >/dev/null || return
	output=$(value -c .result.value)
}

browser_holds() {
	browser_value "Boolean($1)" && [[ $output == true ]]
}

# browser_until SECONDS EXPRESSION
browser_until() {
	wait_until "$1" browser_holds "$2" || fail "never true: $2"
}

# browser_key KEY: pressed and released.
browser_key() {
	local type

	for type in keyDown keyUp; do
		browser_ask Input.dispatchKeyEvent "$(jq -n --arg type "$type" --arg key "$1" \
			'{$type, $key, code: $key} + if $key == "Enter" then {text: "\r"} else {} end +
			{windowsVirtualKeyCode: ({Tab: 9, Enter: 13, Escape: 27, ArrowLeft: 37,
				ArrowUp: 38, ArrowRight: 39, ArrowDown: 40}[$key])}')"
	done
}

# browser_picture FILE
browser_picture() {
	browser_ask Page.captureScreenshot '{"format": "png"}'
	value .data | base64 -d >"$1"
}

browser_complaints() {
	browser_value 1 # what was said until now
	jq -c 'select((.method == "Runtime.consoleAPICalled" and .params.type == "error") or
		(.method == "Log.entryAdded" and .params.entry.level == "error") or
		.method == "Runtime.exceptionThrown") | .params' "$BROWSER_EVENTS"
}
