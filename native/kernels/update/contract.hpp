// One pass over a parameter does all that an optimiser does with it:
//
//   update_<method>(param, grad, hyper, factor?, states…, numbers…) -> next param, next states…, next numbers…
//
// Every method starts with g = clamp(grad · factor, ±clip), an absent factor being 1; a factor of 0 leaves everything
// as it is. The methods are those of PyTorch's optimisers; their numbers come as fp64 vectors at every run, so that a
// schedule changes no plan, and are combined in fp64 into the coefficients below. Elements are computed in the
// parameter's type.
//
// In place of grad a product may be given, a[m, k]·b[k, n] with a short sum, of which some rows are made as they are
// used: the gradient of a dense layer on few samples is never written out. Then param and states are in C order and b's
// columns lie side by side.
//
// param, grad and states have one shape and one dense layout (any order of axes). A gradient that is no product may be
// of a narrower float type, and is widened as it is read. An output may be exactly the input whose next value it is,
// and overlaps nothing else.
#pragma once

#include "base/workers.hpp"
#include "kernels/gemv/contract.hpp"
#include "kernels/table.hpp"

namespace thew {

enum class UpdateMethod : std::uint8_t { sgd, adam, rmsprop, adagrad, nadam };

// What a method reads, as far as it has them.
struct UpdateCoefficients {
    double factor, clip;
    double rate;           // what the change is multiplied by
    double keep;           // what the parameter is multiplied by first: 1, or less by a decoupled weight decay
    double weight_decay;   // of the parameter, added to the gradient
    double momentum;       // sgd, rmsprop
    double beta1, beta2;   // adam, nadam; rmsprop's alpha is beta2
    double square_factor;  // adam, nadam: 1 / (1 - beta2^step)
    double epsilon;
    double of_gradient, of_mean;  // nadam
    bool nesterov;
};

inline constexpr int kMostStates = 3;

// `state`: sgd velocity; adam, nadam mean and square; rmsprop square, velocity, middle; adagrad square. Null where
// absent.
struct UpdateData {
    void* param;
    const void* grad;
    void* state[kMostStates];
    std::int64_t count;
    DType grad_type;
};

// The factors of the gradient, and what multiplies them; grad of UpdateData is unused.
struct UpdateProduct {
    std::int64_t m, n, k, a_m, a_k, b_k;
    const void *a, *b;
    decltype(GemvEntry::run) multiply;
};

struct UpdateEntry {
    Row row;
    void (*run)(UpdateMethod method, const UpdateCoefficients& coefficients, const UpdateData& data,
                const Workers& workers);
    void (*run_product)(UpdateMethod method, const UpdateCoefficients& coefficients, const UpdateData& data,
                        const UpdateProduct& product, const Workers& workers);
};

THEW_DECLARE_TABLES(UpdateEntry, update_table)

}  // namespace thew
