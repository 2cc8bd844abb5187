// SPDX-License-Identifier: Apache-2.0
/*
 * For scripts/verifier: how many instructions the kernel's verifier went through
 * for each of the programs with these ids. Prints "ID INSTRUCTIONS" a line.
 */
#include <linux/bpf.h>
#include <sys/syscall.h>

#include "tool.h"

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int open_program(uint32_t id)
{
	union bpf_attr attr = { .prog_id = id };
	int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);

	if (fd < 0)
		tool_exit(EXIT_FAILURE, "program %u: %s", id, strerror(errno));
	return fd;
}

static uint32_t verified_instructions(uint32_t id)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = { .info = { .bpf_fd = (uint32_t)open_program(id),
					  .info_len = sizeof(info),
					  .info = (uintptr_t)&info } };

	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		tool_die("BPF_OBJ_GET_INFO_BY_FD");
	close((int)attr.info.bpf_fd);
	return info.verified_insns;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		tool_exit(EXIT_USAGE, "usage: verifier ID...");
	for (int i = 1; i < argc; i++) {
		uint32_t id = (uint32_t)tool_number("ID", argv[i]);

		printf("%u %u\n", id, verified_instructions(id));
	}
	return EXIT_SUCCESS;
}
