// The fused loss of one ISA: a sample's logits are copied to a line padded with -infinity to whole vectors, and worked
// on there.
#include "kernels/cross_entropy/contract.hpp"
#include "simd/math.hpp"

namespace thew {
namespace {

template <class T>
std::int64_t padded(std::int64_t classes) {
    return (classes + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

template <class T>
std::int64_t line_bytes(std::int64_t classes) {
    return (padded<T>(classes) * static_cast<std::int64_t>(sizeof(T)) + 63) / 64 * 64;
}

template <class T>
struct Sample {
    const CrossEntropyArgs& args;
    const T* logits;
    const T* weights;
    T* line;
    std::int64_t label;

    T weight(std::int64_t j) const { return weights ? weights[j * args.weights_stride] : T{1}; }
    T logit(std::int64_t j) const { return logits[j * args.logits_stride]; }

    // The largest logit; a NaN is larger than all.
    T gather() const {
        T largest = -static_cast<T>(__builtin_inf());
        for (std::int64_t j = 0; j < args.classes; ++j) {
            const T x = line[j] = logit(j);
            largest = x > largest || x != x ? x : largest;
        }
        for (std::int64_t j = args.classes; j < padded<T>(args.classes); ++j) {
            line[j] = -static_cast<T>(__builtin_inf());
        }
        return largest;
    }

    // line = exp(x - largest); returns its sum.
    T exponentials(T largest) const {
        Vec<T> sums{};
        for (std::int64_t j = 0; j < args.classes; j += kLanes<T>) {
            const Vec<T> power = exp<T>(load(line + j) - largest);
            store(line + j, power);
            sums += power;
        }
        T sum = sums[0];
        for (int lane = 1; lane < kLanes<T>; ++lane) sum += sums[lane];
        return sum;
    }

    // -Σ w_j t_j log p_j, where log p_j = x_j - shift.
    double loss(double shift) const {
        const double share = args.smoothing / static_cast<double>(args.classes);
        double sum =
            (1 - args.smoothing) * static_cast<double>(weight(label)) * (static_cast<double>(logit(label)) - shift);
        for (std::int64_t j = 0; share != 0 && j < args.classes; ++j) {
            const double w = static_cast<double>(weight(j));
            if (w != 0) sum += share * w * (static_cast<double>(logit(j)) - shift);
        }
        return -sum;
    }

    // Also the loss; the logits are read before the gradient is stored, which may lie on them.
    double run(T* gradient) const {
        const T largest = gather();
        const T sum = exponentials(largest);
        const double result = loss(static_cast<double>(largest) + static_cast<double>(log<T>(splat(sum))[0]));
        const T share = static_cast<T>(args.smoothing / static_cast<double>(args.classes));
        const T of_label = static_cast<T>(1 - args.smoothing) * weight(label);
        const T total = of_label + static_cast<T>(args.weights_sum) * share;
        const T factor = static_cast<T>(args.factor), scale = total / sum;
        for (std::int64_t j = 0; j < args.classes; ++j) {
            const T target = (j == label ? of_label : T{}) + (share != T{} ? share * weight(j) : T{});
            gradient[j * args.gradient_stride] = (line[j] * scale - target) * factor;
        }
        return result;
    }
};

template <class T>
void run(const CrossEntropyArgs& args, const void* logits, const std::int64_t* labels, const void* weights,
         void* gradient, double* losses, std::byte* lines, const Workers& workers) {
    const std::int64_t group = args.classes >= 4096 ? 1 : 4096 / (args.classes + 1) + 1;
    auto body = [&](std::int64_t task, int worker) {
        T* line = reinterpret_cast<T*>(lines + worker * line_bytes<T>(args.classes));
        const std::int64_t end = (task + 1) * group < args.samples.count ? (task + 1) * group : args.samples.count;
        for (std::int64_t i = task * group; i < end; ++i) {
            const Offsets at = offsets_at(args.samples, i);
            T* to = static_cast<T*>(gradient) + at.of[1];
            losses[i] = 0;
            if (labels[i] < 0) {
                for (std::int64_t j = 0; j < args.classes; ++j) to[j * args.gradient_stride] = T{};
                continue;
            }
            const Sample<T> sample{args, static_cast<const T*>(logits) + at.of[0], static_cast<const T*>(weights), line,
                                   labels[i]};
            losses[i] = sample.run(to);
        }
    };
    parallel_for(workers, (args.samples.count + group - 1) / group, body);
}

template <class T>
constexpr CrossEntropyEntry entry(DType type) {
    return {{"cross_entropy", "strided", type, type, type, 0, 0, 0, kIsa}, run<T>, line_bytes<T>};
}

const CrossEntropyEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<CrossEntropyEntry> cross_entropy_table;
const Table<CrossEntropyEntry> cross_entropy_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
