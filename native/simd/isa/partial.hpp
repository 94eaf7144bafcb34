// Tails for ISAs without masks: through a register-sized buffer on the stack, copied element by element.
#pragma once

namespace thew {
namespace {

template <class T>
struct Partial {
    typedef T V __attribute__((vector_size(kVectorBytes)));
    static THEW_INLINE V load(const T* from, int count) {
        V value{};
        for (int lane = 0; lane < count; ++lane) value[lane] = from[lane];
        return value;
    }
    static THEW_INLINE void store(T* to, V value, int count) {
        for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
    }
};

}  // namespace
}  // namespace thew
