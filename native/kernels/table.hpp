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

// At namespace thew, in contract.hpp: declares `name` for every ISA; those not compiled are never referred to.
#define THEW_DECLARE_TABLES(Entry, name)            \
    namespace x86_64_v2 {                           \
    extern const ::thew::Table<::thew::Entry> name; \
    }                                               \
    namespace avx2 {                                \
    extern const ::thew::Table<::thew::Entry> name; \
    }                                               \
    namespace avx512 {                              \
    extern const ::thew::Table<::thew::Entry> name; \
    }                                               \
    namespace neon {                                \
    extern const ::thew::Table<::thew::Entry> name; \
    }

// In step.cpp: the compiled tables, each followed by a comma, for a braced list of `const Table<Entry>*`.
#ifdef THEW_HAVE_x86_64_v2
#define THEW_TABLE_x86_64_v2(name) &::thew::x86_64_v2::name,
#else
#define THEW_TABLE_x86_64_v2(name)
#endif
#ifdef THEW_HAVE_avx2
#define THEW_TABLE_avx2(name) &::thew::avx2::name,
#else
#define THEW_TABLE_avx2(name)
#endif
#ifdef THEW_HAVE_avx512
#define THEW_TABLE_avx512(name) &::thew::avx512::name,
#else
#define THEW_TABLE_avx512(name)
#endif
#ifdef THEW_HAVE_neon
#define THEW_TABLE_neon(name) &::thew::neon::name,
#else
#define THEW_TABLE_neon(name)
#endif
#define THEW_TABLE_LIST(name) \
    THEW_TABLE_x86_64_v2(name) THEW_TABLE_avx2(name) THEW_TABLE_avx512(name) THEW_TABLE_neon(name)
#define THEW_TABLES(name) \
    { THEW_TABLE_LIST(name) }
