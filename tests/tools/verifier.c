// SPDX-License-Identifier: Apache-2.0
/*
 * How many instructions the kernel's verifier went through for each of the programs with
 * these ids (for scripts/verifier), or for all there are. Prints "ID INSTRUCTIONS NAME" a
 * line, with the kernel's names, which end at 15 characters.
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

static void tell(uint32_t id)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = { .info = { .bpf_fd = (uint32_t)open_program(id),
					  .info_len = sizeof(info),
					  .info = (uintptr_t)&info } };

	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		tool_die("BPF_OBJ_GET_INFO_BY_FD");
	close((int)attr.info.bpf_fd);
	printf("%u %u %s\n", id, info.verified_insns, info.name);
}

static void tell_all(void)
{
	union bpf_attr attr = {};

	while (!bpf(BPF_PROG_GET_NEXT_ID, &attr)) {
		tell(attr.next_id);
		attr = (union bpf_attr){ .start_id = attr.next_id };
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		tool_exit(EXIT_USAGE, "usage: verifier ID... | --all");
	if (!strcmp(argv[1], "--all"))
		tell_all();
	for (int i = 1; i < argc && argv[i][0] != '-'; i++)
		tell((uint32_t)tool_number("ID", argv[i]));
	return EXIT_SUCCESS;
}
