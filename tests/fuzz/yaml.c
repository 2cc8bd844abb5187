/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: a text is refused and told why, or it is a model that is valid. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = NULL;
	int r = yaml_load_text("fuzz.yaml", (const char *)data, size, NULL, &problems, &model);

	check_told(r, &problems);
	assert(!r == !!model);
	if (model)
		assert(!model_validate(model, &problems) && !problems.count);
	return 0;
}
