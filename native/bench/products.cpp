// Products and convolutions of real networks, each as a share of the multiply-add peak measured in the same run.
// Rounds go over all cases, so that a disturbance hits all alike; the best round counts. A single thread is timed by
// its own CPU clock, so that a busy machine costs cache, not time.
//
//   thew_bench_products [threads = 1] [isa = the best of this CPU]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "base/pool.hpp"
#include "cpu/caches.hpp"
#include "cpu/features.hpp"
#include "kernels/kernel.hpp"
#include "simd/peak.hpp"

namespace {

using namespace thew;

// A convolution c → oc of a square image; a matrix product where `window` is 0 (c = k, oc = n, image = m).
struct Shape {
    const char* net;
    int c, oc, image, window, stride;
    bool planes;  // x is NCHW
};

constexpr Shape kShapes[] = {
    {"matmul", 256, 256, 256, 0, 1, false},    {"matmul", 1024, 1024, 1024, 0, 1, false},
    {"matmul", 2048, 2048, 2048, 0, 1, false}, {"classifier", 2048, 1000, 1, 0, 1, false},
    {"resnet50", 3, 64, 224, 7, 2, true},      {"resnet50", 64, 64, 56, 1, 1, false},
    {"resnet50", 64, 64, 56, 3, 1, false},     {"resnet50", 64, 256, 56, 1, 1, false},
    {"resnet50", 256, 64, 56, 1, 1, false},    {"resnet50", 128, 128, 56, 3, 2, false},
    {"resnet50", 128, 128, 28, 3, 1, false},   {"resnet50", 128, 512, 28, 1, 1, false},
    {"resnet50", 512, 128, 28, 1, 1, false},   {"resnet50", 256, 512, 56, 1, 2, false},
    {"resnet50", 256, 256, 14, 3, 1, false},   {"resnet50", 256, 1024, 14, 1, 1, false},
    {"resnet50", 1024, 256, 14, 1, 1, false},  {"resnet50", 512, 512, 7, 3, 1, false},
    {"resnet50", 512, 2048, 7, 1, 1, false},   {"resnet50", 2048, 512, 7, 1, 1, false},
    {"mobilenet", 3, 32, 224, 3, 2, true},     {"mobilenet", 32, 16, 112, 1, 1, false},
    {"mobilenet", 16, 96, 112, 1, 1, false},   {"mobilenet", 96, 24, 56, 1, 1, false},
    {"mobilenet", 24, 144, 56, 1, 1, false},   {"mobilenet", 144, 32, 28, 1, 1, false},
    {"mobilenet", 192, 64, 14, 1, 1, false},   {"mobilenet", 64, 384, 14, 1, 1, false},
    {"mobilenet", 96, 576, 14, 1, 1, false},   {"mobilenet", 160, 960, 7, 1, 1, false},
    {"mobilenet", 960, 320, 7, 1, 1, false},   {"reference", 32, 32, 56, 3, 1, false},
};
constexpr int kRounds = 12;

struct Case {
    Shape shape;
    double flops;
    std::vector<AlignedBuffer> memory;
    StepDesc desc;
    std::unique_ptr<Step> step;
    AlignedBuffer scratch;
    double best_seconds = 1e9;
};

double seconds_now(bool alone) {
    timespec time{};
    clock_gettime(alone ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

Tensor filled(Case& at, std::vector<std::int64_t> shape, bool channels_last) {
    Tensor tensor{};
    tensor.dtype = DType::fp32;
    tensor.rank = static_cast<int>(shape.size());
    std::int64_t elements = 1;
    for (int d = tensor.rank - 1; d >= 0; --d) {
        tensor.shape[d] = shape[d];
        tensor.stride[d] = elements;
        elements *= shape[d];
    }
    if (channels_last) {
        tensor.stride[1] = 1;
        tensor.stride[3] = shape[1];
        tensor.stride[2] = shape[1] * shape[3];
    }
    at.memory.emplace_back(static_cast<std::size_t>(elements) * sizeof(float));
    float* data = at.memory.back().as<float>();
    for (std::int64_t i = 0; i < elements; ++i) data[i] = static_cast<float>(i % 17) * 0.125f - 1.0f;
    tensor.data = data;
    return tensor;
}

std::string row_for(const Shape& shape, Isa isa) {
    const char* family = shape.window == 0 ? "matmul" : "conv";
    const char* algorithm = shape.window == 0 ? "packed" : shape.window == 1 ? "pointwise" : "implicit";
    for (const Family& each : families()) {
        for (const Row* row : each.rows()) {
            if (!std::strcmp(row->family, family) && !std::strcmp(row->algorithm, algorithm) && row->isa == isa &&
                row->a == DType::fp32) {
                return row_name(*row);
            }
        }
    }
    return "";
}

Case prepare(const Shape& shape, Isa isa, int threads) {
    Case at{shape, 0, {}, {}, {}, {}};
    const std::int64_t pad = shape.window / 2, out = (shape.image + 2 * pad - shape.window) / shape.stride + 1;
    StepDesc& desc = at.desc;
    desc.kernel = row_for(shape, isa);
    desc.op = shape.window == 0 ? "matmul" : "conv";
    desc.name = shape.net;
    desc.threads = threads;
    desc.caches = caches();
    if (shape.window == 0) {
        desc.inputs = {filled(at, {shape.image, shape.c}, false), filled(at, {shape.c, shape.oc}, false)};
        desc.outputs = {filled(at, {shape.image, shape.oc}, false)};
        desc.constant = {false, true};
        at.flops = 2.0 * shape.image * shape.c * shape.oc;
    } else {
        desc.inputs = {filled(at, {1, shape.c, shape.image, shape.image}, !shape.planes),
                       filled(at, {shape.oc, shape.c, shape.window, shape.window}, false),
                       filled(at, {shape.oc}, false)};
        desc.outputs = {filled(at, {1, shape.oc, out, out}, true)};
        desc.constant = {false, true, true};
        desc.attributes.values["strides"] = std::vector<std::int64_t>(2, shape.stride);
        desc.attributes.values["pads"] = std::vector<std::int64_t>(4, pad);
        desc.attributes.values["activation"] = std::string("relu");
        at.flops = 2.0 * static_cast<double>(out * out) * shape.oc * shape.c * shape.window * shape.window;
    }
    at.step = make_step(desc, false);
    at.scratch = AlignedBuffer(at.step->scratch_bytes());
    return at;
}

void time_once(Case& at, const Workers& workers, bool alone) {
    const int runs = std::max(1, static_cast<int>(2e8 / at.flops));
    const double start = seconds_now(alone);
    for (int i = 0; i < runs; ++i) {
        at.step->run(at.desc.inputs.data(), at.desc.outputs.data(), workers, at.scratch.data());
    }
    at.best_seconds = std::min(at.best_seconds, (seconds_now(alone) - start) / runs);
}

}  // namespace

int main(int argc, char** argv) {
    const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
    Isa isa = supported_isas().back();
    for (Isa each : supported_isas()) {
        if (row_for(kShapes[0], each).empty() || (argc > 2 && std::strcmp(argv[2], isa_name(each)))) continue;
        isa = each;
        break;
    }
    const double peak = measure_peak_gflops(isa, DType::fp32, 0.2);
    std::printf("%s, %d threads; peak of one core %.1f GFLOP/s\n", isa_name(isa), threads, peak);
    std::vector<Case> cases;
    for (const Shape& shape : kShapes) cases.push_back(prepare(shape, isa, threads));
    Pool& pool = shared_pool(threads);
    for (int round = 0; round < kRounds; ++round) {
        for (Case& at : cases) time_once(at, pool.workers(), threads == 1);
    }
    for (const Case& at : cases) {
        const Shape& s = at.shape;
        const double gflops = at.flops / at.best_seconds * 1e-9;
        std::printf("%-10s %d×%d/%d %5d → %5d at %4d: %9.1f us %7.1f GFLOP/s %5.1f %% of peak, scratch %zu KB\n", s.net,
                    s.window, s.window, s.stride, s.c, s.oc, s.image, at.best_seconds * 1e6, gflops,
                    100 * gflops / (peak * threads), at.step->scratch_bytes() / 1024);
    }
    return 0;
}
