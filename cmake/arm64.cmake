# Toolchain for arm64 on Debian (gcc-aarch64-linux-gnu), with what cmake/fetch-arm64.sh unpacked: LuaJIT and cmocka to link
# with, and the C library that programs run with under qemu-user (qemu-user-static).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

get_filename_component(ARM64_DEBS ${CMAKE_CURRENT_LIST_DIR}/../build/arm64 ABSOLUTE)
if(NOT EXISTS ${ARM64_DEBS}/done)
    message(FATAL_ERROR "Nothing in ${ARM64_DEBS}: cmake/fetch-arm64.sh unpacks there what this build needs")
endif()
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${ARM64_DEBS}/root)
set(CMAKE_FIND_ROOT_PATH ${ARM64_DEBS}/root)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${ARM64_DEBS}/root)
set(ENV{PKG_CONFIG_LIBDIR} ${ARM64_DEBS}/root/usr/lib/aarch64-linux-gnu/pkgconfig)
# What libraries need of each other.
set(CMAKE_EXE_LINKER_FLAGS_INIT
    "-Wl,-rpath-link,${ARM64_DEBS}/root/lib/aarch64-linux-gnu:${ARM64_DEBS}/root/usr/lib/aarch64-linux-gnu")
