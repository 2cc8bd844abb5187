#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # run sets output and stderr
#
# What the benchmark's report makes of samples whose figures are known.

bats_require_minimum_version 1.5.0

REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
REPORT=$REPO/build/tests/bench/report/report

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	cat >samples <<-'END'
		{"machine":{"date":"then","kernel":"6.18","cpu":"one","cpus":2,"congestion_control":"cubic","load":"0"},"rounds":3}
		{"test":"trip","row":1,"unit":"us","better":"less","title":"Round trip","variants":["tcp","on","off"],"blocks":["p50"],"columns":["1 B","64 B"],"sizes":[1,64]}
		{"test":"rate","row":2,"unit":"1/s","better":"more","title":"Rate","variants":["tcp","on"],"blocks":["all"],"columns":["small"]}
	END
	echo '[]' >goals
}

# samples TEST BLOCK COLUMN VARIANT VALUE...: a round each
samples() {
	local round=0 value

	for value in "${@:5}"; do
		printf '{"sample":"%s","block":"%s","column":"%s","variant":"%s","round":%d,"value":%s}\n' \
			"${@:1:4}" $((round++)) "$value" >>samples
	done
}

report() {
	run --separate-stderr "$REPORT" tables samples goals out.json
}

@test "medians, ranges, and ratios round by round" {
	samples trip p50 "1 B" tcp 10 20 40
	samples trip p50 "1 B" on 5 10 10
	samples rate all small tcp 100 100 100
	samples rate all small on 90 80 85
	report
	((status == 0))
	# 2, 2 and 4 times as fast, though the medians are 20 and 10
	jq -e '.tests.trip.results.p50."1 B".on
		| .value.median == 10 and .value.min == 5 and .value.max == 10
		and .ratio.median == 2 and .ratio.min == 2 and .ratio.max == 4' out.json
	jq -e '.tests.rate.results.all.small.on.ratio.median == 0.85' out.json
	[[ $output == *"85.0  0.85!"* ]]
}

@test "a ratio that is too noisy is not told" {
	samples trip p50 "1 B" tcp 10 10 10
	samples trip p50 "1 B" on 4 10 20
	samples trip p50 "1 B" off 10 10.1 10.2
	report
	((status == 0))
	[[ $output == *"10.0  noisy"* && $output == *"10.1  0.99"* ]]
}

@test "growth: slope and where it stops being flat" {
	samples trip p50 "1 B" tcp 10 10 10
	samples trip p50 "64 B" tcp 11 11 11
	samples trip p50 "1 B" on 1 1 1
	samples trip p50 "64 B" on 64 64 64
	report
	jq -e '.tests.trip.growth | (.[] | select(.variant == "tcp") | .flat and .slope < 0.03)
		and (.[] | select(.variant == "on") | (.flat | not) and .flat_up_to == "1 B" and .slope == 1)' \
		out.json
}

@test "goals: met, missed, too noisy, not measured" {
	samples trip p50 "1 B" tcp 10 20 40
	samples trip p50 "1 B" on 5 10 20
	samples trip p50 "64 B" tcp 10 10 10
	samples trip p50 "64 B" on 7 7 7
	samples rate all small tcp 100 100 100
	samples rate all small on 50 100 150
	cat >goals <<-'END'
		[ { "row": 1, "text": "a", "test": "trip", "variants": ["on"], "columns": ["1 B"], "to": "tcp", "at_most": 0.5 },
		  { "row": 1, "text": "b", "test": "trip", "variants": ["on"], "to": "tcp", "at_most": 0.5 },
		  { "row": 1, "text": "c", "test": "trip", "variants": ["off"], "to": "tcp", "at_most": 0.5 },
		  { "row": 2, "text": "d", "test": "rate", "variants": ["on"], "to": "tcp", "at_least": 0.95 },
		  { "row": 1, "text": "e", "test": "trip", "variants": ["on"], "columns": ["64 B"], "to_column": "1 B", "at_most": 1.4 },
		  { "row": 1, "text": "f", "test": "trip", "variants": ["tcp"], "columns": ["1 B"], "above": "on", "at_most": 16 } ]
	END
	report
	((status == 0))
	# the worst cell tells: 64 B takes 0.7 times as long
	jq -e '[.goals[] | .worst.verdict] ==
		["met", "MISSED", "not measured", "too noisy", "met", "met"]' out.json
	jq -e '.goals[1].worst | .median == 0.7 and .column == "64 B"' out.json
	jq -e '.goals[5].worst.median == 10' out.json
	[[ $output == *"MISSED       row 1: b"* ]]
}

@test "lines that make no sense are refused by their number" {
	samples trip p50 "2 B" tcp 1
	report
	((status == 1)) && [[ $stderr == 'report: samples:4: the test has no column "2 B"' ]]
	sed -i 4d samples
	echo '{"sample":"none","value":1}' >>samples
	report
	((status == 1)) && [[ $stderr == "report: samples:4: of a test that is not declared" ]]
	sed -i '4s/.*/{"sample":/' samples
	report
	((status == 1)) && [[ $stderr == "report: samples:4: "* ]]
}
