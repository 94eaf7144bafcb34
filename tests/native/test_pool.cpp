// The pool under stress: every tile exactly once, worker ids unique within a run and below its count, exceptions,
// nested and concurrent runs, sleep and wake, destruction, fork. Meant for the thread sanitizer too, which must stay
// silent. With the argument `latency` it prints the time of a two-tile run instead.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/affinity.hpp"
#include "base/aligned.hpp"
#include "base/pool.hpp"
#include "check.hpp"

// The child of a fork starts threads, and an allocation is meant to fail: both are what is tested.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {
    return "die_after_fork=0:allocator_may_return_null=1";
}
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
    return "allocator_may_return_null=1";
}

namespace {

using thew::parallel_for;
using thew::Pool;
using thew::Workers;

// One run: counts are plain integers, so that a tile run twice or a worker id held by two threads is a data race.
void check_run(const Workers& workers, std::int64_t tiles) {
    std::vector<int> runs(static_cast<std::size_t>(tiles), 0);
    std::vector<std::int64_t> by_worker(static_cast<std::size_t>(workers.count) * 16, 0);
    std::atomic<bool> ids_hold{true};
    auto body = [&](std::int64_t tile, int worker) {
        if (worker < 0 || worker >= workers.count) ids_hold = false;
        ++runs[static_cast<std::size_t>(tile)];
        ++by_worker[static_cast<std::size_t>(worker) * 16];
    };
    parallel_for(workers, tiles, body);
    CHECK(ids_hold);
    CHECK(std::all_of(runs.begin(), runs.end(), [](int count) { return count == 1; }));
    std::int64_t sum = 0;
    for (std::int64_t count : by_worker) sum += count;
    CHECK(sum == tiles);
}

void every_tile_once(int threads, int repeats) {
    Pool pool(threads);
    for (int i = 0; i < repeats; ++i) {
        for (std::int64_t tiles : {0, 1, 2, 3, 7, 64}) check_run(pool.workers(), tiles);
    }
}

void sleeps_and_wakes() {
    Pool pool(4);
    for (int i = 0; i < 40; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(37 * (i % 7)));  // around the spin's length
        check_run(pool.workers(), 5);
    }
}

// Runs of any number of the workers, so that some sleep through many runs and are then wanted.
void runs_on_some() {
    Pool pool(5);
    for (int i = 0; i < 400; ++i) {
        const int count = 1 + (i * i + i / 7) % 5;
        check_run(pool.workers(count), 1 + i % 11);
        if (i % 40 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    std::vector<std::thread> callers;
    for (int i = 0; i < 3; ++i) {
        callers.emplace_back([&pool, i] {
            for (int j = 0; j < 300; ++j) check_run(pool.workers(1 + (i + j) % 5), 1 + j % 9);
        });
    }
    for (std::thread& caller : callers) caller.join();
}

void carries_exceptions() {
    Pool pool(4);
    for (int i = 0; i < 200; ++i) {
        std::atomic<int> running{0};
        auto body = [&](std::int64_t tile, int) {
            ++running;
            if (tile % 3 == 1) {
                --running;
                throw std::runtime_error("tile");
            }
            --running;
        };
        bool caught = false;
        try {
            parallel_for(pool.workers(), 20, body);
        } catch (const std::runtime_error& error) {
            caught = std::strcmp(error.what(), "tile") == 0;
        }
        CHECK(caught);
        CHECK(running == 0);  // nobody was still at work when it arrived
        check_run(pool.workers(), 9);
    }
}

void nests() {
    Pool pool(3);
    for (int i = 0; i < 200; ++i) {
        auto outer = [&](std::int64_t, int) { check_run(pool.workers(), 4); };
        parallel_for(pool.workers(), 6, outer);
    }
}

void shared_by_callers() {
    Pool& pool = thew::shared_pool(3);
    CHECK(&pool == &thew::shared_pool(3));
    CHECK(&pool != &thew::shared_pool(2));
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
        callers.emplace_back([&pool] {
            for (int j = 0; j < 300; ++j) check_run(pool.workers(), 1 + j % 9);
        });
    }
    for (std::thread& caller : callers) caller.join();
}

void starts_and_stops() {
    for (int i = 0; i < 50; ++i) {
        Pool pool(1 + i % 5);
        if (i % 3 != 0) check_run(pool.workers(), 8);
    }
}

// In the child, parallelism itself is checked: two tiles that wait for each other end only with two threads.
void survives_fork() {
    Pool pool(2);
    check_run(pool.workers(), 8);
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        std::atomic<int> met{0};
        auto body = [&](std::int64_t, int) {
            ++met;
            while (met < 2) std::this_thread::yield();
        };
        parallel_for(pool.workers(), 2, body);
        for (int i = 0; i < 100; ++i) check_run(pool.workers(), 8);
        check_run(thew::shared_pool(3).workers(), 8);
        _exit(thew::test::failures == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_run(pool.workers(), 8);
}

template <class Exception, class Call>
bool throws(const Call& call) {
    try {
        call();
    } catch (const Exception&) {
        return true;
    }
    return false;
}

void refuses_nonsense() {
    CHECK(throws<thew::Error>([] { Pool pool(0); }));
    CHECK(throws<thew::Error>([] { Pool pool(Pool::kMostThreads + 1); }));
    CHECK(throws<thew::Error>([] { Pool pool(2, {1 << 20}); }));
}

void pins() {
    const std::vector<int> cpus = thew::allowed_cpus();
    Pool pool(3, cpus);
    std::atomic<bool> pinned{true};
    auto body = [&](std::int64_t, int worker) {
        const std::size_t expected = worker == 0 ? cpus.size() : 1;
        if (thew::allowed_cpus().size() != expected) pinned = false;
    };
    for (int i = 0; i < 50; ++i) parallel_for(pool.workers(), 6, body);
    CHECK(pinned);
}

void aligned_memory() {
    for (std::size_t bytes : {1, 63, 64, 65, 4097}) {
        thew::AlignedBuffer buffer(bytes);
        CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % thew::kAlignment == 0);
        std::memset(buffer.data(), 1, bytes);
        CHECK(buffer.bytes() == bytes);
    }
    CHECK(thew::AlignedBuffer(0).data() == nullptr);
    CHECK(thew::checked_bytes(3, 8) == 64 && thew::checked_bytes(0, 8) == 0);
    CHECK(throws<thew::MemoryError>([] { thew::checked_bytes(SIZE_MAX / 4, 8); }));
    CHECK(throws<thew::MemoryError>([] { thew::checked_bytes(SIZE_MAX - 8); }));
    CHECK(throws<thew::MemoryError>([] { thew::AlignedBuffer buffer(std::size_t{1} << 62); }));
}

int print_latency() {
    using Clock = std::chrono::steady_clock;
    Pool pool(2);
    int sink[2 * 64] = {};
    auto body = [&](std::int64_t tile, int) { ++sink[tile * 64]; };
    std::atomic<int> other{0};
    auto spread = [&](std::int64_t, int worker) { other += worker; };
    parallel_for(pool.workers(), 2, body);
    std::vector<double> runs;
    for (int i = 0; i < 20000; ++i) {
        const auto begin = Clock::now();
        parallel_for(pool.workers(), 2, body);
        runs.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    std::sort(runs.begin(), runs.end());
    std::printf("two tiles, spinning workers: median %.2f us, 90%% %.2f us, min %.2f us\n", runs[runs.size() / 2],
                runs[runs.size() * 9 / 10], runs[0]);
    // Two tiles that must meet: the whole hand-over to another core and back.
    runs.clear();
    for (int i = 0; i < 20000; ++i) {
        std::atomic<int> met{0};
        auto meet = [&](std::int64_t, int) {
            ++met;
            while (met.load(std::memory_order_acquire) < 2) {
            }
        };
        const auto begin = Clock::now();
        parallel_for(pool.workers(), 2, meet);
        runs.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    std::sort(runs.begin(), runs.end());
    std::printf("two tiles that meet:         median %.2f us, 90%% %.2f us, min %.2f us\n", runs[runs.size() / 2],
                runs[runs.size() * 9 / 10], runs[0]);
    runs.clear();
    for (int i = 0; i < 300; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const auto begin = Clock::now();
        parallel_for(pool.workers(), 2, spread);
        runs.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    std::sort(runs.begin(), runs.end());
    std::printf("two tiles, sleeping workers: median %.2f us, min %.2f us\n", runs[runs.size() / 2], runs[0]);
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    if (count > 1 && std::strcmp(arguments[1], "latency") == 0) return print_latency();
    survives_fork();  // first: before other threads exist, as a sanitizer wants it
    for (int threads : {1, 2, 3, 8}) every_tile_once(threads, 150);
    sleeps_and_wakes();
    runs_on_some();
    carries_exceptions();
    nests();
    shared_by_callers();
    starts_and_stops();
    refuses_nonsense();
    pins();
    aligned_memory();
    return thew::test::report("pool");
}
