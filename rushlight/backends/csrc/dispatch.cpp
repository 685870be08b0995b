#include "dispatch.h"

#include <stdio.h>
#include <string.h>

namespace rl {

Isa active_isa = Isa::none;

namespace {

struct Candidate {
    Isa isa;
    const char* name;
    bool built;
};

#if defined(RL_HAVE_generic)
constexpr bool built_generic = true;
#else
constexpr bool built_generic = false;
#endif
#if defined(RL_HAVE_v2)
constexpr bool built_v2 = true;
#else
constexpr bool built_v2 = false;
#endif
#if defined(RL_HAVE_v3)
constexpr bool built_v3 = true;
#else
constexpr bool built_v3 = false;
#endif
#if defined(RL_HAVE_v4)
constexpr bool built_v4 = true;
#else
constexpr bool built_v4 = false;
#endif
#if defined(RL_HAVE_neon)
constexpr bool built_neon = true;
#else
constexpr bool built_neon = false;
#endif

// Best first.
constexpr Candidate candidates[] = {
    {Isa::v4, "v4", built_v4},       {Isa::v3, "v3", built_v3},
    {Isa::v2, "v2", built_v2},       {Isa::neon, "neon", built_neon},
    {Isa::generic, "generic", built_generic},
};

// __builtin_cpu_supports also asks whether the operating system saves the wide registers.
bool machine_runs(Isa isa) {
    switch (isa) {
#if defined(__x86_64__)
        case Isa::v2:
            return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
        case Isa::v3:
            return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                   __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
        case Isa::v4:
            return machine_runs(Isa::v3) && __builtin_cpu_supports("avx512f") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl");
#endif
        case Isa::neon:
        case Isa::generic:
            return true;
        default:
            return false;
    }
}

bool usable(const Candidate& candidate) { return candidate.built && machine_runs(candidate.isa); }

}  // namespace

const char* isa_name(Isa isa) {
    for (const Candidate& candidate : candidates)
        if (candidate.isa == isa) return candidate.name;
    return "none";
}

const char* usable_isa(int i) {
    for (const Candidate& candidate : candidates)
        if (usable(candidate) && i-- == 0) return candidate.name;
    return nullptr;
}

const char* choose_isa(const char* forced) {
    static char message[200];
    const bool any = forced == nullptr || forced[0] == '\0';
    for (const Candidate& candidate : candidates) {
        if (!usable(candidate)) continue;
        if (any || strcmp(forced, candidate.name) == 0) {
            active_isa = candidate.isa;
            return nullptr;
        }
    }
    int used = snprintf(message, sizeof message,
                        "[native] no kernels for instruction set '%.40s'; this build on this "
                        "machine can run:", any ? "any" : forced);
    for (int i = 0; usable_isa(i) != nullptr && used < int(sizeof message); i++)
        used += snprintf(message + used, sizeof message - size_t(used), " %s", usable_isa(i));
    return message;
}

}  // namespace rl
