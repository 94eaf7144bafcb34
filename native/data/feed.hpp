// Batches of pictures made ready by threads of their own while something else computes.
//
// A batch's numbers depend on what was asked for alone, not on the threads. Whoever waits for a batch works on it too,
// so that no thread at all is enough, and a feed without threads works when it is waited for. Threads sleep when there
// is nothing to do. They are those of the process that made the feed: in the child of a fork its methods throw.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data/pictures.hpp"

namespace thew {

// What is asked for, and how far it has come. It stays where it is, with `out`, until `Feed::wait` or `Feed::drop` has
// returned.
struct Batch {
    std::vector<std::int64_t> numbers;  // of the pictures, in order
    std::uint32_t epoch;
    float* out;                   // (numbers, c, h, w)
    std::int64_t next = 0;        // the first picture that nobody has taken
    std::int64_t unfinished = 0;  // pictures that are not written yet
};

class Feed {
public:
    // `pictures` must stay where they are. Throws Error for a preparation that does not fit them, or too many threads.
    Feed(const Pictures& pictures, Preparation preparation, int threads);
    ~Feed();
    Feed(const Feed&) = delete;
    Feed& operator=(const Feed&) = delete;

    static constexpr int kMostThreads = 64;

    const Pictures& pictures() const { return pictures_; }
    void submit(Batch& batch);  // throws Error for a number that no picture has
    void wait(Batch& batch);    // returns when all of it is written
    void drop(Batch& batch);    // returns when nobody writes to it any more

private:
    void check_process() const;
    void serve();
    // Takes some pictures of a batch and writes them; the lock is given back meanwhile.
    void work_on(Batch& batch, std::unique_lock<std::mutex>& lock);

    struct Crew {
        std::mutex mutex;  // guards the queue and the progress of batches
        std::condition_variable wanted, finished;
        std::deque<Batch*> queue;  // batches of which something is left to take
        bool stops = false;
        std::vector<std::thread> threads;
    };

    const Pictures pictures_;
    const Preparation preparation_;
    const int process_;
    std::unique_ptr<Crew> crew_;  // left alone in the child of a fork, where it is as the parent's threads had it
};

}  // namespace thew
