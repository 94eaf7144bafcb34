// Bits and their names are data: Intel SDM vol. 2A (CPUID) and vol. 1 ch. 13 (XCR0), AMD APM vol. 3 app. E; Linux's
// Documentation/arch/arm64/elf_hwcaps.rst.
#include "cpu/features.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace thew {
namespace {

#if defined(__x86_64__)

// The XCR0 bits without which the registers of a feature are not preserved.
constexpr std::uint64_t kNone = 0, kAvx = 0x6, kAvx512 = 0xe6, kAmx = 0x60006;
enum Register { eax, ebx, ecx, edx };
struct Bit {
    const char* name;
    std::uint32_t leaf, subleaf;
    Register where;
    int bit;
    std::uint64_t state;
};
constexpr Bit kBits[] = {
    {"sse2", 1, 0, edx, 26, kNone},
    {"sse3", 1, 0, ecx, 0, kNone},
    {"ssse3", 1, 0, ecx, 9, kNone},
    {"cx16", 1, 0, ecx, 13, kNone},
    {"sse4_1", 1, 0, ecx, 19, kNone},
    {"sse4_2", 1, 0, ecx, 20, kNone},
    {"popcnt", 1, 0, ecx, 23, kNone},
    {"lahf", 0x80000001, 0, ecx, 0, kNone},
    {"avx", 1, 0, ecx, 28, kAvx},
    {"f16c", 1, 0, ecx, 29, kAvx},
    {"fma", 1, 0, ecx, 12, kAvx},
    {"avx2", 7, 0, ebx, 5, kAvx},
    {"avx_vnni", 7, 1, eax, 4, kAvx},
    {"avx_vnni_int8", 7, 1, edx, 4, kAvx},
    {"avx_ne_convert", 7, 1, edx, 5, kAvx},
    {"avx512f", 7, 0, ebx, 16, kAvx512},
    {"avx512dq", 7, 0, ebx, 17, kAvx512},
    {"avx512cd", 7, 0, ebx, 28, kAvx512},
    {"avx512bw", 7, 0, ebx, 30, kAvx512},
    {"avx512vl", 7, 0, ebx, 31, kAvx512},
    {"avx512_ifma", 7, 0, ebx, 21, kAvx512},
    {"avx512_vbmi", 7, 0, ecx, 1, kAvx512},
    {"avx512_vbmi2", 7, 0, ecx, 6, kAvx512},
    {"avx512_vnni", 7, 0, ecx, 11, kAvx512},
    {"avx512_bf16", 7, 1, eax, 5, kAvx512},
    {"avx512_fp16", 7, 0, edx, 23, kAvx512},
    {"amx_tile", 7, 0, edx, 24, kAmx},
    {"amx_int8", 7, 0, edx, 25, kAmx},
    {"amx_bf16", 7, 0, edx, 22, kAmx},
    {"amx_fp16", 7, 1, eax, 21, kAmx},
};

std::uint64_t saved_state() {
    std::uint32_t a = 0, b = 0, c = 0, d = 0;
    constexpr std::uint32_t kOsxsave = 1u << 27;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & kOsxsave)) return 0;
    std::uint32_t low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<std::uint64_t>(high) << 32) | low;
}

// Linux lets a process use tiles only once it has asked for them (Documentation/arch/x86/xstate.rst).
bool tiles_permitted() {
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    static const bool permitted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
    return permitted;
}

bool present(const Bit& bit) {
    static const std::uint64_t saved = saved_state();
    std::array<std::uint32_t, 4> registers{};
    if (bit.subleaf > 0) {  // leaf 7 tells in EAX how many subleaves it has
        __get_cpuid_count(bit.leaf, 0, &registers[0], &registers[1], &registers[2], &registers[3]);
        if (registers[eax] < bit.subleaf) return false;
    }
    if (!__get_cpuid_count(bit.leaf, bit.subleaf, &registers[0], &registers[1], &registers[2], &registers[3])) {
        return false;
    }
    return ((registers[bit.where] >> bit.bit) & 1) != 0 && (saved & bit.state) == bit.state &&
           (bit.state != kAmx || tiles_permitted());
}

#elif defined(__aarch64__)

struct Bit {
    const char* name;
    unsigned long word;  // AT_HWCAP or AT_HWCAP2
    int bit;
};
constexpr Bit kBits[] = {
    {"neon", AT_HWCAP, 1},      {"atomics", AT_HWCAP, 8}, {"fp16", AT_HWCAP, 10},  {"dotprod", AT_HWCAP, 20},
    {"fhm", AT_HWCAP, 23},      {"sve", AT_HWCAP, 22},    {"sve2", AT_HWCAP2, 1},  {"svei8mm", AT_HWCAP2, 9},
    {"svebf16", AT_HWCAP2, 12}, {"i8mm", AT_HWCAP2, 13},  {"bf16", AT_HWCAP2, 14}, {"sme", AT_HWCAP2, 23},
};

bool present(const Bit& bit) { return ((getauxval(bit.word) >> bit.bit) & 1) != 0; }

#endif

struct Needs {
    Isa isa;
    std::vector<std::string_view> names;
};

const std::vector<Needs>& needs() {
    static const std::vector<Needs> table{
#define THEW_NEEDS(isa, ...) {Isa::isa, {__VA_ARGS__}},
        THEW_ISA_NEEDS(THEW_NEEDS)
#undef THEW_NEEDS
    };
    return table;
}

}  // namespace

const std::vector<Feature>& features() {
    static const std::vector<Feature> found = [] {
        std::vector<Feature> list;
        for (const Bit& bit : kBits) list.push_back({bit.name, present(bit)});
        return list;
    }();
    return found;
}

bool has_feature(std::string_view name) {
    const auto& list = features();
    return std::any_of(list.begin(), list.end(),
                       [&](const Feature& feature) { return feature.name == name && feature.present; });
}

bool supported(Isa isa) {
    for (const Needs& row : needs()) {
        if (row.isa == isa) return std::all_of(row.names.begin(), row.names.end(), has_feature);
    }
    return false;
}

const char* isa_name(Isa isa) {
#define THEW_ISA_NAME(name, ...) #name,
    constexpr const char* kNames[] = {THEW_EACH_ISA(THEW_ISA_NAME)};
#undef THEW_ISA_NAME
    return kNames[static_cast<std::size_t>(isa)];
}

const std::vector<Isa>& supported_isas() {
    static const std::vector<Isa> found = [] {
        std::vector<Isa> list;
        for (auto row = needs().rbegin(); row != needs().rend(); ++row) {
            if (supported(row->isa)) list.push_back(row->isa);
        }
        return list;
    }();
    return found;
}

}  // namespace thew
