// The runner: times ncnn models on the device that it runs on, and says what device that is.
//
// It speaks the protocol that protocol.py describes: one line of JSON on stdout and nothing else. What the kernel
// does not tell is null. It ends itself by alarm(), since a link that drops leaves it running.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined(__aarch64__) || defined(__arm__)
#include <sys/auxv.h>
#endif

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net.h"

namespace {

std::string nonce;

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (unsigned char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += char(c);
        } else if (c < 0x20 || c > 0x7e) {
            char code[8];
            snprintf(code, sizeof code, "\\u%04x", c);
            out += code;
        } else {
            out += char(c);
        }
    }
    return out + '"';
}

// The whole line at once; a line that cannot be written (a full disk, a closed pipe) is the exit code's.
[[noreturn]] void finish(const std::string& line, int code) {
    bool written = fwrite(line.data(), 1, line.size(), stdout) == line.size() && fputc('\n', stdout) != EOF;
    written = fflush(stdout) == 0 && written;
    _exit(written ? code : 4);
}

[[noreturn]] void fail(const char* error, const std::string& detail) {
    finish("{\"schema\":2,\"nonce\":" + quoted(nonce) + ",\"kind\":\"error\",\"error\":" + quoted(error) +
               ",\"detail\":" + quoted(detail) + "}",
           3);
}

std::optional<std::string> read_text(const std::string& path) {
    int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return std::nullopt;
    std::string text;
    char part[4096];
    ssize_t got;
    while ((got = read(file, part, sizeof part)) > 0) text.append(part, size_t(got));
    close(file);
    if (got < 0) return std::nullopt;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\0' || text.back() == ' ')) text.pop_back();
    if (text.empty()) return std::nullopt;
    return text;
}

std::optional<int64_t> read_integer(const std::string& path, int base = 10) {
    std::optional<std::string> text = read_text(path);
    if (!text) return std::nullopt;
    char* end;
    errno = 0;
    long long value = strtoll(text->c_str(), &end, base);
    if (errno || end == text->c_str() || *end) return std::nullopt;
    return value;
}

std::string json(const std::optional<int64_t>& value) { return value ? std::to_string(*value) : "null"; }

std::string json(const std::optional<std::string>& value) { return value ? quoted(*value) : "null"; }

template <class Items, class Print>
std::string json_list(const Items& items, Print print) {
    std::string out = "[";
    for (const auto& item : items) {
        if (out.size() > 1) out += ',';
        out += print(item);
    }
    return out + "]";
}

std::string json_float(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.9g", value);  // the C locale: nothing calls setlocale
    return text;
}

int64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return int64_t(time.tv_sec) * 1000000000 + time.tv_nsec;
}

std::vector<int> cores_allowed() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cores;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int core = 0; core < CPU_SETSIZE; ++core)
            if (CPU_ISSET(core, &set)) cores.push_back(core);
    return cores;
}

bool pin(int core) {
    if (core < 0 || core >= CPU_SETSIZE) return false;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

std::string cpu_folder(int core) { return "/sys/devices/system/cpu/cpu" + std::to_string(core) + "/"; }

std::optional<int64_t> current_khz(int core) {
    std::optional<int64_t> khz = read_integer(cpu_folder(core) + "cpufreq/scaling_cur_freq");
    return khz ? khz : read_integer(cpu_folder(core) + "cpufreq/cpuinfo_cur_freq");
}

std::optional<std::string> load_average() {
    std::optional<std::string> text = read_text("/proc/loadavg");
    double one, five, fifteen;
    if (!text || sscanf(text->c_str(), "%lf %lf %lf", &one, &five, &fifteen) != 3) return std::nullopt;
    return "[" + json_float(one) + "," + json_float(five) + "," + json_float(fifteen) + "]";
}

std::vector<std::string> entries(const char* folder, const char* prefix) {
    std::vector<std::string> names;
    if (DIR* open_folder = opendir(folder)) {
        while (dirent* entry = readdir(open_folder))
            if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) names.emplace_back(entry->d_name);
        closedir(open_folder);
    }
    std::sort(names.begin(), names.end());
    return names;
}

const char* const THERMAL = "/sys/class/thermal/";

// Zones whose type speaks of the processor, or all where none does. A battery's warmth is not the core's.
std::vector<std::string> processor_zones() {
    std::vector<std::string> all, ours;
    for (const std::string& zone : entries(THERMAL, "thermal_zone")) {
        all.push_back(zone);
        std::string type = read_text(THERMAL + zone + "/type").value_or("");
        for (char& c : type) c = char(tolower(c));
        for (const char* word : {"cpu", "soc", "pkg", "bcm2", "tsens", "coretemp"})
            if (type.find(word) != std::string::npos) {
                ours.push_back(zone);
                break;
            }
    }
    return ours.empty() ? all : ours;
}

std::optional<int64_t> hottest_mc(const std::vector<std::string>& zones) {
    std::optional<int64_t> hottest;
    for (const std::string& zone : zones) {
        std::optional<int64_t> mc = read_integer(THERMAL + zone + "/temp");
        // Below 1000 the unit is not known (some kernels count degrees), above 150000 nothing is measured.
        if (mc && *mc >= 1000 && *mc < 150000 && (!hottest || *mc > *hottest)) hottest = mc;
    }
    return hottest;
}

std::string common(const char* kind) {
    utsname name;
    uname(&name);
    return "{\"schema\":2,\"nonce\":" + quoted(nonce) + ",\"kind\":\"" + kind +
           "\",\"runner\":\"ncnn-cpp\",\"engine\":\"ncnn\",\"engine_version\":" + quoted(NCNN_VERSION_STRING) +
           ",\"machine\":" + quoted(name.machine) + ",\"pid\":" + std::to_string(getpid());
}

// ---- probe

std::optional<int64_t> midr(int core) {
    std::optional<int64_t> read = read_integer(cpu_folder(core) + "regs/identification/midr_el1", 0);
#if defined(__aarch64__)
    const unsigned long cpuid = 1ul << 11;  // the kernel lets a program read the identification registers
    if (!read && (getauxval(AT_HWCAP) & cpuid) && pin(core)) {
        uint64_t value;
        asm volatile("mrs %0, midr_el1" : "=r"(value));
        read = int64_t(value);
    }
#endif
    return read;
}

std::optional<int64_t> counter_hz() {
#if defined(__aarch64__)
    uint64_t value;
    asm volatile("mrs %0, cntfrq_el0" : "=r"(value));
    return int64_t(value);
#else
    return std::nullopt;
#endif
}

std::vector<std::string> features() {
    std::vector<std::string> names;
#if defined(__aarch64__)
    const unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
    const std::pair<const char*, int> first[] = {{"asimd", 1}, {"asimdhp", 10}, {"asimddp", 20}, {"sve", 22},
                                                 {"asimdfhm", 23}};
    const std::pair<const char*, int> second[] = {{"sve2", 1}, {"i8mm", 13}, {"bf16", 14}};
    for (auto [name, bit] : first)
        if (one >> bit & 1) names.emplace_back(name);
    for (auto [name, bit] : second)
        if (two >> bit & 1) names.emplace_back(name);
#elif defined(__arm__)
    const unsigned long one = getauxval(AT_HWCAP);
    if (one >> 12 & 1) names.emplace_back("neon");
    if (one >> 16 & 1) names.emplace_back("vfpv4");
#elif defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.1")) names.emplace_back("sse4.1");
    if (__builtin_cpu_supports("avx")) names.emplace_back("avx");
    if (__builtin_cpu_supports("fma")) names.emplace_back("fma");
    if (__builtin_cpu_supports("avx2")) names.emplace_back("avx2");
    if (__builtin_cpu_supports("avx512f")) names.emplace_back("avx512f");
#endif
    return names;
}

std::optional<std::string> android_property(const char* name) {
    const char* const program = "/system/bin/getprop";
    int ends[2];
    if (access(program, X_OK) != 0 || pipe(ends) != 0) return std::nullopt;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        execl(program, program, name, nullptr);
        _exit(127);
    }
    close(ends[1]);
    std::string text;
    char part[256];
    ssize_t got;
    while (child > 0 && (got = read(ends[0], part, sizeof part)) > 0) text.append(part, size_t(got));
    close(ends[0]);
    if (child > 0) waitpid(child, nullptr, 0);
    while (!text.empty() && isspace((unsigned char)text.back())) text.pop_back();
    if (text.empty()) return std::nullopt;
    return text;
}

std::optional<std::string> cpuinfo(const char* key) {
    const std::string text = "\n" + read_text("/proc/cpuinfo").value_or("");
    size_t at = text.find(std::string("\n") + key);
    if (at == std::string::npos || (at = text.find(": ", at)) == std::string::npos) return std::nullopt;
    return text.substr(at + 2, text.find('\n', at) - at - 2);
}

std::optional<std::string> soc() {
    std::optional<std::string> model = android_property("ro.soc.model");
    if (model) {
        std::optional<std::string> maker = android_property("ro.soc.manufacturer");
        return maker ? *maker + " " + *model : *model;
    }
    if (!model) model = android_property("ro.board.platform");
    if (!model) model = read_text("/proc/device-tree/model");
    if (!model) model = read_text("/sys/firmware/devicetree/base/model");
#if defined(__x86_64__)
    if (!model) model = cpuinfo("model name");
#else
    if (!model) model = cpuinfo("Hardware");
#endif
    return model;
}

typedef float lanes __attribute__((vector_size(16)));

// Billions of operations a second, 2 a multiply-add of single precision: the best of several short stretches.
// Eight independent chains hide the latency; no compiler knows that they are equal. Every value is exact (1 stays 1),
// which costs silicon nothing, and keeps an emulator that computes each operation in software from a shortcut that it
// takes once a result has been rounded.
double simd_gflops() {
    volatile float one = 1, half = 0.5f;
    const lanes factor = lanes{} + half, term = lanes{} + half;
    const int steps = 20000;
    double best = 0;
    const int64_t begin = now_ns();
    do {
        lanes a = lanes{} + one, b = lanes{} + one, c = lanes{} + one, d = lanes{} + one;
        lanes e = lanes{} + one, f = lanes{} + one, g = lanes{} + one, h = lanes{} + one;
#if defined(__aarch64__)
        asm volatile("msr fpsr, xzr");  // forgets earlier roundings
#endif
        const int64_t from = now_ns();
        for (int step = 0; step < steps; ++step) {
            a = a * factor + term;
            b = b * factor + term;
            c = c * factor + term;
            d = d * factor + term;
            e = e * factor + term;
            f = f * factor + term;
            g = g * factor + term;
            h = h * factor + term;
        }
        const int64_t spent = std::max<int64_t>(1, now_ns() - from);
        const lanes sum = a + b + c + d + e + f + g + h;
        volatile float kept = sum[0] + sum[1] + sum[2] + sum[3];
        (void)kept;
        best = std::max(best, 8.0 * 4 * 2 * steps / double(spent));
    } while (now_ns() - begin < 50000000);
    return best;
}

// What says outright that this is no silicon: a marker of the board's maker or user, or ARM code on an x86 kernel.
std::optional<std::string> emulation_marker() {
    if (std::optional<std::string> text = read_text("/etc/snsearch-emulated")) return text;
    if (access("/etc/snsearch-emulated", F_OK) == 0) return "";
    if (const char* value = getenv("SNSEARCH_EMULATED"); value && *value) return value;
#if defined(__aarch64__) || defined(__arm__)
    if (std::optional<std::string> vendor = cpuinfo("vendor_id")) return "ARM code on a kernel for " + *vendor;
#endif
    return std::nullopt;
}

[[noreturn]] void probe() {
    const std::vector<int> allowed = cores_allowed();
    std::vector<int> cores = allowed;
    for (const std::string& name : entries("/sys/devices/system/cpu", "cpu")) {
        char* end;
        long core = strtol(name.c_str() + 3, &end, 10);
        if (end != name.c_str() + 3 && !*end) cores.push_back(int(core));
    }
    std::sort(cores.begin(), cores.end());
    cores.erase(std::unique(cores.begin(), cores.end()), cores.end());

    const std::optional<std::string> marker = emulation_marker();
    std::optional<int64_t> memory_kb;
    if (std::optional<std::string> text = read_text("/proc/meminfo")) {
        long long kb;
        if (sscanf(text->c_str(), "MemTotal: %lld kB", &kb) == 1) memory_kb = kb;
    }

    std::string line = common("probe");
    line += ",\"simd_gflops\":" + json_float(simd_gflops());
    line += ",\"cores\":" + json_list(cores, [](int core) {
        const std::string frequency = cpu_folder(core) + "cpufreq/";
        return "{\"id\":" + std::to_string(core) +
               ",\"max_khz\":" + json(read_integer(frequency + "cpuinfo_max_freq")) +
               ",\"min_khz\":" + json(read_integer(frequency + "cpuinfo_min_freq")) +
               ",\"cur_khz\":" + json(current_khz(core)) +
               ",\"governor\":" + json(read_text(frequency + "scaling_governor")) +
               ",\"midr\":" + json(midr(core)) +
               ",\"capacity\":" + json(read_integer(cpu_folder(core) + "cpu_capacity")) + "}";
    });
    line += ",\"cores_allowed\":" + json_list(allowed, [](int core) { return std::to_string(core); });
    line += ",\"memory_kb\":" + json(memory_kb);
    line += ",\"temperatures\":" + json_list(entries(THERMAL, "thermal_zone"), [](const std::string& zone) {
        return "{\"zone\":" + quoted(zone) + ",\"type\":" + json(read_text(THERMAL + zone + "/type")) +
               ",\"mc\":" + json(read_integer(THERMAL + zone + "/temp")) + "}";
    });
    line += ",\"loadavg\":" + load_average().value_or("null");
    line += ",\"soc\":" + json(soc());
    line += ",\"counter_hz\":" + json(counter_hz());
    line += ",\"marker\":" + json(marker);
    line += ",\"features\":" + json_list(features(), quoted) + "}";
    finish(line, 0);
}

// ---- time

struct Job {
    int core = -1;
    int warmup_runs = 5;
    int warmup_ms = 1000;
    int rounds = 0;
    int repeats = 0;
    int alarm_s = 0;
    uint32_t input_seed = 0;
    bool outputs = false;
    bool half = false;
    std::string lock;
    std::vector<std::string> prefixes;
};

// The input's values as protocol.py defines them.
void fill(ncnn::Mat& mat, uint32_t seed, uint32_t index) {
    uint32_t element = seed * 0x9E3779B9u + index * 0x85EBCA6Bu;
    for (int channel = 0; channel < mat.c; ++channel) {
        float* values = mat.channel(channel);
        for (size_t i = 0; i < size_t(mat.w) * mat.h; ++i) {
            uint32_t x = element++;
            x ^= x >> 16;
            x *= 0x7FEB352Du;
            x ^= x >> 15;
            x *= 0x846CA68Bu;
            x ^= x >> 16;
            values[i] = float(int32_t(x >> 8) - (1 << 23)) * (1.0f / (1 << 23));
        }
    }
}

void set_options(ncnn::Net& net, const Job& job) {
    net.opt.num_threads = 1;
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = job.half;
}

// The same values as ncnn's layers pass them to each other: channels packed by 4 or more, in the job's precision.
ncnn::Mat as_layers_pass_it(const ncnn::Mat& input, const Job& job) {
    ncnn::Net add_zero;
    set_options(add_zero, job);
    const unsigned char no_weights[4] = {};
    if (add_zero.load_param_mem("7767517\n2 2\nInput in 0 1 in\nBinaryOp out 1 1 in out 0=0 1=1 2=0.0\n") != 0)
        fail("model", "the model that packs an input cannot be loaded");
    add_zero.load_model(no_weights);
    ncnn::Mat packed;
    {
        ncnn::Extractor extractor = add_zero.create_extractor();
        extractor.input(0, input);
        if (extractor.extract(1, packed, 1) != 0) fail("memory", "no memory for an input");
        packed = packed.clone();  // out of the pool of a net that ends here
    }
    return packed;
}

struct Model {
    std::string prefix;
    ncnn::Net net;
    std::vector<ncnn::Mat> inputs;
    std::vector<std::vector<int64_t>> rounds;

    void load(const std::string& name, const Job& job) {
        prefix = name;
        set_options(net, job);
        if (net.load_param((name + ".param").c_str()) != 0) fail("model", name + ".param cannot be loaded");
        if (net.load_model((name + ".bin").c_str()) != 0) fail("model", name + ".bin cannot be loaded");
        for (size_t i = 0; i < net.input_indexes().size(); ++i) {
            const ncnn::Mat& shape = net.blobs()[net.input_indexes()[i]].shape;
            ncnn::Mat input;
            if (shape.dims == 1) {
                input.create(shape.w);
            } else if (shape.dims == 3) {
                input.create(shape.w, shape.h, shape.c);
            } else {
                fail("model", name + ".param gives an input no shape of 1 or 3 dimensions");
            }
            if (input.empty()) fail("memory", "no memory for an input of " + name);
            fill(input, job.input_seed, uint32_t(i));
            inputs.push_back(as_layers_pass_it(input, job));
        }
    }

    // Runs once, to every output, and returns how long that took. As inside of a network, what comes out stays as
    // the last layer leaves it, unless the outputs are wanted.
    int64_t run(std::vector<ncnn::Mat>* outputs = nullptr) {
        const int64_t from = now_ns();
        ncnn::Extractor extractor = net.create_extractor();
        for (size_t i = 0; i < inputs.size(); ++i) extractor.input(net.input_indexes()[i], inputs[i]);
        for (int index : net.output_indexes()) {
            ncnn::Mat output;
            if (int code = extractor.extract(index, output, outputs ? 0 : 1))
                fail(code == -100 ? "memory" : "model", prefix + " cannot be run: " + std::to_string(code));
            if (outputs) outputs->push_back(output.clone());
        }
        return std::max<int64_t>(1, now_ns() - from);
    }

    std::string json_outputs() {
        std::vector<ncnn::Mat> outputs;
        run(&outputs);
        std::string out = "[";
        for (const ncnn::Mat& output : outputs)
            for (int channel = 0; channel < output.c; ++channel) {
                const float* values = output.channel(channel);
                for (size_t i = 0; i < size_t(output.w) * output.h; ++i) {
                    if (!isfinite(values[i])) fail("model", prefix + " puts out a number that is not finite");
                    if (out.size() > 1) out += ',';
                    out += json_float(values[i]);
                }
            }
        return out + "]";
    }
};

std::string state(const Job& job, const std::vector<std::string>& zones, int64_t begin_ns) {
    const int core = job.core >= 0 ? job.core : sched_getcpu();
    rusage usage;
    const bool counted = getrusage(RUSAGE_SELF, &usage) == 0;
    return "{\"at_ns\":" + std::to_string(now_ns() - begin_ns) +
           ",\"khz\":" + (core < 0 ? "null" : json(current_khz(core))) +
           ",\"temperature_mc\":" + json(hottest_mc(zones)) +
           ",\"preemptions\":" + (counted ? std::to_string(usage.ru_nivcsw) : "null") + "}";
}

[[noreturn]] void time_models(const Job& job) {
    const int64_t begin_ns = now_ns();
    alarm(unsigned(job.alarm_s));
    if (!job.lock.empty()) {
        int file = open(job.lock.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
        if (file < 0) fail("usage", "the lock " + job.lock + " cannot be opened: " + strerror(errno));
        if (flock(file, LOCK_EX | LOCK_NB) != 0) fail("busy", "another runner holds " + job.lock);
    }
    const std::vector<int> allowed = cores_allowed();
    if (job.core >= 0 && !pin(job.core))
        fail("core", "core " + std::to_string(job.core) + " cannot be pinned to: " + strerror(errno));
    const std::string load = load_average().value_or("null");
    const std::vector<std::string> zones = processor_zones();

    std::vector<std::unique_ptr<Model>> models;
    for (const std::string& prefix : job.prefixes) {
        models.push_back(std::make_unique<Model>());
        models.back()->load(prefix, job);
    }
    int warmed = 0;
    const int64_t warm_from = now_ns();
    while (warmed < job.warmup_runs || now_ns() - warm_from < int64_t(job.warmup_ms) * 1000000) {
        for (auto& model : models) model->run();
        ++warmed;
    }
    std::vector<std::string> states{state(job, zones, begin_ns)};
    for (int round = 0; round < job.rounds; ++round) {
        for (auto& model : models) {
            model->rounds.emplace_back();
            for (int repeat = 0; repeat < job.repeats; ++repeat) model->rounds.back().push_back(model->run());
        }
        states.push_back(state(job, zones, begin_ns));
    }

    std::string line = common("time");
    line += ",\"core\":" + std::to_string(job.core);
    line += ",\"cores_allowed\":" + json_list(allowed, [](int core) { return std::to_string(core); });
    line += ",\"models\":" + json_list(models, [&job](const std::unique_ptr<Model>& model) {
        return "{\"prefix\":" + quoted(model->prefix) +
               ",\"output\":" + (job.outputs ? model->json_outputs() : "null") +
               ",\"samples_ns\":" + json_list(model->rounds, [](const std::vector<int64_t>& round) {
                   return json_list(round, [](int64_t sample) { return std::to_string(sample); });
               }) + "}";
    });
    line += ",\"states\":" + json_list(states, [](const std::string& text) { return text; });
    line += ",\"loadavg\":" + load;
    line += ",\"warmup_runs\":" + std::to_string(warmed) + "}";
    finish(line, 0);
}

// ---- arguments

int64_t integer(const std::string& option, const std::string& text, int64_t least, int64_t most) {
    char* end;
    errno = 0;
    long long value = strtoll(text.c_str(), &end, 10);
    if (errno || end == text.c_str() || *end || value < least || value > most)
        fail("usage", option + " is '" + text + "'; expected a whole number from " + std::to_string(least) + " to " +
                          std::to_string(most));
    return value;
}

bool plain(const std::string& text) {
    return !text.empty() && text.size() <= 64 &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return isalnum(c) || c == '-' || c == '_'; });
}

int run(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    const std::string command = arguments.empty() ? "" : arguments[0];
    Job job;
    const int64_t most = 1000000000;
    for (size_t i = 1; i < arguments.size(); ++i) {
        const std::string& option = arguments[i];
        if (option.compare(0, 2, "--") != 0) {
            job.prefixes.push_back(option);
            continue;
        }
        if (option == "--outputs") {
            job.outputs = true;
            continue;
        }
        if (i + 1 == arguments.size()) fail("usage", option + " has no value");
        const std::string& value = arguments[++i];
        if (option == "--nonce") {
            if (!plain(value)) fail("usage", "--nonce is not up to 64 letters and digits");
            nonce = value;
        } else if (option == "--core") {
            job.core = int(integer(option, value, -1, CPU_SETSIZE - 1));
        } else if (option == "--warmup-runs") {
            job.warmup_runs = int(integer(option, value, 0, most));
        } else if (option == "--warmup-ms") {
            job.warmup_ms = int(integer(option, value, 0, most));
        } else if (option == "--rounds") {
            job.rounds = int(integer(option, value, 1, most));
        } else if (option == "--repeats") {
            job.repeats = int(integer(option, value, 1, most));
        } else if (option == "--alarm-s") {
            job.alarm_s = int(integer(option, value, 1, most));
        } else if (option == "--input-seed") {
            job.input_seed = uint32_t(integer(option, value, 0, 0xFFFFFFFFll));
        } else if (option == "--lock") {
            job.lock = value;
        } else if (option == "--precision") {
            if (value != "float32" && value != "float16")
                fail("usage", "--precision is '" + value + "'; expected float32 or float16");
            job.half = value == "float16";
        } else {
            fail("usage", "unknown option " + option);
        }
    }
    if (nonce.empty()) fail("usage", "--nonce is missing");
    if (command == "probe") probe();
    if (command != "time") fail("usage", "expected the command probe or time, not '" + command + "'");
    if (job.rounds == 0 || job.repeats == 0 || job.alarm_s == 0 || job.prefixes.empty())
        fail("usage", "time needs --rounds, --repeats, --alarm-s and a model");
    time_models(job);
}

}  // namespace

int main(int count, char** values) {
    try {
        return run(count, values);
    } catch (const std::bad_alloc&) {
        fail("memory", "out of memory");
    }
}
