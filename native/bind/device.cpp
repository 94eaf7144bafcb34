// Facts of the machine as plain data.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/affinity.hpp"
#include "bind/bind.hpp"
#include "cpu/caches.hpp"
#include "cpu/cores.hpp"
#include "cpu/features.hpp"
#include "simd/peak.hpp"

namespace thew::bind {
namespace {

constexpr Isa kIsas[] = {Isa::avx512, Isa::avx2, Isa::x86_64_v2, Isa::neon};  // best first

nb::list isas() {
    nb::list names;
    for (Isa isa : kIsas) {
        if (supported(isa)) names.append(isa_name(isa));
    }
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
    return facts;
}

}  // namespace

void bind_device(nb::module_& module) {
    module.def("device", &device, "CPU model, ISAs, features, caches (bytes), cores and quota, as a dictionary.");
    module.def(
        "measure_peak_flops",
        [](const std::string& isa, const std::string& dtype) {
            for (Isa candidate : kIsas) {
                if (isa == isa_name(candidate))
                    return measure_peak_gflops(candidate, dtype_from_name(dtype), 0.05) * 1e9;
            }
            return 0.0;
        },
        nb::arg("isa"), nb::arg("dtype"), "Fused multiply-adds' operations a second of one core, measured now.");
    module.def("allowed_cpus", &allowed_cpus, "Logical CPUs in the process's affinity mask.");
}

}  // namespace thew::bind
