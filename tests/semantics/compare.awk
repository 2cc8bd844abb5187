# SPDX-License-Identifier: Apache-2.0
#
# awk -v kernel=RELEASE -v auto=on|off -f compare.awk differences REFERENCE SPLICED
#
# Holds what two runs of semantics saw against each other, and their differences
# against those that are known. Prints what does not fit; fails if anything does not.
# (busybox's awk runs it, too.)

function trim(text) {
	gsub(/^[ \t]+|[ \t]+$/, "", text)
	return text
}

function complain(message) {
	print message
	wrong++
}

# All words must hold: "all", "auto-off", a kernel series.
function applies(where,   i, n, words) {
	n = split(where, words, " ")
	for (i = 1; i <= n; i++)
		if (words[i] != "all" && !(words[i] == "auto-off" && auto == "off") &&
		    index(kernel, words[i] ".") != 1)
			return 0
	return 1
}

FNR == 1 { file++ }

file == 1 {
	if (/^#/ || !NF)
		next
	if (split($0, column, "|") != 6) {
		complain("differences:" FNR ": expected CHECK | STAGES | WHAT | TCP | ADOPTED | WHERE")
		next
	}
	if (!applies(trim(column[6])))
		next
	# in a race it may differ like that, or not
	n = split("racing," trim(column[2]), stages, ",")
	for (i = 1; i <= n; i++) {
		key = trim(column[1]) "/" stages[i] " " trim(column[3])
		known[key] = trim(column[4]) " | " trim(column[5])
		if (trim(column[4]) == trim(column[5]))
			delete known[key]
	}
	next
}

# What is seen several times in one check is told apart by a number.
{
	at = 0
	for (i = index($0, ": "); i; i = index(substr($0, at + 1), ": "))
		at += i
	key = substr($0, 1, at - 1)
	times[file, key]++
	if (times[file, key] > 1)
		key = key " (" times[file, key] ")"
	value[file, key] = substr($0, at + 2)
	if (!(key in seen)) {
		seen[key] = 1
		order[++keys] = key
	}
}

function value_of(which, key) {
	return (which, key) in value ? value[which, key] : "-"
}

END {
	if (file < 3 || !keys)
		complain("nothing to compare")
	for (i = 1; i <= keys; i++) {
		key = order[i]
		was = value_of(2, key)
		is = value_of(3, key)
		if (was == is) {
			if (key in known && key !~ /\/racing /)
				complain("known, but not seen any more: " key ": " known[key])
		} else if (!(key in known) ||
			   (known[key] != was " | " is && known[key] != was " | *")) {
			complain("differs: " key ": " was " | " is)
		} else {
			differed++
		}
	}
	printf "%d observations, %d known differences, %d findings\n", keys, differed, wrong
	exit(wrong > 0)
}
