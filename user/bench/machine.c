/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"

/* What follows "KEY:" in the first such line of a file; without a key the first line. */
static void look_up(const char *path, const char *key, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[256];

	ret[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		const char *value = line;

		line[strcspn(line, "\n")] = '\0';
		if (key && (strncmp(line, key, strlen(key)) || !(value = strchr(line, ':'))))
			continue;
		if (key)
			value += 1 + strspn(value + 1, " ");
		snprintf(ret, size, "%.*s", (int)size - 1, value);
		return;
	}
}

static void end_after_words(char *text, unsigned n)
{
	while (*text && (*text != ' ' || --n))
		text++;
	*text = '\0';
}

void machine_look(struct machine *ret)
{
	time_t now = time(NULL);
	struct utsname name = {};
	struct tm utc;

	uname(&name);
	*ret = (struct machine){ .cpus = (int)sysconf(_SC_NPROCESSORS_ONLN) };
	snprintf(ret->kernel, sizeof(ret->kernel), "%s", name.release);
	snprintf(ret->architecture, sizeof(ret->architecture), "%s", name.machine);
	strftime(ret->date, sizeof(ret->date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	look_up("/proc/cpuinfo", "model name", ret->cpu, sizeof(ret->cpu));
	look_up("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", NULL, ret->governor,
		sizeof(ret->governor));
	look_up("/proc/sys/net/ipv4/tcp_congestion_control", NULL, ret->congestion,
		sizeof(ret->congestion));
	look_up("/proc/loadavg", NULL, ret->load, sizeof(ret->load));
	end_after_words(ret->load, 3); /* the rest is of processes */
}
