// The kernel table as data, and what a step would need.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.hpp"
#include "cpu/features.hpp"

namespace thew::bind {

void bind_kernels(nb::module_& module) {
    module.def(
        "kernel_rows",
        [] {
            nb::list rows;
            for (const Family& family : families()) {
                for (const Row* row : family.rows()) {
                    nb::dict entry;
                    entry["name"] = row_name(*row);
                    entry["family"] = row->family;
                    entry["algorithm"] = row->algorithm;
                    entry["a"] = dtype_name(row->a);
                    entry["b"] = dtype_name(row->b);
                    entry["acc"] = dtype_name(row->acc);
                    entry["mr"] = row->mr;
                    entry["nr"] = row->nr;
                    entry["kr"] = row->kr;
                    entry["isa"] = isa_name(row->isa);
                    entry["supported"] = supported(row->isa);
                    rows.append(entry);
                }
            }
            return rows;
        },
        "Every compiled row of every family, as dictionaries.");

    // What a step would take, without packing anything: (scratch bytes, packed bytes, inputs whose constants it packs).
    module.def(
        "step_needs",
        [](const std::string& kernel, const std::string& op, const std::string& name, const nb::list& inputs,
           const nb::list& outputs, const nb::dict& attributes, int threads, const nb::list& stages) {
            StepDesc desc = step_from(kernel, op, name, attributes, threads, stages);
            describe_operands(desc, operands_from(inputs), operands_from(outputs));
            std::unique_ptr<Step> step = make_step(desc, true);
            std::vector<bool> packs(desc.inputs.size());
            for (std::size_t i = 0; i < packs.size(); ++i) packs[i] = desc.constant[i] && step->packs(i);
            return nb::make_tuple(step->scratch_bytes(), step->packed_bytes(), packs);
        },
        nb::arg("kernel"), nb::arg("op"), nb::arg("name"), nb::arg("inputs"), nb::arg("outputs"), nb::arg("attributes"),
        nb::arg("threads"), nb::arg("stages") = nb::list());
}

}  // namespace thew::bind
