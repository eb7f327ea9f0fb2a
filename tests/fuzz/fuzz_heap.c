/* Bytes: an image of a process (image.h), of which a copy is made, as for `gc` and `traces`. Bits of the flags choose. */
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "report.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    target *t = size > 0 ? image_open(bytes, size) : NULL;
    if (t == NULL) return 0;
    bool json = (bytes[0] & 16) != 0;
    char *text = report_copy(t, json, (bytes[0] & 32) != 0);
    report_check_text(text);
    if (json && text[0] != '\0') report_check_json(text);
    free(text);
    target_close(t);
    return 0;
}
