// Programs: made step by step, run by one call.
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/error.hpp"
#include "bind/bind.hpp"

namespace thew::bind {
namespace {

// An array's memory, borrowed for one call through the buffer protocol (whose cost is what keeps run() short).
class Borrowed {
public:
    Borrowed() = default;
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    ~Borrowed() {
        if (view_.obj) PyBuffer_Release(&view_);
    }
    void take(PyObject* array, int flags) {
        if (PyObject_GetBuffer(array, &view_, flags | PyBUF_C_CONTIGUOUS) != 0) throw nb::python_error();
    }
    void* data() const { return view_.buf; }
    std::size_t bytes() const { return static_cast<std::size_t>(view_.len); }

private:
    Py_buffer view_{};
};

// Python code as a call: it takes the operands as writable bytes.
Call call_of(nb::callable code) {
    return [code = std::move(code)](const std::vector<Tensor>& operands) {
        nb::gil_scoped_acquire hold;
        nb::list views;
        for (const Tensor& operand : operands) {
            std::size_t bytes = dtype_bytes(operand.dtype);
            for (int axis = 0; axis < operand.rank; ++axis) bytes *= static_cast<std::size_t>(operand.shape[axis]);
            views.append(nb::steal(PyMemoryView_FromMemory(static_cast<char*>(operand.data),
                                                           static_cast<Py_ssize_t>(bytes), PyBUF_WRITE)));
        }
        code(*views);
    };
}

constexpr std::size_t kMostExternals = 16;  // beyond it, one allocation a run

// `arrays`: inputs, then outputs, C-contiguous. Dtypes and shapes are the session's to check; sizes are checked here,
// since a wrong one would write out of bounds.
template <class Run>
void run(const Program& program, const nb::tuple& arrays, std::size_t inputs, std::size_t parts, const Run& how) {
    std::size_t count = arrays.size();
    if (count != program.external_count()) {
        throw PlanError("run: needs " + std::to_string(program.external_count()) + " arrays, got " +
                        std::to_string(count));
    }
    Borrowed few_views[kMostExternals];
    void* few_pointers[kMostExternals];
    std::unique_ptr<Borrowed[]> many_views(count > kMostExternals ? new Borrowed[count] : nullptr);
    std::vector<void*> many_pointers(count > kMostExternals ? count : 0);
    Borrowed* views = many_views ? many_views.get() : few_views;
    void** pointers = many_views ? many_pointers.data() : few_pointers;
    for (std::size_t i = 0; i < count; ++i) {
        views[i].take(arrays[i].ptr(), i < inputs ? PyBUF_SIMPLE : PyBUF_WRITABLE);
        if (views[i].bytes() != program.external_bytes(i) * parts) {
            throw PlanError("run: array " + std::to_string(i) + " must have " +
                            std::to_string(program.external_bytes(i) * parts) + " bytes, got " +
                            std::to_string(views[i].bytes()));
        }
        pointers[i] = views[i].data();
    }
    nb::gil_scoped_release release;
    how(pointers);
}

}  // namespace

void bind_program(nb::module_& module) {
    nb::class_<Program>(module, "Program")
        .def(
            "__init__",
            [](Program* self, int threads, const std::vector<int>& cpus) {
                require(threads >= 1, "program: threads must be at least 1, got " + std::to_string(threads));
                new (self) Program(shared_pool(threads, cpus));
            },
            nb::arg("threads"), nb::arg("cpus") = std::vector<int>{})
        .def(
            "add",
            [](Program& self, const std::string& kernel, const std::string& op, const std::string& name,
               const nb::list& inputs, const nb::list& outputs, const nb::dict& attributes, const nb::list& stages) {
                return self.add(step_from(kernel, op, name, attributes, self.workers().count, stages),
                                operands_from(inputs), operands_from(outputs));
            },
            nb::arg("kernel"), nb::arg("op"), nb::arg("name"), nb::arg("inputs"), nb::arg("outputs"),
            nb::arg("attributes"), nb::arg("stages") = nb::list())
        .def(
            "add_call",  // code(*operands as memoryviews), run between two steps; what it raises ends the run
            [](Program& self, const std::string& name, nb::callable code, const nb::list& operands) {
                self.add_call(name, call_of(std::move(code)), operands_from(operands));
            },
            nb::arg("name"), nb::arg("code"), nb::arg("operands"))
        .def("finish", &Program::finish, nb::arg("arena_bytes"), nb::arg("external_bytes"), nb::arg("limit_bytes") = 0)
        .def(
            "run",
            [](const Program& self, const nb::tuple& arrays, std::size_t inputs) {
                run(self, arrays, inputs, 1, [&](void* const* externals) { self.run(externals); });
            },
            nb::arg("arrays"), nb::arg("inputs"))
        .def(
            "profile",
            [](const Program& self, const nb::tuple& arrays, std::size_t inputs) {
                std::vector<double> seconds(self.step_count());
                run(self, arrays, inputs, 1, [&](void* const* externals) { self.run(externals, seconds.data()); });
                return seconds;
            },
            nb::arg("arrays"), nb::arg("inputs"))
        .def(
            "run_parts",  // arrays of all parts, one after the other; each part on one of `threads` workers
            [](const Program& self, const nb::tuple& arrays, std::size_t inputs, int parts, int threads,
               const std::vector<int>& cpus) {
                require(parts >= 1, "run_parts: parts must be at least 1, got " + std::to_string(parts));
                Pool& pool = shared_pool(threads, cpus);
                run(self, arrays, inputs, static_cast<std::size_t>(parts),
                    [&](void* const* externals) { self.run_parts(externals, parts, pool); });
            },
            nb::arg("arrays"), nb::arg("inputs"), nb::arg("parts"), nb::arg("threads"), nb::arg("cpus"))
        .def(
            "trace",  // spans as (step, worker, phase, tile, begin, end), in seconds of the steady clock
            [](const Program& self, const nb::tuple& arrays, std::size_t inputs) {
                Trace trace(self.workers().count);
                run(self, arrays, inputs, 1, [&](void* const* externals) { self.run(externals, nullptr, &trace); });
                nb::list spans;
                for (const Span& span : trace.spans()) {
                    spans.append(nb::make_tuple(span.step, span.worker, static_cast<int>(span.phase), span.tile,
                                                1e-9 * static_cast<double>(span.begin_ns),
                                                1e-9 * static_cast<double>(span.end_ns)));
                }
                return spans;
            },
            nb::arg("arrays"), nb::arg("inputs"))
        .def_prop_ro("arena_bytes", &Program::arena_bytes)
        .def_prop_ro("scratch_bytes", &Program::scratch_bytes)
        .def_prop_ro("packed_bytes", &Program::packed_bytes)
        .def_prop_ro("arenas", &Program::arenas);
}

}  // namespace thew::bind
