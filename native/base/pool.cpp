// One word, the gate, carries a run: [generation | open | joined]. The caller fills in the job, then opens the gate; a
// worker joins by a compare-and-swap that fails once the gate is closed, so it can never touch a job that is over. The
// caller works until no tile is left, closes the gate and waits only for those who joined. Each worker sleeps on a word
// of its own, so that a run wakes those that it is for: it says that it sleeps and looks at the gate once more, the
// caller opens the gate and looks who sleeps, all in one order.
#include "base/pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "base/affinity.hpp"
#include "base/error.hpp"
#include "base/thread.hpp"

namespace thew {
namespace {

constexpr std::uint32_t kJoined = 0x7fff, kOpen = 0x8000, kGeneration = 0x10000;
constexpr std::uint32_t kStop = kOpen | kJoined;  // a gate that nobody joins: more than kMostThreads are in
static_assert(Pool::kMostThreads < static_cast<int>(kJoined));

constexpr std::size_t kLine = 128;  // two 64-byte lines: adjacent-line prefetch, and 128-byte lines of some Arm cores
constexpr std::chrono::microseconds kSpin{30};
constexpr int kPausesPerLook = 32;
constexpr std::int64_t kShares = 4;  // a hand-out is that part of what is left of a worker's tiles

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");  // `yield` is a no-op on most cores
#endif
}

// Spins until holds() or until `limit` has passed; tells which.
template <class Holds>
bool spin_until(std::chrono::microseconds limit, const Holds& holds) {
    if (holds()) return true;
    if (limit.count() == 0) return false;
    const auto end = std::chrono::steady_clock::now() + limit;
    do {
        for (int i = 0; i < kPausesPerLook; ++i) {
            if (holds()) return true;
            pause();
        }
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

}  // namespace

class Pool::Crew {
public:
    Crew(int threads, const std::vector<int>& cpus)
        : spin_(static_cast<int>(allowed_cpus().size()) >= threads ? kSpin : std::chrono::microseconds{0}),
          asleep_(static_cast<std::size_t>(threads)),
          ranges_(static_cast<std::size_t>(threads)) {
        crew_.reserve(static_cast<std::size_t>(threads - 1));
        for (int worker = 1; worker < threads; ++worker) {
            const int cpu = cpus.empty() ? -1 : cpus[static_cast<std::size_t>(worker) % cpus.size()];
            try {
                crew_.emplace_back([this, worker, cpu] { work(worker, cpu); });
            } catch (const std::system_error&) {
                break;  // the system allows no more threads: those there are do the work
            }
        }
    }

    ~Crew() {
        gate_.store(kStop);
        wake(static_cast<std::int64_t>(crew_.size()));
        for (std::thread& thread : crew_) thread.join();
    }

    // False where another run is under way.
    bool enter() { return !busy_.load(std::memory_order_relaxed) && !busy_.exchange(true, std::memory_order_acquire); }
    void leave() { busy_.store(false, std::memory_order_release); }

    // For the first `count` workers, the caller among them.
    void run(std::int64_t tiles, void (*body)(void*, std::int64_t, int), void* context, int count) {
        job_ = {body, context, count};
        count_.store(count, std::memory_order_relaxed);
        for (int worker = 0; worker < count; ++worker) {
            Range& range = ranges_[static_cast<std::size_t>(worker)];
            range.next.store(tiles / count * worker + tiles % count * worker / count, std::memory_order_relaxed);
            range.last = tiles / count * (worker + 1) + tiles % count * (worker + 1) / count;
        }
        const std::uint32_t generation = (gate_.load(std::memory_order_relaxed) & ~(kOpen | kJoined)) + kGeneration;
        gate_.store(generation | kOpen);  // sequentially consistent: ordered with the look at who sleeps, below
        wake(std::min<std::int64_t>(tiles, count) - 1);
        take_tiles(0);
        const std::uint32_t gate = gate_.fetch_and(~kOpen, std::memory_order_acq_rel);
        if ((gate & kJoined) != 0) await_joined();
        if (failed_.load(std::memory_order_relaxed)) rethrow();
    }

private:
    struct Job {
        void (*body)(void*, std::int64_t, int);
        void* context;
        int count;
    };

    // The tiles that are a worker's first. Neighbouring tiles mostly read and write neighbouring memory: a worker that
    // has the same part in every run finds in its own caches what it made in the one before.
    struct alignas(kLine) Range {
        std::atomic<std::int64_t> next{0};
        std::int64_t last = 0;
    };

    // The next tiles for a worker, none where all are taken: of its own range, then of those after it. As guided
    // self-scheduling hands them out (Polychronopoulos and Kuck, 1987), shares of what is left, so that many small
    // tiles cost few hand-outs and the last ones even out what unequal or busy cores have done before.
    std::pair<std::int64_t, std::int64_t> take_share(int worker, int count) {
        for (int turn = 0; turn < count; ++turn) {
            Range& range = ranges_[static_cast<std::size_t>((worker + turn) % count)];
            std::int64_t first = range.next.load(std::memory_order_relaxed);
            while (first < range.last) {
                const std::int64_t last = first + std::max<std::int64_t>(1, (range.last - first) / kShares);
                if (range.next.compare_exchange_weak(first, last, std::memory_order_relaxed)) return {first, last};
            }
        }
        return {0, 0};
    }

    // Body may throw: what it throws is kept, and the tiles not yet started are dropped.
    void take_tiles(int worker) {
        const Job job = job_;
        try {
            for (;;) {
                auto [tile, last] = take_share(worker, job.count);
                if (tile == last) return;
                for (; tile < last; ++tile) job.body(job.context, tile, worker);
            }
        } catch (...) {
            for (int other = 0; other < job.count; ++other) {
                Range& range = ranges_[static_cast<std::size_t>(other)];
                range.next.store(range.last, std::memory_order_relaxed);
            }
            if (!failed_.exchange(true, std::memory_order_relaxed)) error_ = std::current_exception();
        }
    }

    // Workers 1 … wanted, as far as they sleep.
    void wake(std::int64_t wanted) {
        for (std::int64_t worker = std::min(wanted, static_cast<std::int64_t>(crew_.size())); worker > 0; --worker) {
            std::atomic<std::uint32_t>& asleep = asleep_[static_cast<std::size_t>(worker)];
            if (asleep.load() != 0 && asleep.exchange(0) != 0) asleep.notify_one();
        }
    }

    void await_joined() {
        const auto all_left = [this] { return (gate_.load(std::memory_order_acquire) & kJoined) == 0; };
        if (spin_until(spin_, all_left)) return;
        for (;;) {
            const std::uint32_t seen = left_.load(std::memory_order_acquire);
            if (all_left()) return;
            left_.wait(seen);
        }
    }

    [[noreturn]] void rethrow() {
        failed_.store(false, std::memory_order_relaxed);
        std::rethrow_exception(std::exchange(error_, nullptr));
    }

    void work(int worker, int cpu) {
        settle_thread("thew-" + std::to_string(worker));
        if (cpu >= 0) pin_thread(cpu);
        std::uint32_t done = 0;  // the generation last joined
        for (;;) {
            std::uint32_t gate = await_open(worker, done);
            if ((gate & kStop) == kStop) return;
            if (!gate_.compare_exchange_strong(gate, gate + 1, std::memory_order_acquire)) continue;
            done = gate / kGeneration;
            take_tiles(worker);
            gate = gate_.fetch_sub(1, std::memory_order_acq_rel) - 1;
            if ((gate & (kOpen | kJoined)) == 0) {  // the last to leave a closed gate
                left_.fetch_add(1);
                left_.notify_one();
            }
        }
    }

    // A gate that is open to a worker, for a run other than `done`. (A generation comes round after 65,536 runs; a
    // worker that slept through exactly that many misses one more run, which costs time and nothing else.) What is read
    // of `count_` may be the next run's: then the gate has changed, and is not joined.
    std::uint32_t await_open(int worker, std::uint32_t done) {
        std::uint32_t gate = 0;
        const auto is_open = [&] {
            gate = gate_.load();
            if ((gate & kStop) == kStop) return true;
            return (gate & kOpen) != 0 && gate / kGeneration != done && worker < count_.load(std::memory_order_relaxed);
        };
        if (spin_until(spin_, is_open)) return gate;
        std::atomic<std::uint32_t>& asleep = asleep_[static_cast<std::size_t>(worker)];
        for (;;) {
            asleep.store(1);
            const bool now = is_open();
            if (!now) asleep.wait(1);
            asleep.store(0, std::memory_order_relaxed);
            if (now || is_open()) return gate;
        }
    }

    alignas(kLine) std::atomic<std::uint32_t> gate_{0};
    Job job_{};                                          // written while the gate is closed and nobody is in
    std::atomic<int> count_{1};                          // of the workers that the gate is open to
    alignas(kLine) std::atomic<std::uint32_t> left_{0};  // counts closed gates emptied: what a waiting caller sleeps on
    std::atomic<bool> busy_{false};
    std::atomic<bool> failed_{false};
    std::exception_ptr error_;                        // written by whoever set failed_
    const std::chrono::microseconds spin_;            // none where threads outnumber CPUs
    std::vector<std::atomic<std::uint32_t>> asleep_;  // by worker
    std::vector<Range> ranges_;                       // by worker; written as the job is, `next` by who takes tiles
    std::vector<std::thread> crew_;
};

// All pools of the process. The lock is held across fork(), so that the child finds the list whole; the child forgets
// its parent's crews (their threads exist only there; the memory is left alone) and starts its own when it first runs.
struct PoolRegistry {
    std::mutex mutex;  // guards everything here, and the starting of crews
    std::vector<Pool*> pools;
    std::map<std::pair<int, std::vector<int>>, std::unique_ptr<Pool>> shared;

    static PoolRegistry& instance() {
        static PoolRegistry* registry = [] {  // never destroyed: workers may outlive static destructors
            pthread_atfork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); }, in_child);
            return new PoolRegistry;
        }();
        return *registry;
    }
    static void in_child() {
        for (Pool* pool : instance().pools) pool->crew_.store(nullptr, std::memory_order_relaxed);
        instance().mutex.unlock();
    }
};

Pool::Pool(int threads, std::vector<int> cpus) : threads_(threads), cpus_(std::move(cpus)) {
    if (threads < 1 || threads > kMostThreads) {
        throw Error("threads: must be 1 to " + std::to_string(kMostThreads) + ", got " + std::to_string(threads));
    }
    const std::vector<int> allowed = allowed_cpus();
    for (int cpu : cpus_) {
        if (!std::binary_search(allowed.begin(), allowed.end(), cpu)) {
            throw Error("cores: must be in the process's affinity mask, got CPU " + std::to_string(cpu) +
                        "; widen the mask with taskset, or leave it out");
        }
    }
    for (int count = 1; count <= threads; ++count) shares_.push_back({this, count});
    PoolRegistry& registry = PoolRegistry::instance();
    std::lock_guard lock(registry.mutex);
    registry.pools.push_back(this);
}

Pool::~Pool() {
    PoolRegistry& registry = PoolRegistry::instance();
    {
        std::lock_guard lock(registry.mutex);
        std::erase(registry.pools, this);
    }
    delete crew_.load(std::memory_order_acquire);
}

Workers Pool::workers(int count) {
    return {count, &shares_[static_cast<std::size_t>(count - 1)],
            [](void* given, std::int64_t tiles, void (*body)(void*, std::int64_t, int), void* context) {
                const Share& share = *static_cast<Share*>(given);
                share.pool->run(tiles, body, context, share.count);
            }};
}

Pool::Crew* Pool::start() {
    std::lock_guard lock(PoolRegistry::instance().mutex);
    Crew* crew = crew_.load(std::memory_order_relaxed);
    if (crew == nullptr) {
        crew = new Crew(threads_, cpus_);
        crew_.store(crew, std::memory_order_release);
    }
    return crew;
}

void Pool::run(std::int64_t tiles, void (*body)(void*, std::int64_t, int), void* context, int count) {
    if (tiles > 1 && count > 1) {
        Crew* crew = crew_.load(std::memory_order_acquire);
        if (crew == nullptr) crew = start();
        if (crew->enter()) {
            struct Leave {
                Crew* crew;
                ~Leave() { crew->leave(); }
            } leave{crew};
            crew->run(tiles, body, context, count);
            return;
        }
    }
    for (std::int64_t tile = 0; tile < tiles; ++tile) body(context, tile, 0);
}

Pool& shared_pool(int threads, const std::vector<int>& cpus) {
    PoolRegistry& registry = PoolRegistry::instance();
    {
        std::lock_guard lock(registry.mutex);
        auto found = registry.shared.find({threads, cpus});
        if (found != registry.shared.end()) return *found->second;
    }
    auto fresh = std::make_unique<Pool>(threads, cpus);  // takes the lock itself
    std::lock_guard lock(registry.mutex);
    return *registry.shared.try_emplace({threads, cpus}, std::move(fresh)).first->second;
}

}  // namespace thew
