// Batch normalisation of one ISA.
#include "kernels/batch_norm/rows.hpp"

namespace thew {
namespace {

// Joins the mean and squared deviations of `more` elements to those of `so_far`.
inline void join(double& mean, double& deviations, double so_far, double of_mean, double of_deviations, double more) {
    const double apart = of_mean - mean, all = so_far + more;
    mean += apart * (more / all);
    deviations += of_deviations + apart * apart * (so_far * more / all);
}

template <class T>
void statistics(const BatchNormArgs& args, const void* from, double* mean, double* variance, double* parts,
                const Workers& workers) {
    const T* x = static_cast<const T*>(from);
    const std::int64_t blocks = block_count(args), channels = args.channels;
    each_part(args, workers, [&](std::int64_t part, std::int64_t first, std::int64_t last) {
        double *means = parts + 2 * part * channels, *deviations = means + channels;
        for (std::int64_t c = 0; c < 2 * channels; ++c) means[c] = 0;
        double seen = 0;
        for (std::int64_t block = first; block < last; ++block) {
            const Rows<1> rows(args.positions, block);
            const double count = rows.count;
            each_channel<T>(args, 1, [&](auto lanes, std::int64_t c) THEW_FLAT {
                using Value = typename decltype(lanes)::Value;
                const T* base = x + c * args.step[0];
                Value sum{}, squares{};
                for (int row = 0; row < rows.count; ++row) sum = sum + lanes.get(base + rows.at[0][row]);
                const Value middle = static_cast<Value>(sum / static_cast<T>(rows.count));
                for (int row = 0; row < rows.count; ++row) {
                    const Value apart = static_cast<Value>(lanes.get(base + rows.at[0][row]) - middle);
                    squares = static_cast<Value>(apart * apart + squares);
                }
                for (int i = 0; i < lanes.count; ++i) {
                    join(means[c + i], deviations[c + i], seen, static_cast<double>(lanes.lane(middle, i)),
                         static_cast<double>(lanes.lane(squares, i)), count);
                }
            });
            seen += count;
        }
    });
    for (std::int64_t c = 0; c < channels; ++c) {
        double middle = 0, deviations = 0, seen = 0;
        for (std::int64_t part = 0; part < part_count(args); ++part) {
            const std::int64_t begin = part * blocks / part_count(args), end = (part + 1) * blocks / part_count(args);
            const std::int64_t stop =
                end * kStatisticsRows < args.positions.count ? end * kStatisticsRows : args.positions.count;
            const double count = static_cast<double>(stop - begin * kStatisticsRows);
            const double* of = parts + 2 * part * channels + c;
            join(middle, deviations, seen, of[0], of[channels], count);
            seen += count;
        }
        mean[c] = middle;
        variance[c] = deviations / static_cast<double>(args.positions.count);
    }
}

template <class T>
void normalise(const BatchNormArgs& args, const void* from, void* to, const void* vectors, const Workers& workers) {
    const T *x = static_cast<const T*>(from), *scale = static_cast<const T*>(vectors), *bias = scale + args.channels;
    const T *mean = bias + args.channels, *inverse = mean + args.channels;
    T* y = static_cast<T*>(to);
    each_block<2>(args, workers, [&](const Rows<2>& rows) {
        each_channel<T>(args, 2, [&](auto lanes, std::int64_t c) THEW_FLAT {
            const auto middle = lanes.get(mean + c), factor = lanes.get(inverse + c) * lanes.get(scale + c);
            const auto shift = lanes.get(bias + c);
            for (int row = 0; row < rows.count; ++row) {
                const auto value = lanes.get(x + c * args.step[0] + rows.at[0][row]);
                lanes.put(y + c * args.step[1] + rows.at[1][row], (value - middle) * factor + shift);
            }
        });
    });
}

template <class T>
void sums(const BatchNormArgs& args, const void* gradient, const void* from, const void* vectors, double* of_dy,
          double* of_product, double* parts, const Workers& workers) {
    const T *dy = static_cast<const T*>(gradient), *x = static_cast<const T*>(from);
    const T *mean = static_cast<const T*>(vectors), *inverse = mean + args.channels;
    const std::int64_t channels = args.channels;
    each_part(args, workers, [&](std::int64_t part, std::int64_t first, std::int64_t last) {
        double *plain = parts + 2 * part * channels, *products = plain + channels;
        for (std::int64_t c = 0; c < 2 * channels; ++c) plain[c] = 0;
        for (std::int64_t block = first; block < last; ++block) {
            const Rows<2> rows(args.positions, block);
            each_channel<T>(args, 2, [&](auto lanes, std::int64_t c) THEW_FLAT {
                using Value = typename decltype(lanes)::Value;
                const Value middle = lanes.get(mean + c), factor = lanes.get(inverse + c);
                Value sum{}, product{};
                for (int row = 0; row < rows.count; ++row) {
                    const Value given = lanes.get(dy + c * args.step[0] + rows.at[0][row]);
                    const Value value = lanes.get(x + c * args.step[1] + rows.at[1][row]);
                    sum = static_cast<Value>(sum + given);
                    product = static_cast<Value>(given * ((value - middle) * factor) + product);
                }
                for (int i = 0; i < lanes.count; ++i) {
                    plain[c + i] += static_cast<double>(lanes.lane(sum, i));
                    products[c + i] += static_cast<double>(lanes.lane(product, i));
                }
            });
        }
    });
    for (std::int64_t c = 0; c < channels; ++c) {
        of_dy[c] = of_product[c] = 0;
        for (std::int64_t part = 0; part < part_count(args); ++part) {
            of_dy[c] += parts[2 * part * channels + c];
            of_product[c] += parts[(2 * part + 1) * channels + c];
        }
    }
}

template <class T>
void gradient(const BatchNormArgs& args, const void* given, const void* from, void* to, const void* vectors,
              const Workers& workers) {
    const T *dy = static_cast<const T*>(given), *x = static_cast<const T*>(from);
    const T *factor = static_cast<const T*>(vectors), *shift = factor + args.channels;
    const T *mean = shift + args.channels, *slope = mean + args.channels;
    T* dx = static_cast<T*>(to);
    each_block<3>(args, workers, [&](const Rows<3>& rows) {
        each_channel<T>(args, 3, [&](auto lanes, std::int64_t c) THEW_FLAT {
            const auto times = lanes.get(factor + c), less = lanes.get(shift + c), middle = lanes.get(mean + c);
            const auto rise = lanes.get(slope + c);
            for (int row = 0; row < rows.count; ++row) {
                const auto rising = (lanes.get(x + c * args.step[1] + rows.at[1][row]) - middle) * rise;
                const auto value = lanes.get(dy + c * args.step[0] + rows.at[0][row]) - less - rising;
                lanes.put(dx + c * args.step[2] + rows.at[2][row], times * value);
            }
        });
    });
}

template <class T>
constexpr BatchNormEntry entry(DType type) {
    return {
        {"batch_norm", "strided", type, type, type, 0, 0, 0, kIsa}, statistics<T>, normalise<T>, sums<T>, gradient<T>};
}

constexpr BatchNormEntry kEntries[] = {entry<float>(DType::fp32), entry<double>(DType::fp64)};

}  // namespace

namespace THEW_ISA {
extern const Table<BatchNormEntry> batch_norm_table;
const Table<BatchNormEntry> batch_norm_table{kEntries, 2};
}  // namespace THEW_ISA

}  // namespace thew
