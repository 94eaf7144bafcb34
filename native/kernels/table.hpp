// A family's rows as its kernel units export them: one table an ISA, in the ISA's namespace. Plain data only (see
// base/tensor.hpp). An entry has a `Row row` and whatever function pointers the family calls.
#pragma once

#include "kernels/row.hpp"

namespace thew {

template <class Entry>
struct Table {
    const Entry* entries;
    int count;
};

}  // namespace thew

// At namespace thew, in contract.hpp: declares `name` in the ISA of this unit, or in all; those not compiled are never
// referred to.
#define THEW_DECLARE_TABLE(isa, Entry, name)        \
    namespace isa {                                 \
    extern const ::thew::Table<::thew::Entry> name; \
    }
#ifdef THEW_ISA
#define THEW_DECLARE_TABLES(Entry, name) THEW_DECLARE_TABLE(THEW_ISA, Entry, name)
#else
#define THEW_DECLARE_TABLES(Entry, name) THEW_EACH_ISA(THEW_DECLARE_TABLE, Entry, name)
#endif

// In step.cpp: the tables of units of a kind (isas.cmake), each followed by a comma, for a braced list of
// `const Table<Entry>*`.
#define THEW_TABLE(isa, name) &::thew::isa::name,
#define THEW_TABLE_LIST(kind, name) THEW_EACH_ISA_##kind(THEW_TABLE, name)
#define THEW_TABLES(kind, name) \
    { THEW_TABLE_LIST(kind, name) }
