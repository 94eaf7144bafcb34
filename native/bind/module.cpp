// The native module. Exceptions of native code become those of thew.errors.
#include "base/error.hpp"
#include "bind/bind.hpp"

namespace nb = nanobind;

namespace {

void raise(const char* type, const char* message) {
    nb::object error = nb::module_::import_("thew.errors").attr(type);
    PyErr_SetString(error.ptr(), message);
}

}  // namespace

NB_MODULE(_native, module) {
    nb::set_leak_warnings(false);
    nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
        try {
            std::rethrow_exception(pointer);
        } catch (const thew::MemoryError& error) {
            raise("MemoryLimitError", error.what());
        } catch (const thew::PlanError& error) {
            raise("PlanError", error.what());
        } catch (const thew::Error& error) {  // data or an argument that break a rule
            raise("InputError", error.what());
        } catch (const std::bad_alloc&) {
            raise("MemoryLimitError", "native code: an allocation was refused; use a smaller model or input");
        }
    });
    thew::bind::bind_data(module);
    thew::bind::bind_device(module);
    thew::bind::bind_kernels(module);
    thew::bind::bind_program(module);
}
