#include "exec/trace.hpp"

#include <algorithm>
#include <chrono>

namespace thew {
namespace {

std::int64_t now_ns() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

}  // namespace

Trace::Trace(int workers) : rows_(static_cast<std::size_t>(workers)) {
    for (std::size_t worker = 0; worker < rows_.size(); ++worker) {
        Row& row = rows_[worker];
        row.open.worker = static_cast<std::int32_t>(worker);
        row.enter = [](PhaseSink* self, Phase phase) {
            Row& own = *static_cast<Row*>(self);
            own.end();
            own.open.phase = phase;
        };
    }
}

void Trace::Row::begin(std::int64_t tile, std::int32_t step) {
    open.tile = tile;
    open.step = step;
    open.phase = Phase::compute;
    open.begin_ns = now_ns();
}

void Trace::Row::end() {
    open.end_ns = now_ns();
    if (open.end_ns > open.begin_ns) spans.push_back(open);
    open.begin_ns = open.end_ns;
}

Workers Trace::workers(const Workers& inner) {
    inner_ = inner;
    return {inner_.count, this,
            [](void* trace, std::int64_t tiles, void (*body)(void*, std::int64_t, int), void* context) {
                static_cast<Trace*>(trace)->run(tiles, body, context);
            }};
}

void Trace::run(std::int64_t tiles, void (*body)(void*, std::int64_t, int), void* context) {
    struct Traced {
        Trace& trace;
        void (*body)(void*, std::int64_t, int);
        void* context;
    } traced{*this, body, context};
    rows_[0].end();
    inner_.run(
        inner_.pool, tiles,
        [](void* given, std::int64_t tile, int worker) {
            Traced& all = *static_cast<Traced*>(given);
            all.trace.run_tile(all.body, all.context, tile, worker);
        },
        &traced);
    rows_[0].begin(-1, step_);
}

void Trace::run_tile(void (*body)(void*, std::int64_t, int), void* context, std::int64_t tile, int worker) {
    struct Scope {  // also where the body throws
        Row& row;
        PhaseSink* before;
        ~Scope() {
            row.end();
            exchange_phase_sink(before);
        }
    };
    Row& row = rows_[static_cast<std::size_t>(worker)];
    Scope scope{row, exchange_phase_sink(&row)};
    row.begin(tile, step_);
    body(context, tile, worker);
}

Trace::Step::Step(Trace& trace, std::int32_t step) : trace_(trace), before_(exchange_phase_sink(&trace.rows_[0])) {
    trace_.step_ = step;
    trace_.rows_[0].begin(-1, step);
}

Trace::Step::~Step() {
    trace_.rows_[0].end();
    exchange_phase_sink(before_);
}

std::vector<Span> Trace::spans() const {
    std::vector<Span> all;
    for (const Row& row : rows_) all.insert(all.end(), row.spans.begin(), row.spans.end());
    std::stable_sort(all.begin(), all.end(), [](const Span& a, const Span& b) { return a.begin_ns < b.begin_ns; });
    return all;
}

}  // namespace thew
