// The thread pool behind Workers. Each worker has tiles of its own, the same part of every run, and then helps others
// with theirs; they are handed out in shares that fall to single tiles toward the end, so unequal cores stay busy. A
// worker that runs out spins for some tens of microseconds and then sleeps, so an idle pool costs nothing.
//
// Invariants: the caller is worker 0 and works too; it never waits for a worker that has not joined its run, so a
// sleeping or preempted worker delays nobody. A caller that finds the pool busy (another thread's run, or a run from
// within a body) does all its tiles itself. Threads start at the first run that needs them; after fork() the child
// starts its own. A run may be for the first few workers alone: the others neither join nor wake.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/workers.hpp"

namespace thew {

class Pool {
public:
    // Workers 1, 2, … are pinned to cpus[1], cpus[2], … (cyclically) where `cpus` is given, and inherit the affinity
    // mask otherwise; the caller's own mask is never touched. Throws Error for a count outside 1 … kMostThreads or a
    // CPU outside the mask.
    explicit Pool(int threads, std::vector<int> cpus = {});
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    static constexpr int kMostThreads = 1024;

    int threads() const { return threads_; }
    const std::vector<int>& cpus() const { return cpus_; }  // that the caller is to stay on too, while it runs
    Workers workers() { return workers(threads_); }         // valid as long as the pool
    Workers workers(int count);                             // the first of them, from 1 to all
    // As Workers::run. Once a body has thrown no further tile is started; the first exception is the one rethrown.
    void run(std::int64_t tiles, void (*body)(void* context, std::int64_t tile, int worker), void* context, int count);

private:
    class Crew;  // the threads and what they share
    friend struct PoolRegistry;
    struct Share {  // what `Workers` point at
        Pool* pool;
        int count;
    };

    Crew* start();

    const int threads_;
    const std::vector<int> cpus_;
    std::vector<Share> shares_;         // of 1, 2, … workers
    std::atomic<Crew*> crew_{nullptr};  // null until the first run, and again in the child of a fork
};

// One pool a (threads, cpus) for the whole process, so that sessions share threads. Lives until the process ends.
Pool& shared_pool(int threads, const std::vector<int>& cpus = {});

}  // namespace thew
