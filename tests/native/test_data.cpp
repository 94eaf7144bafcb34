// Feeds under stress: batches equal those made one picture after the other for any number of threads, many at a time,
// dropped half-way, and asked for by several callers. Meant for the thread sanitizer too, which must stay silent.
#include <memory>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "check.hpp"
#include "data/feed.hpp"
#include "data/philox.hpp"

namespace {

using thew::Batch;
using thew::Change;
using thew::Feed;
using thew::Pictures;
using thew::Preparation;

constexpr std::int64_t kCount = 40, kC = 3, kH = 9, kW = 7, kSize = kC * kH * kW;

std::vector<std::uint8_t> some_bytes() {
    std::vector<std::uint8_t> bytes(kCount * kSize);
    std::uint32_t state = 1;
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
    return bytes;
}

Preparation some_preparation() {
    return {{0.5F, 0.25F, 2.0F},
            {-1.0F, 3.0F, 0.125F},
            {{Change::kFlip, 0}, {Change::kCrop, 3}, {Change::kFlip, 0}, {Change::kCutout, 4}, {Change::kCrop, 1}},
            0x123456789abcdef0};
}

// One augmentation after the other, each on a whole picture: the definition.
std::vector<float> by_definition(const Pictures& pictures, const Preparation& preparation, std::int64_t number,
                                 std::uint32_t epoch) {
    const std::uint8_t* first = pictures.bytes + number * kSize;
    std::vector<std::uint8_t> now(first, first + kSize);
    for (std::size_t i = 0; i < preparation.augmentations.size(); ++i) {
        const auto [change, extent] = preparation.augmentations[i];
        const thew::Words words = thew::philox(
            {static_cast<std::uint32_t>(number), 0, epoch, static_cast<std::uint32_t>(i)}, 0x9abcdef0, 0x12345678);
        std::vector<std::uint8_t> next(kSize, 0);
        const std::int64_t range = 2 * extent + 1, down = words[0] % range - extent, right = words[1] % range - extent;
        const std::int64_t row = words[0] % kH, column = words[1] % kW;
        for (std::int64_t c = 0; c < kC; ++c) {
            for (std::int64_t y = 0; y < kH; ++y) {
                for (std::int64_t x = 0; x < kW; ++x) {
                    std::int64_t from_y = y, from_x = x;
                    if (change == Change::kFlip && (words[0] & 1) != 0) from_x = kW - 1 - x;
                    if (change == Change::kCrop) from_y += down, from_x += right;
                    bool black = from_y < 0 || from_y >= kH || from_x < 0 || from_x >= kW;
                    black |= change == Change::kCutout && 2 * std::abs(y - row) < extent &&
                             2 * std::abs(x - column) < extent;
                    if (!black) next[(c * kH + y) * kW + x] = now[(c * kH + from_y) * kW + from_x];
                }
            }
        }
        now = next;
    }
    std::vector<float> out(kSize);
    for (std::int64_t i = 0; i < kSize; ++i) {
        const float product = static_cast<float>(now[i]) * preparation.factor[i / (kH * kW)];
        out[i] = product + preparation.shift[i / (kH * kW)];
    }
    return out;
}

std::vector<std::int64_t> some_numbers(std::int64_t count) {
    std::vector<std::int64_t> numbers;
    for (std::int64_t i = 0; i < count; ++i) numbers.push_back((i * 17 + 3) % kCount);
    return numbers;
}

void equals_definition(int threads) {
    const std::vector<std::uint8_t> bytes = some_bytes();
    const Pictures pictures{bytes.data(), kCount, kC, kH, kW};
    Feed feed(pictures, some_preparation(), threads);
    std::vector<std::unique_ptr<Batch>> batches;
    std::vector<std::vector<float>> outputs;
    for (std::int64_t i = 0; i < 12; ++i) {
        outputs.emplace_back(static_cast<std::size_t>((i * 31) * kSize));
        batches.push_back(
            std::make_unique<Batch>(Batch{some_numbers(i * 31), static_cast<std::uint32_t>(i), outputs.back().data()}));
        feed.submit(*batches.back());
    }
    for (std::size_t i = 12; i-- > 0;) {
        feed.wait(*batches[i]);
        for (std::size_t k = 0; k < batches[i]->numbers.size(); ++k) {
            const std::vector<float> expected =
                by_definition(pictures, some_preparation(), batches[i]->numbers[k], batches[i]->epoch);
            CHECK(std::equal(expected.begin(), expected.end(), outputs[i].begin() + static_cast<long>(k) * kSize));
        }
    }
}

void drops(int threads) {
    const std::vector<std::uint8_t> bytes = some_bytes();
    Feed feed({bytes.data(), kCount, kC, kH, kW}, some_preparation(), threads);
    for (int turn = 0; turn < 200; ++turn) {
        std::vector<float> output(400 * kSize);
        Batch batch{some_numbers(400), 0, output.data()};
        feed.submit(batch);
        if (turn % 3 == 0) std::this_thread::yield();
        feed.drop(batch);
        for (float& value : output) value = 0;  // a late writer would race with this
    }
}

void shared_by_callers() {
    const std::vector<std::uint8_t> bytes = some_bytes();
    Feed feed({bytes.data(), kCount, kC, kH, kW}, some_preparation(), 2);
    std::vector<std::vector<float>> outputs(4, std::vector<float>(300 * kSize));
    std::vector<std::thread> callers;
    for (std::vector<float>& output : outputs) {
        callers.emplace_back([&feed, &output] {
            for (int turn = 0; turn < 20; ++turn) {
                Batch batch{some_numbers(300), 5, output.data()};
                feed.submit(batch);
                feed.wait(batch);
            }
        });
    }
    for (std::thread& caller : callers) caller.join();
    for (const std::vector<float>& output : outputs) CHECK(output == outputs[0]);
}

template <class Act>
bool refuses(const Act& act) {
    try {
        act();
    } catch (const thew::Error&) {
        return true;
    }
    return false;
}

void refuses_nonsense() {
    const std::vector<std::uint8_t> bytes = some_bytes();
    const Pictures pictures{bytes.data(), kCount, kC, kH, kW};
    Feed feed(pictures, some_preparation(), 1);
    std::vector<float> output(kSize);
    for (std::int64_t number : {std::int64_t{-1}, kCount, std::int64_t{1} << 62}) {
        Batch batch{{number}, 0, output.data()};
        CHECK(refuses([&] { feed.submit(batch); }));
    }
    CHECK(refuses([&] { Feed(pictures, some_preparation(), Feed::kMostThreads + 1); }));
    CHECK(refuses([&] { Feed(pictures, some_preparation(), -1); }));
    CHECK(refuses([&] { Feed(pictures, Preparation{{1.0F}, {0.0F}, {}, 0}, 1); }));
    Preparation wide = some_preparation();
    wide.augmentations.push_back({Change::kCrop, std::int64_t{1} << 40});
    CHECK(refuses([&] { Feed(pictures, wide, 1); }));
    CHECK(refuses([] { thew::change_from_name("turn"); }));
}

}  // namespace

int main() {
    for (int threads : {0, 1, 2, 8}) {
        equals_definition(threads);
        drops(threads);
    }
    shared_by_callers();
    refuses_nonsense();
    return thew::test::report("data");
}
