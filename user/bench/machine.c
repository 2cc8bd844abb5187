/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* What follows ": " on a file's first line that begins with key; all of the first line if key is
 * "". Null if there is none. */
static json_t *line_of(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	json_t *ret = NULL;
	char line[256];

	while (file && !ret && fgets(line, sizeof(line), file)) {
		const char *value = *key ? strstr(line, ": ") : line;

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, key, strlen(key)) && value)
			ret = json_string(*key ? value + 2 : value);
	}
	if (file)
		fclose(file);
	return ret ? ret : json_null();
}

json_t *machine_state(void)
{
	time_t now = time(NULL);
	struct utsname name;
	struct tm tm;
	char date[32];

	uname(&name);
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{ss ss ss so si so so so}", "date", date, "kernel", name.release, "arch",
			 name.machine, "cpu", line_of("/proc/cpuinfo", "model name"), "cpus",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "governor",
			 line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", ""),
			 "congestion_control",
			 line_of("/proc/sys/net/ipv4/tcp_congestion_control", ""), "load",
			 line_of("/proc/loadavg", ""));
}
