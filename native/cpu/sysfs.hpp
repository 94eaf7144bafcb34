// The small text files by which Linux describes a machine. A file that is missing or says nothing usable yields an
// empty answer, never an error: every caller has a fallback.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace thew {

std::string file_text(const std::string& path);                   // without surrounding blanks
std::optional<std::int64_t> parse_size(const std::string& text);  // "32K" → 32768, "1024" → 1024
std::vector<int> parse_list(const std::string& text);             // "0-2,5" → 0 1 2 5

}  // namespace thew
