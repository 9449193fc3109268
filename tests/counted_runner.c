/* Answers a time job as the runner does, and reads 64 KiB for each repeat in the place of an inference. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile char memory[1 << 16];

int main(int count, char **arguments)
{
    const char *nonce = "", *prefix = arguments[count - 1];
    char path[256];
    int repeats = 0;
    for (int index = 1; index + 1 < count; index++) {
        if (!strcmp(arguments[index], "--nonce"))
            nonce = arguments[index + 1];
        if (!strcmp(arguments[index], "--repeats"))
            repeats = atoi(arguments[index + 1]);
    }
    snprintf(path, sizeof path, "%s.param", prefix);
    FILE *file = fopen(path, "r");
    if (!file || fgetc(file) == 'x') {
        printf("{\"schema\":2,\"nonce\":\"%s\",\"kind\":\"error\",\"error\":\"model\",\"detail\":\"cannot be read\"}\n",
               nonce);
        return FAILS;
    }
    for (int repeat = 0; repeat < repeats; repeat++)
        for (int at = 0; at < 1 << 16; at += 64)
            memory[at];
    printf("{\"schema\":2,\"nonce\":\"%s\",\"kind\":\"time\",\"runner\":\"ncnn-cpp\",\"engine\":\"ncnn\","
           "\"engine_version\":\"1.0.1\",\"machine\":\"%s\",\"pid\":1,\"core\":-1,\"cores_allowed\":[0],"
           "\"models\":[{\"prefix\":\"%s\","
           "\"output\":null,\"samples_ns\":[[1%s]]}],\"states\":[{\"at_ns\":1,\"khz\":null,\"temperature_mc\":null,"
           "\"preemptions\":null},{\"at_ns\":2,\"khz\":null,\"temperature_mc\":null,\"preemptions\":null}],"
           "\"loadavg\":null,\"warmup_runs\":0}\n",
           nonce, MACHINE, prefix, repeats > 1 ? ",1" : "");
    return 0;
}
