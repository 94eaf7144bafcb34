// Checks an update, and makes its coefficients from the numbers at hand.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "kernels/dispatch.hpp"
#include "kernels/strided.hpp"
#include "kernels/update/contract.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<UpdateEntry>*> kTables THEW_TABLES(base, update_table);
constexpr std::initializer_list<const Table<GemvEntry>*> kProducts THEW_TABLES(base, gemv_table);
constexpr std::size_t kHyper = 2, kFactor = 3, kFirstState = 4;

struct Facts {
    UpdateMethod method;
    std::size_t states, needed;  // at most; those that may not be absent come first
    std::size_t hyper;           // numbers in that vector
    std::size_t numbers;         // fp64 numbers after the states

    std::size_t right() const { return kFirstState + states + numbers; }  // of the gradient as a product
};
const std::map<std::string, Facts> kMethods{
    {"update_sgd", {UpdateMethod::sgd, 1, 0, 4, 0}},         {"update_adam", {UpdateMethod::adam, 2, 2, 6, 1}},
    {"update_rmsprop", {UpdateMethod::rmsprop, 3, 1, 6, 0}}, {"update_adagrad", {UpdateMethod::adagrad, 1, 1, 5, 1}},
    {"update_nadam", {UpdateMethod::nadam, 2, 2, 7, 2}},
};

// As far as every method begins alike: hyper is lr, weight_decay, clip, ….
UpdateCoefficients begin(const double* hyper, double factor, bool decoupled) {
    UpdateCoefficients c{};
    c.factor = factor;
    c.rate = hyper[0];
    c.keep = decoupled ? 1 - hyper[0] * hyper[1] : 1;
    c.weight_decay = decoupled ? 0 : hyper[1];
    c.clip = hyper[2];
    return c;
}

void set_moments(UpdateCoefficients& c, const double* hyper, double step) {
    c.beta1 = hyper[3];
    c.beta2 = hyper[4];
    c.epsilon = hyper[5];
    c.square_factor = 1 / (1 - std::pow(c.beta2, step));
}

// `numbers`: what follows the states; nadam's product becomes its next value.
UpdateCoefficients coefficients(UpdateMethod method, const double* hyper, double factor, double (&numbers)[2],
                                bool decoupled, bool nesterov) {
    UpdateCoefficients c = begin(hyper, factor, decoupled);
    switch (method) {
        case UpdateMethod::sgd:
            c.momentum = hyper[3];
            c.nesterov = nesterov;
            break;
        case UpdateMethod::adam:
            set_moments(c, hyper, numbers[0]);
            c.rate /= 1 - std::pow(c.beta1, numbers[0]);
            break;
        case UpdateMethod::rmsprop:
            c.beta2 = hyper[3];
            c.epsilon = hyper[4];
            c.momentum = hyper[5];
            break;
        case UpdateMethod::adagrad:
            c.epsilon = hyper[3];
            c.rate /= 1 + (numbers[0] - 1) * hyper[4];
            break;
        case UpdateMethod::nadam: {
            const double step = numbers[1];
            auto warm = [&](double t) { return hyper[3] * (1 - 0.5 * std::pow(0.96, t * hyper[6])); };
            set_moments(c, hyper, step);
            numbers[0] *= warm(step);
            c.of_gradient = (1 - warm(step)) / (1 - numbers[0]);
            c.of_mean = warm(step + 1) / (1 - numbers[0] * warm(step + 1));
            break;
        }
    }
    return c;
}

void require_one_layout(const StepDesc& desc, const Tensor& first, const Tensor& other) {
    bool alike = same_shape(first, other);
    std::int64_t reach = 1;
    for (int axis = 0; alike && axis < first.rank; ++axis) {
        alike = first.shape[axis] <= 1 || first.stride[axis] == other.stride[axis];
        reach += (first.shape[axis] - 1) * first.stride[axis];
    }
    require(alike && (element_count(first) == 0 || reach == element_count(first)),
            where(desc) + "parameter, gradient and states must have one shape and one dense layout, got " +
                shape_text(first) + " and " + shape_text(other) + "; copy what differs");
}

// What multiplies matrices of few rows in the row's type on its instruction set.
decltype(GemvEntry::run) product_of(const Row& row) {
    for (const Table<GemvEntry>* table : kProducts) {
        for (int i = 0; i < table->count; ++i) {
            const GemvEntry& entry = table->entries[i];
            if (entry.row.a == row.a && entry.row.isa == row.isa) return entry.run;
        }
    }
    throw PlanError(row_name(row) + ": products need a row of gemv");
}

class UpdateStep final : public Step {
public:
    UpdateStep(const StepDesc& desc, const UpdateEntry& entry, const Facts& facts)
        : entry_(entry),
          facts_(facts),
          bytes_(static_cast<std::size_t>(element_count(desc.inputs[0])) * dtype_bytes(entry.row.a)),
          right_(facts.right()),
          has_factor_(present(desc, kFactor)),
          decoupled_(desc.attributes.integer("decoupled", 0) != 0),
          nesterov_(desc.attributes.integer("nesterov", 0) != 0) {
        for (std::size_t s = 0; s < facts.states; ++s) has_state_[s] = present(desc, kFirstState + s);
        if (!present(desc, right_)) return;
        const Tensor &a = desc.inputs[1], &b = desc.inputs[right_];
        product_ = {a.shape[0],  b.shape[1], a.shape[1], a.stride[0],          a.stride[1],
                    b.stride[0], nullptr,    nullptr,    product_of(entry.row)};
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte*) const override {
        UpdateData data{outputs[0].data, inputs[1].data, {}, element_count(outputs[0]), inputs[1].dtype};
        carry(inputs[0], outputs[0]);
        std::size_t output = 1;
        for (std::size_t s = 0; s < facts_.states; ++s) {
            if (!has_state_[s]) continue;
            carry(inputs[kFirstState + s], outputs[output]);
            data.state[s] = outputs[output++].data;
        }
        double numbers[2] = {};
        for (std::size_t n = 0; n < facts_.numbers; ++n) {
            numbers[n] = *static_cast<const double*>(inputs[kFirstState + facts_.states + n].data);
        }
        const double factor = has_factor_ ? *static_cast<const double*>(inputs[kFactor].data) : 1.0;
        if (factor != 0) {
            const auto* hyper = static_cast<const double*>(inputs[kHyper].data);
            const UpdateCoefficients found = coefficients(facts_.method, hyper, factor, numbers, decoupled_, nesterov_);
            if (product_.k == 0) {
                entry_.run(facts_.method, found, data, workers);
            } else {
                UpdateProduct product = product_;
                product.a = inputs[1].data, product.b = inputs[right_].data;
                entry_.run_product(facts_.method, found, data, product, workers);
            }
        }
        if (facts_.method == UpdateMethod::nadam) *static_cast<double*>(outputs[output].data) = numbers[0];
    }

private:
    // The next value starts as the present one, where they do not share their memory.
    void carry(const Tensor& from, const Tensor& to) const {
        if (from.data != to.data) std::memcpy(to.data, from.data, bytes_);
    }

    const UpdateEntry& entry_;
    const Facts& facts_;
    std::size_t bytes_, right_;
    UpdateProduct product_{};
    bool has_factor_, has_state_[kMostStates] = {}, decoupled_, nesterov_;
};

void require_numbers(const StepDesc& desc, std::size_t input, std::size_t count) {
    require(present(desc, input), where(desc) + "input " + std::to_string(input) + " is absent");
    const Tensor& vector = desc.inputs[input];
    require_dtype(desc, vector, DType::fp64, "a vector of numbers");
    require(vector.rank == 1 && vector.shape[0] == static_cast<std::int64_t>(count) &&
                (count == 1 || vector.stride[0] == 1),
            where(desc) + "input " + std::to_string(input) + " must be " + std::to_string(count) +
                " consecutive numbers, got " + shape_text(vector));
}

void require_gradient(const StepDesc& desc, const Row& row) {
    const DType dtype = desc.inputs[1].dtype;
    const bool is_half = dtype == DType::fp16 || dtype == DType::bf16;
    require(dtype == row.a || is_half || (dtype == DType::fp32 && row.a == DType::fp64),
            where(desc) + "the gradient must be of the parameter's type or a narrower float, got " + dtype_name(dtype));
}

void require_product(const StepDesc& desc, const Tensor& b, const Row& row) {
    const Tensor &w = desc.inputs[0], &a = desc.inputs[1];
    require_dtype(desc, b, row.a, "the gradient's right factor");
    require(w.rank == 2 && a.rank == 2 && b.rank == 2 && a.shape[0] == w.shape[0] && b.shape[1] == w.shape[1] &&
                a.shape[1] == b.shape[0] && a.shape[1] > 0,
            where(desc) +
                "a gradient given as a product must be (m, k) by (k, n), k above 0, for a parameter (m, n), got " +
                shape_text(a) + " and " + shape_text(b) + " for " + shape_text(w));
    require((b.shape[1] <= 1 || b.stride[1] == 1) && (w.shape[1] <= 1 || w.stride[1] == 1) &&
                (w.shape[0] <= 1 || w.stride[0] == w.shape[1]),
            where(desc) + "the parameter must be in C order, and columns of the right factor side by side");
}

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool) {
    const auto found = kMethods.find(desc.op);
    require(found != kMethods.end(), where(desc) + "op must be an update of this family");
    const Facts& facts = found->second;
    const std::size_t most = facts.right() + 1;
    const bool is_product = present(desc, facts.right());
    std::size_t changing = 1 + (facts.method == UpdateMethod::nadam ? 1 : 0);
    for (std::size_t s = 0; s < facts.states; ++s) {
        const bool given = present(desc, kFirstState + s);
        require(given || s >= facts.needed, where(desc) + "state " + std::to_string(s) + " is absent");
        changing += given ? 1 : 0;
    }
    require_counts(desc, 3, most, changing);
    require_numbers(desc, kHyper, facts.hyper);
    if (present(desc, kFactor)) require_numbers(desc, kFactor, 1);
    for (std::size_t n = 0; n < facts.numbers; ++n) require_numbers(desc, kFirstState + facts.states + n, 1);
    std::size_t output = 0;
    for (std::size_t input = 0; input < kFirstState + facts.states; ++input) {
        const bool array = input < kHyper || input >= kFirstState;
        if (!array || !present(desc, input)) continue;
        if (input == 1 && !is_product) {
            require_gradient(desc, row);
        } else {
            require_dtype(desc, desc.inputs[input], row.a, "parameter, states and factors of a gradient");
        }
        if (input == 1 && is_product) continue;
        require_one_layout(desc, desc.inputs[0], desc.inputs[input]);
        if (input == 1) continue;
        require_dtype(desc, desc.outputs[output], row.a, "every output");
        require_one_layout(desc, desc.inputs[0], desc.outputs[output++]);
    }
    if (is_product) require_product(desc, desc.inputs[facts.right()], row);
    return std::make_unique<UpdateStep>(desc, entry_of(kTables, row), facts);
}

}  // namespace

extern const Family update_family;
const Family update_family{"update", [] { return rows_of(kTables); }, make};

}  // namespace thew
