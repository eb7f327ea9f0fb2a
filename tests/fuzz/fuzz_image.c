/* Bytes: an image of a process (image.h). Everything that reads other processes is run on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "report.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Bits of the flags choose what is done with it. */
enum { FORM_JSON = 16, FORM_PROFILE = 32, FORM_STILL = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    target *t = size > 0 ? image_open(bytes, size) : NULL;
    if (t == NULL) return 0;
    bool json = (bytes[0] & FORM_JSON) != 0;
    if ((bytes[0] & FORM_STILL) != 0) {
        free(report_still(t));
    } else if ((bytes[0] & FORM_PROFILE) != 0) {
        report_profile(t);
    } else {
        char *text = report_stack(t, json, true, true);
        report_check_text(text);
        if (json && text[0] != '\0') report_check_json(text);
        free(text);
    }
    target_close(t);
    return 0;
}
