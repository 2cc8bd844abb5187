/* SPDX-License-Identifier: Apache-2.0 */
#include "export/format.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/decimal.h"

#define NS_PER_S 1000000000ull

char *format_size(uint64_t bytes, char *buf)
{
	static const char units[] = "KMGTPE";
	double value = bytes / 1024.0;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buf, FORMAT_MAX, "%uB", (unsigned)bytes);
		return buf;
	}
	/* what would be printed as 1024.0 belongs to the next unit */
	for (; value >= 1023.95; value /= 1024)
		unit++;
	snprintf(buf, FORMAT_MAX, "%.1f%ciB", value, units[unit]);
	return buf;
}

/* In integers: an age is cut, never rounded up to "60.0s". */
char *format_duration(uint64_t ns, char *buf)
{
	unsigned long ms = ns / 1000000, s = ms / 1000;

	if (s < 10)
		snprintf(buf, FORMAT_MAX, "%lu.%03lus", s, ms % 1000);
	else if (s < 60)
		snprintf(buf, FORMAT_MAX, "%lu.%lus", s, ms / 100 % 10);
	else if (s < 3600)
		snprintf(buf, FORMAT_MAX, "%lum%02lus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, FORMAT_MAX, "%luh%02lum", s / 3600, s / 60 % 60);
	else
		snprintf(buf, FORMAT_MAX, "%lud%02luh", s / 86400, s / 3600 % 24);
	return buf;
}

/* Days since 1970 as year, month, day: the civil calendar in eras of 400 years that begin
 * on 1 March, so that the day that may be missing is the last one. */
static void civil_date(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint64_t shifted = days + 719468; /* since 1 March of year 0 */
	unsigned era = shifted / 146097, of_era = shifted % 146097;
	unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned from_march = (5 * of_year + 2) / 153;

	*day = of_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = era * 400 + year_of_era + (*month <= 2);
}

/* By hand: each record has one, and gmtime_r() with strftime() took a third of its line. */
char *format_time(uint64_t realtime_ns, char *buf)
{
	uint64_t s = realtime_ns / NS_PER_S;
	unsigned year, month, day;
	char *at;

	civil_date(s / 86400, &year, &month, &day);
	at = decimal_padded(year, 4, buf);
	*at++ = '-';
	at = decimal_padded(month, 2, at);
	*at++ = '-';
	at = decimal_padded(day, 2, at);
	*at++ = 'T';
	at = decimal_padded(s / 3600 % 24, 2, at);
	*at++ = ':';
	at = decimal_padded(s / 60 % 60, 2, at);
	*at++ = ':';
	at = decimal_padded(s % 60, 2, at);
	*at++ = '.';
	at = decimal_padded(realtime_ns % NS_PER_S, 9, at);
	*at++ = 'Z';
	*at = '\0';
	return buf;
}

#define NAME_OF(names, i) ((i) < ARRAY_SIZE(names) && (names)[i] ? (names)[i] : "?")

const char *endpoint_state_name(uint8_t state)
{
	static const char *const names[] = {
		[SST_ENDPOINT_READY] = "ready",
		[SST_ENDPOINT_NOT_READY] = "not-ready",
		[SST_ENDPOINT_DRAINING] = "draining",
		[SST_ENDPOINT_REMOVED] = "removed",
	};

	return NAME_OF(names, state);
}

const char *splice_state_name(uint8_t state)
{
	static const char *const names[] = {
		[SST_STATE_TCP] = "tcp",
		[SST_STATE_NOMINATED] = "nominated",
		[SST_STATE_ADOPTING] = "adopting",
		[SST_STATE_ADOPTED] = "adopted",
		[SST_STATE_REDIRECTING] = "redirecting",
		[SST_STATE_STICKY] = "sticky",
		[SST_STATE_RELEASED] = "released",
	};

	return NAME_OF(names, state);
}

const char *record_type_name(uint8_t record_type)
{
	static const char *const names[] = {
		[SST_RECORD_LIVE] = "live",     [SST_RECORD_OPEN] = "open",
		[SST_RECORD_CLOSE] = "close",   [SST_RECORD_FAILED] = "failed",
		[SST_RECORD_DENIED] = "denied",
	};

	return NAME_OF(names, record_type);
}

const char *tcp_state_name(uint8_t state)
{
	static const char *const names[] = {
		[TCP_ESTABLISHED] = "established",
		[TCP_SYN_SENT] = "syn-sent",
		[TCP_SYN_RECV] = "syn-recv",
		[TCP_FIN_WAIT1] = "fin-wait-1",
		[TCP_FIN_WAIT2] = "fin-wait-2",
		[TCP_TIME_WAIT] = "time-wait",
		[TCP_CLOSE] = "close",
		[TCP_CLOSE_WAIT] = "close-wait",
		[TCP_LAST_ACK] = "last-ack",
		[TCP_LISTEN] = "listen",
		[TCP_CLOSING] = "closing",
	};

	return NAME_OF(names, state);
}

const char *family_name(uint8_t family)
{
	return family == AF_INET ? "ipv4" : "ipv6";
}

char *format_service_port(const struct sst_service_info *info, char *buf)
{
	size_t n = strnlen(info->port_name, SERVICE_PORT_MAX - 1);

	memcpy(buf, info->port_name, n);
	buf[n] = '\0';
	if (!n)
		*decimal(ntohs(info->port), buf) = '\0';
	return buf;
}

char *format_service(const struct sst_service_info *info, char *buf)
{
	char port[SERVICE_PORT_MAX];

	format_service_port(info, port);
	snprintf(buf, SERVICE_LABEL_MAX, "%.*s/%s", SST_NAME_MAX - 1, info->name, port);
	return buf;
}
