// Reading is bounded: descriptions are short, and what is longer is no description.
#include "cpu/sysfs.hpp"

#include <charconv>
#include <fstream>
#include <iterator>

namespace thew {
namespace {

constexpr std::size_t kLongest = 1 << 20;  // /proc/cpuinfo of several hundred cores
constexpr int kMostCpus = 1 << 16;

const char* parse_integer(const char* from, const char* end, std::int64_t& value) {
    const auto [rest, error] = std::from_chars(from, end, value);
    return error == std::errc() && value >= 0 ? rest : nullptr;
}

}  // namespace

std::string file_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text;
    for (std::istreambuf_iterator<char> from(file), end; from != end && text.size() < kLongest; ++from) {
        text.push_back(*from);
    }
    const auto first = text.find_first_not_of(" \t\n");
    if (first == std::string::npos) return "";
    return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

std::optional<std::int64_t> parse_size(const std::string& text) {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const char* rest = parse_integer(text.data(), end, value);
    if (rest == nullptr || value > INT64_MAX >> 30) return std::nullopt;
    if (rest == end) return value;
    if (end - rest > 1) return std::nullopt;
    if (*rest == 'K') return value << 10;
    if (*rest == 'M') return value << 20;
    return std::nullopt;
}

std::vector<int> parse_list(const std::string& text) {
    std::vector<int> list;
    const char* from = text.data();
    const char* end = from + text.size();
    while (from != nullptr && from < end) {
        std::int64_t first = 0, last = 0;
        from = parse_integer(from, end, first);
        if (from == nullptr) return {};
        last = first;
        if (from < end && *from == '-') from = parse_integer(from + 1, end, last);
        if (from == nullptr || last < first || last >= kMostCpus || (from < end && *from != ',')) return {};
        for (std::int64_t cpu = first; cpu <= last; ++cpu) list.push_back(static_cast<int>(cpu));
        ++from;
    }
    return list;
}

}  // namespace thew
