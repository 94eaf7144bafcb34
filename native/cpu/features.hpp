// What this CPU can execute, as the processor says and the operating system allows (register state saved on a context
// switch). Asked once; the answers never change while the process lives.
#pragma once

#include <string_view>
#include <vector>

#include "cpu/isa.hpp"

namespace thew {

struct Feature {
    const char* name;  // "avx2", "avx512_vnni", "dotprod", …
    bool present;
};

const std::vector<Feature>& features();  // every feature this architecture has a name for here
bool has_feature(std::string_view name);
bool supported(Isa isa);  // false also for another architecture's
const char* isa_name(Isa isa);
const std::vector<Isa>& supported_isas();  // best first

}  // namespace thew
