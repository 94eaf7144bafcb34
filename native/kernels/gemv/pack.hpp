// Constant weights in the forms of contract.hpp, packed once. Plan side only.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/gemv/contract.hpp"
#include "kernels/strided.hpp"

namespace thew {

struct PackedWeights {
    AlignedBuffer weights, places, first;
    int kept = 0;

    std::size_t bytes() const { return weights.bytes() + places.bytes() + first.bytes(); }
};

// b's elements, (k, n) at any strides, and where they go: panels of so many columns.
template <class T>
struct Unpacked {
    const T* data;
    std::int64_t k, n, k_stride, n_stride, panel;

    Unpacked(const Tensor& b, std::int64_t panel)
        : data(static_cast<const T*>(b.data)),
          k(b.shape[0]),
          n(b.shape[1]),
          k_stride(b.stride[0]),
          n_stride(b.stride[1]),
          panel(panel) {}

    std::int64_t panels() const { return (n + panel - 1) / panel; }
    std::int64_t columns(std::int64_t at) const { return std::min(panel, n - at * panel); }
    const T& operator()(std::int64_t row, std::int64_t column) const {
        return data[row * k_stride + column * n_stride];
    }
};

inline AlignedBuffer zeros(std::size_t count, std::size_t size) {
    AlignedBuffer buffer(checked_bytes(count, size));
    if (buffer.bytes() > 0) std::memset(buffer.data(), 0, buffer.bytes());
    return buffer;
}

inline PackedWeights pack_widened(const Tensor& tensor, std::int64_t panel) {
    const Unpacked<std::int8_t> b(tensor, panel);
    PackedWeights packed;
    packed.weights =
        zeros(checked_bytes(static_cast<std::size_t>(b.panels() * panel), static_cast<std::size_t>(b.k)), 1);
    auto* to = packed.weights.as<std::int8_t>();
    for (std::int64_t p = 0; p < b.panels(); ++p, to += b.k * panel) {
        const std::int64_t columns = b.columns(p);
        for (std::int64_t k = 0; k < b.k; ++k) {  // every line of either side is near until it is used up
            for (std::int64_t column = 0; column < columns; ++column) to[k * panel + column] = b(k, p * panel + column);
        }
    }
    return packed;
}

inline PackedWeights pack_blocks(const Tensor& tensor, std::int64_t panel) {
    const Unpacked<float> b(tensor, panel);
    std::vector<std::uint32_t> places;
    std::vector<std::int64_t> first{0};
    const auto is_kept = [&](std::int64_t p, std::int64_t k) {
        for (std::int64_t column = 0; column < b.columns(p); ++column) {
            if (b(k, p * panel + column) != 0.0f) return true;
        }
        return false;
    };
    for (std::int64_t p = 0; p < b.panels(); ++p) {
        for (std::int64_t k = 0; k < b.k; ++k) {
            if (is_kept(p, k)) places.push_back(static_cast<std::uint32_t>(k));
        }
        first.push_back(static_cast<std::int64_t>(places.size()));
    }
    PackedWeights packed;
    packed.places = zeros(places.size(), sizeof(std::uint32_t));
    packed.first = zeros(first.size(), sizeof(std::int64_t));
    packed.weights = zeros(places.size(), static_cast<std::size_t>(panel) * sizeof(float));
    std::copy(places.begin(), places.end(), packed.places.as<std::uint32_t>());
    std::copy(first.begin(), first.end(), packed.first.as<std::int64_t>());
    auto* to = packed.weights.as<float>();
    for (std::int64_t p = 0; p < b.panels(); ++p) {
        for (std::int64_t at = first[static_cast<std::size_t>(p)]; at < first[static_cast<std::size_t>(p) + 1];
             ++at, to += panel) {
            for (std::int64_t column = 0; column < b.columns(p); ++column) {
                to[column] = b(places[static_cast<std::size_t>(at)], p * panel + column);
            }
        }
    }
    return packed;
}

// The most elements that are not zero among every kChoices k of a column.
inline int most_kept(const Unpacked<float>& b) {
    int most = 0;
    for (std::int64_t column = 0; column < b.n; ++column) {
        for (std::int64_t k = 0; k < b.k; k += kChoices) {
            int count = 0;
            for (std::int64_t i = k; i < std::min(k + kChoices, b.k); ++i) count += b(i, column) != 0.0f;
            most = std::max(most, count);
        }
    }
    return most;
}

inline PackedWeights pack_structured(const Tensor& tensor, std::int64_t panel, const std::string& where) {
    const Unpacked<float> b(tensor, panel);
    PackedWeights packed;
    const int most = most_kept(b);
    require(most <= 2, where + "weights must keep at most 2 of every " + std::to_string(kChoices) + " k, got " +
                           std::to_string(most) + "; use a row of the matmul family");
    packed.kept = std::max(most, 1);
    const std::int64_t chunk = kLongestChunk / packed.kept, chunks = (b.k + chunk - 1) / chunk;
    const std::size_t words =
        checked_bytes(static_cast<std::size_t>(b.panels() * panel), static_cast<std::size_t>(chunks));
    packed.places = zeros(words, sizeof(std::uint32_t));
    packed.weights = zeros(words, kChoicesAWord * sizeof(float));
    auto* word = packed.places.as<std::uint32_t>();
    auto* to = packed.weights.as<float>();
    for (std::int64_t p = 0; p < b.panels(); ++p) {
        for (std::int64_t c = 0; c < chunks; ++c, word += panel, to += kChoicesAWord * panel) {
            for (std::int64_t column = 0; column < b.columns(p); ++column) {
                for (std::int64_t k = c * chunk; k < std::min((c + 1) * chunk, b.k); ++k) {
                    const float weight = b(k, p * panel + column);
                    if (weight == 0.0f) continue;
                    // Slots of a group are filled in order; one is free, as most_kept says.
                    std::int64_t slot = (k - c * chunk) / kChoices * packed.kept;
                    while (to[slot * panel + column] != 0.0f) ++slot;
                    to[slot * panel + column] = weight;
                    word[column] |= static_cast<std::uint32_t>(k % kChoices) << (2 * slot);
                }
            }
        }
    }
    return packed;
}

}  // namespace thew
