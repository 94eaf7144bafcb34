// What a kernel sees of the thread pool: how many workers, and a way to hand them tiles.
// Plain data (no virtual table, no std::function), so that kernel units may include it.
#pragma once

#include <cstdint>

namespace thew {

struct Workers {
    int count;  // workers that may run at once, the caller among them; worker ids are 0 … count - 1
    void* pool;
    // Calls body(context, tile, worker) for every tile in [0, tiles), each exactly once, in no given order;
    // returns when all are done. An exception thrown by `body` reaches the caller after the others finished.
    void (*run)(void* pool, std::int64_t tiles, void (*body)(void* context, std::int64_t tile, int worker),
                void* context);
};

namespace {

// Runs body(tile, worker) over [0, tiles); a single worker or a single tile costs no synchronisation.
template <class Body>
void parallel_for(const Workers& workers, std::int64_t tiles, Body& body) {
    if (workers.count == 1 || tiles <= 1) {
        for (std::int64_t tile = 0; tile < tiles; ++tile) body(tile, 0);
        return;
    }
    workers.run(
        workers.pool, tiles,
        [](void* context, std::int64_t tile, int worker) { (*static_cast<Body*>(context))(tile, worker); }, &body);
}

}  // namespace
}  // namespace thew
