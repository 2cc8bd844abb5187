/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps themselves, the switches set at load, and the licence. */
#define SST_DEFINE_MAPS
#include "maps.h"

/* 1: bpf_set_retval() is there (5.18), a refused connect() can say ECONNREFUSED. */
const volatile __u32 have_set_retval = 0;

/* 1: bpf_rdonly_cast() is there (6.2), another socket is read without a helper's call. */
const volatile __u32 have_rdonly_cast = 0;

/* 1: this kernel's poll() survives it when its socket leaves the sockhash, see release(). */
const volatile __u32 can_release = 0;

char LICENSE[] SEC("license") = "Dual BSD/GPL";
