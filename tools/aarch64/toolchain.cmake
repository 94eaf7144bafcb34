# Cross-compiles for 64-bit Arm Linux with Debian's compiler, against the Python headers of a sysroot
# (-DTHEW_SYSROOT=DIR, made by sysroot.py). The C and C++ libraries are the cross compiler's own.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES THEW_SYSROOT)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(Python_INCLUDE_DIR "${THEW_SYSROOT}/usr/include/python3.11" CACHE PATH "" FORCE)
# Debian's pyconfig.h includes <aarch64-linux-gnu/python3.11/pyconfig.h>.
set(CMAKE_CXX_FLAGS_INIT "-idirafter ${THEW_SYSROOT}/usr/include")
