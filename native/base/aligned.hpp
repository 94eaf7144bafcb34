// Memory aligned to kAlignment: arenas, packed weights, scratch. Sizes are checked before they are used, so that a
// hostile model ends in a MemoryError and never in a wrapped product.
#pragma once

#include <stdlib.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/tensor.hpp"

namespace thew {

// count × size in bytes, rounded up to kAlignment.
inline std::size_t checked_bytes(std::size_t count, std::size_t size = 1) {
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > static_cast<std::size_t>(PTRDIFF_MAX) - kAlignment) {
        throw MemoryError("buffer: its size must fit the address space, got " + std::to_string(count) +
                          " elements of " + std::to_string(size) + " bytes; check the model's shapes");
    }
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Owns `bytes` uninitialised bytes; an empty one has a null pointer and owns nothing.
class AlignedBuffer {
public:
    AlignedBuffer() = default;
    explicit AlignedBuffer(std::size_t bytes) : bytes_(bytes) {
        if (bytes == 0) return;
        // Large buffers ask for large pages: products over 4 KB pages lose 5 % to address translation.
        const bool large = bytes >= 2 * kLargePage;
        void* memory = nullptr;
        if (posix_memalign(&memory, large ? kLargePage : kAlignment, checked_bytes(bytes)) != 0) memory = nullptr;
        if (large && memory) madvise(memory, bytes, MADV_HUGEPAGE);
        data_.reset(static_cast<std::byte*>(memory));
        if (!data_) {
            throw MemoryError("buffer: the system refused " + std::to_string(bytes) +
                              " bytes; use a smaller batch or image, or free memory");
        }
    }

    std::byte* data() const { return data_.get(); }
    template <class T>
    T* as() const {
        return reinterpret_cast<T*>(data_.get());
    }
    std::size_t bytes() const { return bytes_; }

private:
    static constexpr std::size_t kLargePage = std::size_t{2} << 20;
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    std::unique_ptr<std::byte[], Free> data_;
    std::size_t bytes_ = 0;
};

}  // namespace thew
