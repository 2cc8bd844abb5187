/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's own words for what abi.h and policy.h number. A number without one is "?". */
#ifndef SIDESTEP_MODEL_WORDS_H
#define SIDESTEP_MODEL_WORDS_H

#include <stdint.h>

const char *balance_name(uint8_t balance);     /* enum sst_balance */
const char *splice_name(uint8_t splice);       /* enum sst_splice */
const char *on_remove_name(uint8_t on_remove); /* enum sst_on_remove */
const char *tier_name(uint8_t tier);           /* enum sst_tier */
const char *direction_name(uint8_t direction); /* enum sst_direction */
const char *action_name(uint8_t action);       /* enum sst_action */

#endif
