// Feeds: pictures made ready in the background. Arrays are kept alive by whoever writes or reads them.
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <tuple>

#include "base/error.hpp"
#include "bind/bind.hpp"
#include "data/feed.hpp"

namespace thew::bind {
namespace {

using PictureArray = nb::ndarray<const std::uint8_t, nb::numpy, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using BatchArray = nb::ndarray<float, nb::numpy, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

struct Source {
    PictureArray pictures;
    Feed feed;

    Source(PictureArray array, Preparation preparation, int threads)
        : pictures(std::move(array)),
          feed({pictures.data(), extent(0), extent(1), extent(2), extent(3)}, std::move(preparation), threads) {}
    std::int64_t extent(std::size_t axis) const { return static_cast<std::int64_t>(pictures.shape(axis)); }
};

struct Handle {  // what Python holds of a source; batches under way hold it too
    std::shared_ptr<Source> source;
};

// A batch under way, with all that it touches.
struct Pending {
    std::shared_ptr<Source> source;
    BatchArray out;
    Batch batch;

    Pending(std::shared_ptr<Source> from, BatchArray array, std::vector<std::int64_t> numbers, std::uint32_t epoch)
        : source(std::move(from)), out(std::move(array)), batch{std::move(numbers), epoch, out.data()} {
        const Pictures& known = source->feed.pictures();
        const std::int64_t wanted[] = {static_cast<std::int64_t>(batch.numbers.size()), known.c, known.h, known.w};
        for (std::size_t axis = 0; axis < 4; ++axis) {
            require(
                static_cast<std::int64_t>(out.shape(axis)) == wanted[axis],
                "data: the output must have the pictures' shape, got another extent of axis " + std::to_string(axis));
        }
        source->feed.submit(batch);
    }
    ~Pending() { source->feed.drop(batch); }
};

Preparation preparation_from(std::vector<float> factor, std::vector<float> shift,
                             const std::vector<std::tuple<std::string, std::int64_t>>& augmentations,
                             std::uint64_t seed) {
    Preparation found{std::move(factor), std::move(shift), {}, seed};
    for (const auto& [name, extent] : augmentations) found.augmentations.push_back({change_from_name(name), extent});
    return found;
}

}  // namespace

void bind_data(nb::module_& module) {
    nb::class_<Pending>(module, "Pending")
        .def(
            "wait",
            [](Pending& self) {
                nb::gil_scoped_release release;
                self.source->feed.wait(self.batch);
            },
            "Returns when the batch is written; works on it too.");
    nb::class_<Handle>(module, "Feed")
        .def(
            "__init__",
            [](Handle* self, PictureArray pictures, std::vector<float> factor, std::vector<float> shift,
               const std::vector<std::tuple<std::string, std::int64_t>>& augmentations, std::uint64_t seed,
               int threads) {
                Preparation preparation = preparation_from(std::move(factor), std::move(shift), augmentations, seed);
                new (self) Handle{std::make_shared<Source>(std::move(pictures), std::move(preparation), threads)};
            },
            nb::arg("pictures"), nb::arg("factor"), nb::arg("shift"), nb::arg("augmentations"), nb::arg("seed"),
            nb::arg("threads"))
        .def(
            "submit",
            [](Handle& self, std::vector<std::int64_t> numbers, std::uint32_t epoch, BatchArray out) {
                return new Pending(self.source, std::move(out), std::move(numbers), epoch);
            },
            nb::arg("numbers"), nb::arg("epoch"), nb::arg("out"));
}

}  // namespace thew::bind
