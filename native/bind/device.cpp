// Facts of the machine as plain data.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/affinity.hpp"
#include "bind/bind.hpp"
#include "cpu/caches.hpp"
#include "cpu/cores.hpp"
#include "cpu/features.hpp"
#include "cpu/nodes.hpp"
#include "simd/peak.hpp"

namespace thew::bind {
namespace {

nb::list isas() {
    nb::list names;
    for (Isa isa : supported_isas()) names.append(isa_name(isa));
    return names;
}

nb::dict device() {
    Cpu cpu = describe_cpu();
    Caches found = caches();
    nb::dict facts, cache, feature_names;
    facts["model"] = cpu.model;
    facts["quota"] = cpu.quota;
    facts["isas"] = isas();
    for (const Feature& feature : features()) feature_names[feature.name] = feature.present;
    facts["features"] = feature_names;
    cache["l1_bytes"] = found.l1_bytes;
    cache["l1_ways"] = found.l1_ways;
    cache["l2_bytes"] = found.l2_bytes;
    cache["l2_ways"] = found.l2_ways;
    cache["l3_bytes_per_core"] = found.l3_bytes_per_core;
    cache["line_bytes"] = found.line_bytes;
    facts["caches"] = cache;
    nb::list cores;
    for (const Core& core : cpu.cores) {
        nb::dict entry;
        entry["cpu"] = core.cpu;
        entry["model"] = core.model;
        entry["capacity"] = core.capacity;
        entry["max_khz"] = core.max_khz;
        entry["kind"] = core.kind;
        entry["allowed"] = core.allowed;
        cores.append(entry);
    }
    facts["cores"] = cores;
    nb::list nodes;
    for (const Node& node : describe_nodes()) {
        nb::dict entry;
        entry["number"] = node.number;
        entry["bytes"] = node.bytes;
        entry["cpus"] = node.cpus;
        nodes.append(entry);
    }
    facts["nodes"] = nodes;
    return facts;
}

}  // namespace

void bind_device(nb::module_& module) {
    module.def("device", &device,
               "CPU model, ISAs, features, caches (bytes), cores, memory nodes and quota, as a dictionary.");
    module.def(
        "measure_peak_flops",
        [](const std::string& dtype) {
            for (Isa isa : supported_isas()) {
                const double gflops = measure_peak_gflops(isa, dtype_from_name(dtype), 0.05);
                if (gflops > 0) return gflops * 1e9;
            }
            return 0.0;
        },
        nb::arg("dtype"),
        "Multiply-adds' operations a second of one core, measured now, on the best ISA that has them; 0 on none.");
    module.def("allowed_cpus", &allowed_cpus, "Logical CPUs in the process's affinity mask.");
}

}  // namespace thew::bind
