// SPDX-License-Identifier: Apache-2.0
/*
 * Tells when what is behind an address changes: connects to it again and again, as fast as it
 * can, and reads the server's name. A line for each name that is not the one before:
 *
 *   1790000000.123456 b
 *
 * CLOCK_REALTIME, at the end of the first call that got this name. "-": no answer. Prints "ready"
 * first and ends on SIGTERM.
 */
#include "tool.h"

#define NAME 64

/* The name that a server of --greet sends, up to its newline. */
static void call(const struct address *address, char name[NAME])
{
	int fd = socket(address->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct linger hard = { .l_onoff = 1 };
	ssize_t n = -1;

	if (fd < 0)
		tool_die("socket");
	/* no port stays in TIME_WAIT */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (!connect(fd, (const struct sockaddr *)&address->sa, address->len))
		n = recv(fd, name, NAME - 1, 0);
	close(fd);
	if (n <= 0) {
		strcpy(name, "-");
		return;
	}
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

int main(int argc, char **argv)
{
	char last[NAME] = "", name[NAME];
	struct address address;
	struct timespec now;

	if (argc != 2)
		tool_exit(EXIT_USAGE, "Usage: flips ADDRESS:PORT");
	address = tool_address(argv[1]);
	tool_init();
	tool_ready();
	while (!tool_stop) {
		call(&address, name);
		if (!strcmp(name, last))
			continue;
		clock_gettime(CLOCK_REALTIME, &now);
		printf("%lld.%06ld %s\n", (long long)now.tv_sec, now.tv_nsec / 1000, name);
		fflush(stdout);
		strcpy(last, name);
	}
	return EXIT_SUCCESS;
}
