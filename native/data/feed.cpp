#include "data/feed.hpp"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <system_error>

#include "base/error.hpp"
#include "base/thread.hpp"

namespace thew {
namespace {

constexpr std::int64_t kShareBytes = 1 << 16;  // written at a time: tens of microseconds, far above a lock's cost

}  // namespace

Feed::Feed(const Pictures& pictures, Preparation preparation, int threads)
    : pictures_(pictures), preparation_(std::move(preparation)), process_(getpid()), crew_(std::make_unique<Crew>()) {
    require(0 <= threads && threads <= kMostThreads,
            "data: threads must be 0 to " + std::to_string(kMostThreads) + ", got " + std::to_string(threads));
    check_preparation(pictures_, preparation_);
    try {
        for (int i = 0; i < threads; ++i) crew_->threads.emplace_back([this] { serve(); });
    } catch (const std::system_error&) {
        // The system allows no more threads: those there are, and who waits, do the work.
    }
}

Feed::~Feed() {
    if (getpid() != process_) {
        (void)crew_.release();
        return;
    }
    {
        std::lock_guard lock(crew_->mutex);
        crew_->stops = true;
    }
    crew_->wanted.notify_all();
    for (std::thread& thread : crew_->threads) thread.join();
}

void Feed::submit(Batch& batch) {
    check_process();
    for (std::int64_t number : batch.numbers) {
        require(
            0 <= number && number < pictures_.count,
            "data: numbers must be 0 to " + std::to_string(pictures_.count - 1) + ", got " + std::to_string(number));
    }
    if (batch.numbers.empty()) return;
    {
        std::lock_guard lock(crew_->mutex);
        batch.next = 0;
        batch.unfinished = static_cast<std::int64_t>(batch.numbers.size());
        crew_->queue.push_back(&batch);
    }
    crew_->wanted.notify_all();
}

void Feed::wait(Batch& batch) {
    check_process();
    std::unique_lock lock(crew_->mutex);
    while (batch.next < static_cast<std::int64_t>(batch.numbers.size())) work_on(batch, lock);
    crew_->finished.wait(lock, [&] { return batch.unfinished == 0; });
}

void Feed::drop(Batch& batch) {
    if (getpid() != process_) return;
    std::unique_lock lock(crew_->mutex);
    std::erase(crew_->queue, &batch);
    batch.unfinished -= static_cast<std::int64_t>(batch.numbers.size()) - batch.next;
    batch.next = static_cast<std::int64_t>(batch.numbers.size());
    crew_->finished.wait(lock, [&] { return batch.unfinished <= 0; });
}

void Feed::check_process() const {
    if (getpid() != process_) throw Error("data: a feed works in the process that made it only; make another one");
}

void Feed::serve() {
    settle_thread("thew-data");
    std::unique_lock lock(crew_->mutex);
    for (;;) {
        crew_->wanted.wait(lock, [this] { return crew_->stops || !crew_->queue.empty(); });
        if (crew_->stops) return;
        work_on(*crew_->queue.front(), lock);
    }
}

void Feed::work_on(Batch& batch, std::unique_lock<std::mutex>& lock) {
    const std::int64_t size = pictures_.picture_size(), count = static_cast<std::int64_t>(batch.numbers.size());
    const std::int64_t share = std::max<std::int64_t>(
        1, kShareBytes / std::max<std::int64_t>(1, size * static_cast<std::int64_t>(sizeof(float))));
    const std::int64_t first = batch.next, last = std::min(count, first + share);
    batch.next = last;
    if (last == count) std::erase(crew_->queue, &batch);
    lock.unlock();
    for (std::int64_t i = first; i < last; ++i) {
        prepare_picture(pictures_, preparation_, batch.numbers[static_cast<std::size_t>(i)], batch.epoch,
                        batch.out + i * size);
    }
    lock.lock();
    batch.unfinished -= last - first;
    if (batch.unfinished == 0) crew_->finished.notify_all();
}

}  // namespace thew
