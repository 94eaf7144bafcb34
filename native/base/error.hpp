// Typed failures of the native side; bind/ turns them into thew.errors. Never thrown by kernel units.
// A message follows the house form: "where: rule, what was got, remedy".
#pragma once

#include <stdexcept>
#include <string>

namespace thew {

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct PlanError : Error {  // a step that no kernel can run as described
    using Error::Error;
};
struct MemoryError : Error {  // an allocation refused, or over the limit that the user set
    using Error::Error;
};

inline void require(bool holds, const std::string& message) {
    if (!holds) throw PlanError(message);
}

}  // namespace thew
