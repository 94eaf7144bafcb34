// qlinear_conv, conv_integer, qlinear_matmul, matmul_integer. What depends on weights, scales and zero points is made
// once where they are constant, else at each run, in scratch.
#include <vector>

#include "base/aligned.hpp"
#include "kernels/conv/layout.hpp"
#include "kernels/integer/operands.hpp"
#include "kernels/integer/pack_b.hpp"
#include "kernels/matmul/layout.hpp"

namespace thew {
namespace {

constexpr std::initializer_list<const Table<IntegerEntry>*> kTables THEW_TABLES(int8, integer_int8);
constexpr std::int64_t kAround = 256;  // bytes; see kMostPiece

class IntegerStep final : public Step {
public:
    IntegerStep(const StepDesc& desc, const IntegerEntry& entry, bool dry) : entry_(entry) {
        desc_ = desc;  // without data, for messages and the presence of inputs
        is_conv_ = desc.op == "qlinear_conv" || desc.op == "conv_integer";
        at_ = desc.op == "qlinear_conv" || desc.op == "qlinear_matmul" ? kQlinearPlaces : kIntegerPlaces;
        require_counts(desc, at_.y_scale >= 0 ? 8 : 2, desc.op == "qlinear_conv" ? 14 : at_.y_scale >= 0 ? 9 : 4);
        lay_out(products_of(desc));
        columns_ = is_conv_ ? product_.trunk.n * product_.trunk.items : product_.trunk.n;
        require_integer_operands(desc, at_, entry.row.a, columns_);
        product_.n_padded = round_up(product_.trunk.n, entry.row.nr);
        read_limits(desc);
        choose_cuts(desc);
        constant_ = true;
        for (std::size_t i = 1; i < desc.inputs.size(); ++i)
            constant_ = constant_ && (!present(desc, i) || desc.constant[i] || is_residual(i));
        if (!constant_ || dry) return;
        kept_ = AlignedBuffer(block_bytes());
        fill(desc.inputs.data(), kept_.data(), product_);
    }

    std::size_t scratch_bytes() const override { return (constant_ ? 0 : block_bytes()) + a_bytes_; }
    std::size_t packed_bytes() const override { return constant_ ? block_bytes() : 0; }
    bool packs(std::size_t input) const override { return constant_ && input > 0 && !is_residual(input); }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        run_product(product_, inputs, outputs, workers, scratch);
    }
    RowWindow row_window() const override { return constant_ ? rows_ : RowWindow{0, 0, 0}; }
    void run_rows(const Tensor* inputs, const Tensor* outputs, std::int64_t first, std::int64_t last,
                  std::byte* scratch) const override {
        IntegerProduct product = product_;
        product.trunk.first = first * patches_.out_w;
        product.trunk.m = last * patches_.out_w;
        run_product(product, inputs, outputs, Workers{1, nullptr, nullptr}, scratch);
    }

private:
    void run_product(IntegerProduct product, const Tensor* inputs, const Tensor* outputs, const Workers& workers,
                     std::byte* scratch) const {
        if (!constant_) {
            fill(inputs, scratch, product);
            scratch += block_bytes();
        }
        product.trunk.a = inputs[at_.x].data;
        product.trunk.c = outputs[0].data;
        product.trunk.residual = has(desc_, at_.residual) ? inputs[at_.residual].data : nullptr;
        if (entry_.run) return entry_.run(product, workers, scratch);
        Patches patches = patches_;
        patches.around = around_of(product);
        entry_.run_patches(product, patches, workers, scratch);
    }

    bool is_residual(std::size_t input) const { return static_cast<int>(input) == at_.residual; }

    // The op as a plain convolution or product, all of x's dtype: layouts are theirs.
    StepDesc products_of(const StepDesc& desc) const {
        StepDesc plain = desc;
        plain.inputs = {desc.inputs[at_.x], desc.inputs[at_.w]};
        if (has(desc, at_.residual)) {
            plain.inputs.resize(4);
            plain.inputs[2].rank = -1;
            plain.inputs[3] = desc.inputs[at_.residual];
        }
        for (Tensor& tensor : plain.inputs) tensor.dtype = desc.inputs[at_.x].dtype;
        plain.outputs[0].dtype = desc.inputs[at_.x].dtype;
        return plain;
    }

    void lay_out(const StepDesc& plain) {
        const IntegerPacking& packing = entry_.packing;
        Product& trunk = product_.trunk;
        if (is_conv_) {
            const ConvOperands operands = conv_operands(plain, plain.inputs[0].dtype);
            const Tensor& w = plain.inputs[1];
            const Window2d window = window_of(plain, w.rank, std::vector<std::int64_t>(w.shape + 2, w.shape + w.rank));
            require_window(plain, window, operands.x, operands.y, false);
            const bool pointwise = entry_.run_patches == nullptr;
            if (pointwise) require_pointwise(plain, window);
            patches_ = patches_of(operands, window);
            patches_.columns = false;
            const ConvAlgorithm algorithm = pointwise ? ConvAlgorithm::pointwise : ConvAlgorithm::implicit;
            lay_out_product(trunk, operands, patches_, algorithm);
            lay_out_weights(trunk, b_, operands, patches_, algorithm, packing.k_multiple);
            if (operands.x.shape[0] == 1) rows_ = {window.extent(0), window.stride[0], window.pad[0]};
            b_.item_elements = packed_b_elements(trunk.k, trunk.n, packing.lanes);
            trunk.item_b[0] = b_.item_elements;
        } else {
            const Tensor &a = plain.inputs[0], &b = plain.inputs[1], &c = plain.outputs[0];
            require(entry_.run && a.rank >= 2 && b.rank >= 2 && c.rank < kMaxRank - 1,
                    where(plain) + "operands must be matrices or batches of them, for a packed row");
            check_matmul_shapes(plain, a, b, c);
            lay_out_matmul(trunk, b_, a, b, c, nullptr, packing.k_multiple, packing.lanes);
        }
        for (int d = 0; d < trunk.item.rank; ++d) trunk.item_b[d] *= packing.b_bytes;
    }

    void read_limits(const StepDesc& desc) {
        const bool is_signed = is_signed_byte(desc.outputs[0]);
        const std::int64_t least = is_signed ? -128 : 0, most = least + 255;
        product_.low = static_cast<std::int32_t>(std::clamp(desc.attributes.integer("low", least), least, most));
        product_.high = static_cast<std::int32_t>(std::clamp(desc.attributes.integer("high", most), least, most));
    }

    void choose_cuts(const StepDesc& desc) {
        const IntegerPacking& packing = entry_.packing;
        Product& trunk = product_.trunk;
        product_.flip = is_signed_byte(desc.inputs[at_.x]) ? 0x80 : 0;
        const bool as_it_is = packing.a_bytes == 1 && packing.a_signed == (product_.flip != 0);
        trunk.blocking.depth = trunk.k;
        const TileShape tile{entry_.row.mr, entry_.row.nr, packing.a_bytes, packing.a_bytes, 4 * packing.lanes, false};
        cut_tiles(trunk, desc, tile, entry_.run && as_it_is && trunk.k == trunk.k_real);
        trunk.blocking.shared = false;
        trunk.blocking.a_row *= packing.a_bytes;
        a_bytes_ = static_cast<std::size_t>(
            trunk.blocking.in_place ? 0 : desc.threads * (trunk.blocking.rows * trunk.blocking.a_row + kPackedSlack));
    }

    // What depends on weights and parameters: [packed b][start][b'][multiplier][what lies around an image].
    std::int64_t column_count() const { return product_.trunk.items * product_.n_padded; }
    std::int64_t b_bytes() const {
        return round_up(product_.trunk.items * b_.item_elements * entry_.packing.b_bytes, 64);
    }
    std::size_t block_bytes() const {
        return static_cast<std::size_t>(b_bytes() + round_up(3 * 4 * column_count(), 64) + kAround);
    }
    const void* around_of(const IntegerProduct& product) const {
        return static_cast<const std::byte*>(product.trunk.b) + block_bytes() - kAround;
    }

    void fill(const Tensor* inputs, std::byte* block, IntegerProduct& product) const {
        std::memset(block, 0, block_bytes());
        const IntegerPacking& packing = entry_.packing;
        const Tensor &x = inputs[at_.x], &w = inputs[at_.w];
        const std::int32_t a_zero = unsigned_zero(desc_, inputs, at_.x_zero, x, 0);
        const std::int32_t a_left = packing.a_bytes == 2 ? 0 : packing.a_signed ? a_zero - 128 : a_zero;
        auto* start = reinterpret_cast<std::int32_t*>(block + b_bytes());
        std::int32_t* left = start + column_count();
        auto* multiplier = reinterpret_cast<float*>(left + column_count());
        product.trunk.b = block;
        product.start = start;
        product.b_left = nullptr;
        product.multiplier = at_.y_scale >= 0 ? multiplier : nullptr;
        product.c_zero = has(desc_, at_.y_zero) ? byte_at(inputs[at_.y_zero], 0) : 0;
        product.a_zero = a_zero;
        if (has(desc_, at_.residual)) fill_residual(inputs, product);
        std::memset(const_cast<void*>(around_of(product)), has(desc_, at_.x_zero) ? byte_at(inputs[at_.x_zero], 0) : 0,
                    kAround);
        std::vector<std::int32_t> origins(static_cast<std::size_t>(product.trunk.n));
        std::vector<std::int64_t> sums(origins.size());
        for (std::int64_t item = 0; item < product.trunk.items; ++item) {
            const std::int64_t first = is_conv_ ? item * product.trunk.n : 0, place = item * product.n_padded;
            for (std::int64_t n = 0; n < product.trunk.n; ++n) {
                const std::int32_t zero = unsigned_zero(desc_, inputs, at_.w_zero, w, first + n);
                origins[static_cast<std::size_t>(n)] = packing.b_bytes == 2 ? zero : 128;
                left[place + n] = packing.b_bytes == 2 ? 0 : zero - 128;
                if (left[place + n] != 0) product.b_left = left;
                if (product.multiplier) multiplier[place + n] = factor(inputs, first + n);
            }
            pack_item(w, item, block, origins.data(), sums.data());
            for (std::int64_t n = 0; n < product.trunk.n; ++n) {
                const std::int64_t bias =
                    has(desc_, at_.bias) ? value_at<std::int32_t>(inputs[at_.bias], first + n) : 0;
                const std::int64_t known = product.trunk.k_real * a_left * left[place + n];
                start[place + n] = static_cast<std::int32_t>(
                    static_cast<std::uint64_t>(bias - a_left * sums[static_cast<std::size_t>(n)] + known));
            }
        }
    }

    // The product's steps become the sum's.
    void fill_residual(const Tensor* inputs, IntegerProduct& product) const {
        const auto ratio = [&](int scale) {
            return finite_ratio(static_cast<double>(value_at<float>(inputs[scale], 0)) /
                                value_at<float>(inputs[at_.sum_scale], 0));
        };
        product.residual = {ratio(at_.y_scale), ratio(at_.residual_scale), product.c_zero,
                            byte_at(inputs[at_.residual_zero], 0), is_signed_byte(inputs[at_.residual])};
        product.c_zero = byte_at(inputs[at_.sum_zero], 0);
    }

    void pack_item(const Tensor& w, std::int64_t item, std::byte* block, const std::int32_t* origins,
                   std::int64_t* sums) const {
        UnpackedB view = b_.view;
        std::int64_t offset = 0, rest = item;
        for (int d = b_.item.rank - 1; d >= 0; --d) {
            offset += rest % b_.item.extent[d] * b_.item_stride[d];
            rest /= b_.item.extent[d];
        }
        view.data = static_cast<const std::byte*>(w.data) + offset;
        const std::uint8_t flip = is_signed_byte(w) ? 0x80 : 0;
        const Product& trunk = product_.trunk;
        std::byte* to = block + item * b_.item_elements * entry_.packing.b_bytes;
        if (entry_.packing.b_bytes == 2) {
            pack_integer_b(view, flip, entry_.packing, entry_.row.nr, trunk.k_real, trunk.k, origins,
                           reinterpret_cast<std::int16_t*>(to), sums);
        } else {
            pack_integer_b(view, flip, entry_.packing, entry_.row.nr, trunk.k_real, trunk.k, origins,
                           reinterpret_cast<std::int8_t*>(to), sums);
        }
    }

    float factor(const Tensor* inputs, std::int64_t column) const {
        const double x = value_at<float>(inputs[at_.x_scale], 0), w = value_at<float>(inputs[at_.w_scale], column);
        return finite_ratio(x * w / value_at<float>(inputs[at_.y_scale], 0));
    }

    const IntegerEntry& entry_;
    StepDesc desc_;
    IntegerPlaces at_{};
    IntegerProduct product_{};
    Patches patches_{};
    TrunkB b_{};
    RowWindow rows_{0, 0, 0};
    bool is_conv_ = false, constant_ = false;
    std::int64_t columns_ = 0;
    std::size_t a_bytes_ = 0;
    AlignedBuffer kept_;
};

std::vector<const Row*> rows() { return rows_of(kTables); }

std::unique_ptr<Step> make(const StepDesc& desc, const Row& row, bool dry) {
    return std::make_unique<IntegerStep>(desc, entry_of(kTables, row), dry);
}

}  // namespace

extern const Family integer_family;
const Family integer_family{"integer", rows, make};

}  // namespace thew
