/* SPDX-License-Identifier: Apache-2.0 */
#include "core/trust.h"

#include <unistd.h>

bool trust_file(const char *path, const struct stat *about, struct problems *problems)
{
	bool foreign = about->st_uid != 0, open = about->st_mode & (S_IWGRP | S_IWOTH);

	if (geteuid() != 0 || !S_ISREG(about->st_mode))
		return true;
	if (foreign)
		problems_add(
			problems, path, (struct place){ 0 },
			"found a file of user %u, and who owns it could change what root applies, "
			"expected a file of root: chown root %s",
			about->st_uid, path);
	if (open)
		problems_add(
			problems, path, (struct place){ 0 },
			"found a file that others may write (mode %04o), and they could change "
			"what root applies, expected that they may not: chmod go-w %s",
			about->st_mode & 07777, path);
	return !foreign && !open;
}
