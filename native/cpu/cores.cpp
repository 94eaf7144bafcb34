// Kinds come from the scheduler's capacity where the kernel tells it, else from the highest frequency, and from the
// core's model. Cores of one kind differ by a few per cent at most (favoured cores of a turbo), kinds by far more.
#include "cpu/cores.hpp"

#include <algorithm>
#include <sstream>
#include <tuple>

#include "base/affinity.hpp"
#include "cpu/midr.hpp"
#include "cpu/sysfs.hpp"

namespace thew {
namespace {

constexpr double kSameKind = 0.88;  // of the strength of the one before

std::int64_t number(const std::string& path) { return parse_size(file_text(path)).value_or(0); }

std::int64_t strength(const Core& core) { return core.capacity > 0 ? core.capacity : core.max_khz; }

void sort_into_kinds(std::vector<Core>& cores) {
    std::vector<Core*> order;
    for (Core& core : cores) order.push_back(&core);
    std::stable_sort(order.begin(), order.end(), [](const Core* a, const Core* b) {
        return std::tuple(strength(*b), a->model) < std::tuple(strength(*a), b->model);
    });
    for (std::size_t i = 1; i < order.size(); ++i) {
        const Core &before = *order[i - 1], &core = *order[i];
        const bool same = core.model == before.model &&
                          static_cast<double>(strength(core)) >= kSameKind * static_cast<double>(strength(before));
        order[i]->kind = before.kind + (same ? 0 : 1);
    }
}

// The text after the colon of the first line of /proc/cpuinfo that opens with `field`.
std::string cpuinfo_text(const std::string& text, const std::string& field) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const auto colon = line.find(": ");
        if (line.starts_with(field) && colon != std::string::npos) return line.substr(colon + 2);
    }
    return "";
}

std::string machine_model(const std::vector<Core>& cores, const std::string& root) {
    const std::string name = cpuinfo_text(file_text(root + "/proc/cpuinfo"), "model name");
    if (!name.empty()) return name;
    std::vector<std::string> models;
    for (const Core& core : cores) {
        if (!core.model.empty() && std::find(models.begin(), models.end(), core.model) == models.end()) {
            models.push_back(core.model);
        }
    }
    std::string joined;
    for (const std::string& model : models) joined += (joined.empty() ? "" : " + ") + model;
    return joined.empty() ? "unknown" : joined;
}

// quota / period of one control group; 0 where it sets none.
double version_2_quota(const std::string& folder) {
    std::istringstream fields(file_text(folder + "/cpu.max"));
    double quota = 0, period = 0;
    return fields >> quota >> period && quota > 0 && period > 0 ? quota / period : 0;  // "max" is no number
}
double version_1_quota(const std::string& folder) {
    const std::int64_t quota = number(folder + "/cpu.cfs_quota_us"), period = number(folder + "/cpu.cfs_period_us");
    return quota > 0 && period > 0 ? static_cast<double>(quota) / static_cast<double>(period) : 0;
}

// A group is bound by its ancestors too: the least of all those set, from `path` up to the hierarchy's root.
double least_quota(const std::string& mount, std::string path, double (*quota_of)(const std::string&)) {
    double least = 0;
    for (;;) {
        const double quota = quota_of(mount + path);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
        const auto slash = path.rfind('/');
        if (slash == std::string::npos) return least;
        path.erase(slash);
    }
}

}  // namespace

double control_group_quota(const std::string& root) {
    const std::string mount = root + "/sys/fs/cgroup";
    std::istringstream groups(file_text(root + "/proc/self/cgroup"));
    double least = 0;
    const auto take = [&least](double quota) {
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
    };
    for (std::string line; std::getline(groups, line);) {  // "4:cpu,cpuacct:/a/b", in version 2 "0::/a/b"
        const auto first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1) + ",";
        const std::string path = line.substr(second + 1);
        if (controllers == ",") {
            take(least_quota(mount, path, version_2_quota));
        } else if (controllers.starts_with("cpu,") || controllers.find(",cpu,") != std::string::npos) {
            take(least_quota(mount + "/cpu", path, version_1_quota));
        }
    }
    return least;
}

Cpu describe_cpu(const std::string& root) {
    const std::string folder = root + "/sys/devices/system/cpu/";
    const std::vector<int> allowed = allowed_cpus();
    std::vector<int> online = parse_list(file_text(folder + "online"));
    if (online.empty()) online = allowed;
    Cpu found;
    for (int cpu : online) {
        const std::string one = folder + "cpu" + std::to_string(cpu);
        const ArmCore* core = find_core(read_midr(cpu, root));
        found.cores.push_back({cpu, core != nullptr ? core->name : "", number(one + "/cpu_capacity"),
                               number(one + "/cpufreq/cpuinfo_max_freq"), 0,
                               std::binary_search(allowed.begin(), allowed.end(), cpu)});
    }
    sort_into_kinds(found.cores);
    found.model = machine_model(found.cores, root);
    found.quota = control_group_quota(root);
    return found;
}

int Cpu::strongest() const {
    const Core* best = nullptr;
    for (const Core& core : cores) {
        if (core.allowed && (best == nullptr || core.kind < best->kind)) best = &core;
    }
    return best != nullptr ? best->cpu : cores.front().cpu;
}

}  // namespace thew
