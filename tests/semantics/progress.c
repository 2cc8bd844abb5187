/* SPDX-License-Identifier: Apache-2.0 */
/* How far TCP has come with a connection: what was spliced does not show here. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "semantics.h"

void progress_of(int fd, struct progress *progress)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		broken("TCP_INFO");
	progress->sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
	progress->received = info.tcpi_bytes_received;
	progress->unsent = info.tcpi_notsent_bytes;
	progress->segments_out = info.tcpi_data_segs_out;
}

void settle(const struct end *from)
{
	struct progress here, there;

	for (int i = 0; i < SURELY_MS; i++) {
		progress_of(from->fd, &here);
		progress_of(from->peer->fd, &there);
		if (!here.unsent && here.sent <= there.received)
			return;
		pause_ms(1);
	}
}
