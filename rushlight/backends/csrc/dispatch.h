// dispatch.h: one table of kernels per instruction set, one of them active.
//
// A kernel source is compiled several times with RL_ISA set to v2, v3, v4, neon or generic, and
// each time it defines, in namespace rl::RL_ISA, a constant table of function pointers. The
// family's header declares the tables and the function that returns the active one:
//
//     struct SoftmaxKernels { void (*softmax_f32)(...); };
//     RL_DECLARE_KERNELS(SoftmaxKernels, softmax_kernels)
//
// after which bindings call `rl::softmax_kernels().softmax_f32(...)`. The tables are constants, so
// no code of an instruction set runs before the choice is made.
#pragma once

namespace rl {

enum class Isa { none, generic, v2, v3, v4, neon };

// The instruction set chosen at import; none before choose_isa has succeeded.
extern Isa active_isa;

// Chooses the best set that was built and that this machine runs, or the one named by `forced`
// (null or "" means no wish). Returns null, or what is wrong as a message.
const char* choose_isa(const char* forced);

// "v4" and so on; and the i-th set that can run here (null behind the last).
const char* isa_name(Isa isa);
const char* usable_isa(int i);

}  // namespace rl

// The build defines RL_HAVE_<isa> for every set that is compiled. A macro, because namespaces
// cannot be template parameters.
#if defined(RL_HAVE_generic)
#define RL_IF_GENERIC(code) code
#else
#define RL_IF_GENERIC(code)
#endif
#if defined(RL_HAVE_v2)
#define RL_IF_V2(code) code
#else
#define RL_IF_V2(code)
#endif
#if defined(RL_HAVE_v3)
#define RL_IF_V3(code) code
#else
#define RL_IF_V3(code)
#endif
#if defined(RL_HAVE_v4)
#define RL_IF_V4(code) code
#else
#define RL_IF_V4(code)
#endif
#if defined(RL_HAVE_neon)
#define RL_IF_NEON(code) code
#else
#define RL_IF_NEON(code)
#endif

#define RL_DECLARE_KERNELS(Table, name)                                             \
    namespace rl {                                                                  \
    RL_IF_GENERIC(namespace generic { extern const Table name; })                   \
    RL_IF_V2(namespace v2 { extern const Table name; })                             \
    RL_IF_V3(namespace v3 { extern const Table name; })                             \
    RL_IF_V4(namespace v4 { extern const Table name; })                             \
    RL_IF_NEON(namespace neon { extern const Table name; })                         \
    static inline const Table& name() {                                             \
        switch (active_isa) {                                                       \
            RL_IF_GENERIC(case Isa::generic : return generic::name;)                \
            RL_IF_V2(case Isa::v2 : return v2::name;)                               \
            RL_IF_V3(case Isa::v3 : return v3::name;)                               \
            RL_IF_V4(case Isa::v4 : return v4::name;)                               \
            RL_IF_NEON(case Isa::neon : return neon::name;)                         \
            default: __builtin_unreachable();                                       \
        }                                                                           \
    }                                                                               \
    }
