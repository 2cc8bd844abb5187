/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captured messages as a pcap file, for programs that read packets. The packets never
 * were: each message becomes one TCP segment, or several where it is longer than an
 * IP packet may be, with the connection's addresses and the sequence numbers that
 * its bytes would have had. What was not captured of a message is missing at the end of
 * its packets, as with any capture that is cut short.
 *
 * Not libpcap: for these two fixed headers it would bring D-Bus, systemd's library and
 * five more into a program that runs as root.
 */
#ifndef SIDESTEP_EXPORT_PCAP_H
#define SIDESTEP_EXPORT_PCAP_H

#include <stdint.h>

#include "core/text.h"
#include "sidestep/abi.h"

/* Time to live, by the path that a message took, so that filters can tell. */
#define PCAP_TTL_SPLICED 255
#define PCAP_TTL_TCP     64

/* What a file begins with. */
void pcap_begin(struct text *out);

/* The payload is what lies behind the message. */
void pcap_add(const struct sst_message *message, int64_t realtime_offset_ns, struct text *out);

#endif
