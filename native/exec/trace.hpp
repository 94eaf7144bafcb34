// Who did what when: a trace of one run, a row a worker. Tracing wraps the pool's Workers, so that a run without a
// trace takes the same path as if there were none.
//
// Each worker writes only its own row. A span is a stretch of one phase of one tile; what the caller does of a step
// outside parallel loops has tile -1.
#pragma once

#include <cstdint>
#include <vector>

#include "base/phase.hpp"
#include "base/workers.hpp"

namespace thew {

struct Span {
    std::int64_t begin_ns, end_ns;  // of the steady clock
    std::int64_t tile;
    std::int32_t step, worker;
    Phase phase;
};

class Trace {
public:
    explicit Trace(int workers);  // at most
    Trace(const Trace&) = delete;
    Trace& operator=(const Trace&) = delete;

    Workers workers(const Workers& inner);  // the same, traced; valid until the next call

    // The calling thread is worker 0 and in this step until the scope ends.
    class Step {
    public:
        Step(Trace& trace, std::int32_t step);
        ~Step();
        Step(const Step&) = delete;
        Step& operator=(const Step&) = delete;

    private:
        Trace& trace_;
        PhaseSink* before_;
    };

    std::vector<Span> spans() const;  // of all rows, by their begin

private:
    static constexpr std::size_t kLine = 128;  // as in base/pool.cpp

    struct alignas(kLine) Row : PhaseSink {
        std::vector<Span> spans;
        Span open{};

        void begin(std::int64_t tile, std::int32_t step);
        void end();
    };

    void run(std::int64_t tiles, void (*body)(void*, std::int64_t, int), void* context);
    void run_tile(void (*body)(void*, std::int64_t, int), void* context, std::int64_t tile, int worker);

    Workers inner_{};
    std::vector<Row> rows_;
    std::int32_t step_ = -1;
};

}  // namespace thew
