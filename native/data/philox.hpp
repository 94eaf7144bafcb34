// Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", 2011), one block at a time. The same numbers as `thew.ops.draw`.
#pragma once

#include <array>
#include <cstdint>

namespace thew {

using Words = std::array<std::uint32_t, 4>;

inline Words philox(Words counter, std::uint32_t low_key, std::uint32_t high_key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t first = std::uint64_t{0xD2511F53} * counter[0];
        const std::uint64_t second = std::uint64_t{0xCD9E8D57} * counter[2];
        counter = {static_cast<std::uint32_t>(second >> 32) ^ counter[1] ^ low_key, static_cast<std::uint32_t>(second),
                   static_cast<std::uint32_t>(first >> 32) ^ counter[3] ^ high_key, static_cast<std::uint32_t>(first)};
        low_key += 0x9E3779B9;
        high_key += 0xBB67AE85;
    }
    return counter;
}

}  // namespace thew
