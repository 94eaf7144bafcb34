// Several steps, each of which reads what the one before it wrote, run depth first: a strip of rows of the last output
// at a time, and of the others the rows that it needs. What lies between two steps is then a few rows in the
// second-level cache, and never memory: an inverted residual block (expand, depthwise, project) touches its inputs and
// outputs only. Rows that two strips share are kept, not computed again; workers take long pieces of the image, at
// whose ends a few rows are computed twice.
//
// The idea is that of fused-layer accelerators (Alwani, Chen, Ferdman and Milder 2016), on steps as they are.
#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "kernels/kernel.hpp"

namespace thew {
namespace {

constexpr std::size_t kMostStages = 4, kMostInputs = 4;

struct Rows {
    std::int64_t first, last;
    std::int64_t count() const { return last - first; }
};

struct Stage {
    std::unique_ptr<Step> step;
    RowWindow window;
    std::size_t inputs, first_input;  // its inputs among those of all; what the stage before hands over is not counted
    std::int64_t in_rows, out_rows;
    Tensor output;
    std::int64_t row_bytes, buffer_rows;  // of the output, where it is handed to the next stage

    // Rows of the input that these rows of the output need.
    Rows needed(Rows rows) const {
        const std::int64_t first = rows.first * window.stride - window.pad;
        const std::int64_t last = (rows.last - 1) * window.stride - window.pad + window.extent;
        return {std::clamp<std::int64_t>(first, 0, in_rows), std::clamp<std::int64_t>(last, 0, in_rows)};
    }
};

std::int64_t round_up(std::int64_t bytes) {
    constexpr auto line = static_cast<std::int64_t>(kAlignment);
    return (bytes + line - 1) / line * line;
}

bool same_view(const Tensor& a, const Tensor& b) {
    bool same = a.dtype == b.dtype && a.rank == b.rank;
    for (int d = 0; same && d < a.rank; ++d) {
        same = a.shape[d] == b.shape[d] && (a.shape[d] == 1 || a.stride[d] == b.stride[d]);
    }
    return same;
}

bool is_image(std::size_t position) { return position == 0 || position == 3; }  // of a stage's inputs: x, the residual

class StripsStep final : public Step {
public:
    StripsStep(const StepDesc& desc, bool dry) {
        const std::string where = "strips '" + desc.name + "': ";
        require(desc.stages.size() >= 2 && desc.stages.size() <= kMostStages && desc.outputs.size() == 1,
                where + "must have 2 to " + std::to_string(kMostStages) + " stages and one output");
        threads_ = desc.threads;
        std::size_t input = 0;
        for (std::size_t j = 0; j < desc.stages.size(); ++j) {
            check_inputs(desc, desc.stages[j], j > 0, input, where);
            if (j > 0) check_link(desc.stages[j - 1].outputs[0], desc.stages[j].inputs[0], where);
            add(desc.stages[j], where, input, dry);
            input += stages_.back().inputs;
        }
        const Tensor& y = desc.outputs[0];
        require(input == desc.inputs.size() && same_view(y, desc.stages.back().outputs[0]),
                where + "inputs and output must be those of the stages");
        images_ = y.shape[0];
        choose_strips(desc, where);
        choose_pieces();
    }

    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(worker_bytes_) * static_cast<std::size_t>(threads_);
    }
    std::size_t packed_bytes() const override {
        std::size_t bytes = 0;
        for (const Stage& stage : stages_) bytes += stage.step->packed_bytes();
        return bytes;
    }
    bool packs(std::size_t input) const override {
        for (std::size_t j = 0; j < stages_.size(); ++j) {
            const Stage& stage = stages_[j];
            if (input < stage.first_input + stage.inputs) return stage.step->packs(input - stage.first_input + (j > 0));
        }
        return false;
    }

    void run(const Tensor* inputs, const Tensor* outputs, const Workers& workers, std::byte* scratch) const override {
        auto body = [&](std::int64_t task, int worker) {
            run_piece(inputs, outputs, task / pieces_, task % pieces_, scratch + worker * worker_bytes_);
        };
        parallel_for(workers, images_ * pieces_, body);
    }

private:
    static void check_inputs(const StepDesc& desc, const StepDesc& stage, bool linked, std::size_t first,
                             const std::string& where) {
        require(!stage.inputs.empty() && stage.inputs.size() <= kMostInputs && stage.outputs.size() == 1 &&
                    stage.inputs[0].rank == 4 && stage.outputs[0].rank == 4,
                where + "a stage must have images of rank 4 as input 0 and output");
        bool same = first + stage.inputs.size() <= desc.inputs.size() + linked;
        for (std::size_t i = linked; same && i < stage.inputs.size(); ++i) {
            const std::size_t at = first + i - linked;
            same = same_view(stage.inputs[i], desc.inputs[at]) && stage.constant[i] == desc.constant[at];
        }
        require(same, where + "inputs must be those of the stages, got others at stage '" + stage.name + "'");
    }

    void add(StepDesc desc, const std::string& where, std::size_t first_input, bool dry) {
        desc.threads = 1;
        for (std::size_t i = 0; i < desc.inputs.size(); ++i) {
            if (is_image(i) && desc.inputs[i].rank == 4) desc.inputs[i].shape[0] = 1;
        }
        desc.outputs[0].shape[0] = 1;
        const Tensor& y = desc.outputs[0];
        Stage stage{};
        stage.step = make_step(desc, dry);
        stage.window = stage.step->row_window();
        require(stage.window.extent > 0, where + "stage '" + desc.name + "' does not run by rows; keep it apart");
        stage.first_input = first_input;
        stage.inputs = desc.inputs.size() - (stages_.empty() ? 0 : 1);
        stage.in_rows = desc.inputs[0].shape[2];
        stage.out_rows = y.shape[2];
        stage.output = y;
        stage.row_bytes = y.stride[2] * static_cast<std::int64_t>(dtype_bytes(y.dtype));
        stage_scratch_ = std::max(stage_scratch_, static_cast<std::int64_t>(stage.step->scratch_bytes()));
        stages_.push_back(std::move(stage));
    }

    static void check_link(const Tensor& from, const Tensor& to, const std::string& where) {
        require(same_view(from, to) && from.stride[1] == 1 && from.stride[2] == from.shape[3] * from.shape[1] &&
                    from.stride[3] == from.shape[1],
                where + "a stage must read what the one before it writes, dense and channels-last");
    }

    // The highest strips whose rows leave half of the second level to weights, input and output. Refuses where all of
    // what lies between the stages would stay there anyway.
    void choose_strips(const StepDesc& desc, const std::string& where) {
        const auto l2_bytes = static_cast<std::int64_t>(desc.caches.l2_bytes);
        const std::int64_t out_rows = stages_.back().out_rows;
        std::int64_t all_bytes = 0;
        for (std::size_t j = 0; j + 1 < stages_.size(); ++j) all_bytes += stages_[j].out_rows * stages_[j].row_bytes;
        require(all_bytes > l2_bytes, where +
                                          "pays where what lies between its stages exceeds the second-level cache (" +
                                          std::to_string(l2_bytes) + " bytes), got " + std::to_string(all_bytes));
        strip_rows_ = 1;
        while (strip_rows_ < out_rows && buffer_bytes(strip_rows_ + 1) <= l2_bytes / 2) ++strip_rows_;
        require(buffer_bytes(strip_rows_) <= l2_bytes / 2, where + "a row must fit into the second-level cache");
        if (strip_rows_ > 1 && strip_rows_ < out_rows) strip_rows_ &= ~std::int64_t{1};  // depthwise tiles have two
        worker_bytes_ = buffer_bytes(strip_rows_) + round_up(stage_scratch_);            // sets buffer_rows for good
    }

    // A piece for each worker, as long as it has some rows. More even out unequal cores, but each computes the rows at
    // its ends again: only of long ones, and as many for each worker, so that nobody waits for a last one.
    void choose_pieces() {
        constexpr std::int64_t kLeastRows = 8, kLongRows = 16, kPiecesPerWorker = 2;
        if (threads_ == 1) return;
        const std::int64_t rows = stages_.back().out_rows, images = std::max<std::int64_t>(images_, 1);
        const std::int64_t each = (threads_ + images - 1) / images;
        const std::int64_t more = std::min(kPiecesPerWorker * each, rows / kLongRows) / each * each;
        pieces_ = std::max({more, std::min(each, rows / kLeastRows), std::int64_t{1}});
    }

    // Bytes of all buffers for strips of `rows`; sets how many rows each holds.
    std::int64_t buffer_bytes(std::int64_t rows) {
        std::int64_t bytes = 0;
        for (std::size_t j = stages_.size() - 1; j > 0; --j) {
            rows = std::min((rows - 1) * stages_[j].window.stride + stages_[j].window.extent, stages_[j].in_rows);
            stages_[j - 1].buffer_rows = rows;
            bytes += round_up(rows * stages_[j - 1].row_bytes);
        }
        return bytes;
    }

    struct Buffer {
        std::byte* data;
        Rows held;  // the first of them is at `data`
    };

    void run_piece(const Tensor* inputs, const Tensor* outputs, std::int64_t image, std::int64_t piece,
                   std::byte* scratch) const {
        const std::size_t count = stages_.size();
        Buffer buffers[kMostStages]{};
        for (std::size_t j = 0; j + 1 < count; ++j) {
            buffers[j] = {scratch, {0, 0}};
            scratch += round_up(stages_[j].buffer_rows * stages_[j].row_bytes);
        }
        const std::int64_t out_rows = stages_.back().out_rows;
        const std::int64_t end = out_rows * (piece + 1) / pieces_;
        for (std::int64_t row = out_rows * piece / pieces_; row < end; row += strip_rows_) {
            Rows rows[kMostStages];
            rows[count - 1] = {row, std::min(row + strip_rows_, end)};
            for (std::size_t j = count - 1; j > 0; --j) {
                const Rows needed = stages_[j].needed(rows[j]);
                rows[j - 1] = make_room(buffers[j - 1], stages_[j - 1].row_bytes, needed);
            }
            for (std::size_t j = 0; j < count; ++j) {
                if (rows[j].count() > 0) run_stage(j, inputs, outputs, image, rows[j], buffers, scratch);
            }
        }
    }

    // Keeps the rows of `needed` that the buffer has, at its start; returns those that are to be computed.
    static Rows make_room(Buffer& buffer, std::int64_t row_bytes, Rows needed) {
        const Rows kept{std::max(needed.first, buffer.held.first), std::min(needed.last, buffer.held.last)};
        if (kept.count() <= 0) {
            buffer.held = needed;
            return needed;
        }
        if (kept.first > buffer.held.first) {
            std::memmove(buffer.data, buffer.data + (kept.first - buffer.held.first) * row_bytes,
                         static_cast<std::size_t>(kept.count() * row_bytes));
        }
        buffer.held = {kept.first, std::max(needed.last, kept.last)};
        return {kept.last, needed.last};
    }

    void run_stage(std::size_t j, const Tensor* inputs, const Tensor* outputs, std::int64_t image, Rows rows,
                   const Buffer* buffers, std::byte* scratch) const {
        const Stage& stage = stages_[j];
        const bool first = j == 0, last = j + 1 == stages_.size();
        Tensor read[kMostInputs]{};
        for (std::size_t i = 0; i < stage.inputs; ++i) {
            const std::size_t position = i + (first ? 0 : 1);
            const Tensor& tensor = inputs[stage.first_input + i];
            read[position] = is_image(position) ? of_image(tensor, image) : tensor;
        }
        if (!first) read[0] = in_buffer(j - 1, buffers);
        const Tensor written = last ? of_image(outputs[0], image) : in_buffer(j, buffers);
        stage.step->run_rows(read, &written, rows.first, rows.last, scratch);
    }

    static Tensor of_image(Tensor tensor, std::int64_t image) {
        if (tensor.rank == 4 && tensor.shape[0] > 1 && tensor.data) {
            tensor.data = static_cast<std::byte*>(tensor.data) +
                          image * tensor.stride[0] * static_cast<std::int64_t>(dtype_bytes(tensor.dtype));
        }
        if (tensor.rank == 4) tensor.shape[0] = 1;
        return tensor;
    }
    Tensor in_buffer(std::size_t j, const Buffer* buffers) const {
        Tensor tensor = stages_[j].output;
        tensor.data = buffers[j].data - buffers[j].held.first * stages_[j].row_bytes;
        return tensor;
    }

    std::vector<Stage> stages_;
    std::int64_t images_ = 0, pieces_ = 1, strip_rows_ = 1, stage_scratch_ = 0, worker_bytes_ = 0;
    std::int64_t threads_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_strips(const StepDesc& desc, bool dry) { return std::make_unique<StripsStep>(desc, dry); }

}  // namespace thew
