/* SPDX-License-Identifier: Apache-2.0 */
#include "model/survey.h"

bool survey_is_sound(const struct survey *survey)
{
	if (!survey->loaded)
		return false;
	for (int i = 0; i < SST_FEATURE_MAX; i++)
		if (feature_is_essential(i) && survey->features[i].state != FEATURE_OK)
			return false;
	return true;
}

void survey_release(struct survey *survey)
{
	problems_release(&survey->problems);
}
