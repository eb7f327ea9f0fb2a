# The eBPF program of `ljinspect record`, compiled by clang and carried in the command as bytes. Sets LJINSPECT_EBPF_HERE,
# and STILL_PROGRAM to the header with the bytes. Without clang or libbpf the command is built without.

set(LJINSPECT_EBPF_HERE OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    set(BPF_PROCESSOR __x86_64__)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(BPF_PROCESSOR __aarch64__)
endif()
if(LJINSPECT_EBPF AND BPF_PROCESSOR)
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(LIBBPF QUIET IMPORTED_TARGET libbpf>=1.0)
    endif()
    # One that can compile for eBPF; the compiler of everything else may be another.
    find_program(LJINSPECT_CLANG NAMES clang clang-21 clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14
                 DOC "clang, for eBPF")
    set(BPF_FLAGS --target=bpf -mcpu=v2 -O2 -g -ffreestanding -Wall -Wextra -Wno-unused-parameter
                  # No trace of the directory of the build.
                  -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.
                  # The C library's headers ask what processor it is, and so does the program.
                  -D${BPF_PROCESSOR})
    if(CMAKE_CROSSCOMPILING)
        foreach(root IN LISTS CMAKE_FIND_ROOT_PATH)
            list(APPEND BPF_FLAGS -nostdlibinc -idirafter ${root}/usr/include
                                  -idirafter ${root}/usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
        endforeach()
    elseif(CMAKE_LIBRARY_ARCHITECTURE)
        list(APPEND BPF_FLAGS -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
    endif()
    if(LIBBPF_FOUND AND LJINSPECT_CLANG)
        execute_process(COMMAND ${LJINSPECT_CLANG} ${BPF_FLAGS} -fsyntax-only src/bpf/still.bpf.c
                        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} RESULT_VARIABLE FAILED ERROR_VARIABLE REASON)
        if(FAILED EQUAL 0)
            set(LJINSPECT_EBPF_HERE ON)
        else()
            message(WARNING "ljinspect record is built without eBPF; clang does not compile its program:\n${REASON}")
        endif()
    else()
        message(STATUS "ljinspect record is built without eBPF: clang or libbpf 1.0 (Debian: libbpf-dev) was not found")
    endif()
endif()

if(LJINSPECT_EBPF_HERE)
    set(STILL_PROGRAM ${PROJECT_BINARY_DIR}/generated/still_program.h)
    set(STILL_OBJECT ${PROJECT_BINARY_DIR}/generated/still.bpf.o)
    if(LJINSPECT_WERROR)
        list(APPEND BPF_FLAGS -Werror)
    endif()
    add_custom_command(OUTPUT ${STILL_PROGRAM} BYPRODUCTS ${STILL_OBJECT}
                       COMMAND ${LJINSPECT_CLANG} ${BPF_FLAGS} -c src/bpf/still.bpf.c -o ${STILL_OBJECT}
                       COMMAND ${CMAKE_COMMAND} -DFROM=${STILL_OBJECT} -DTO=${STILL_PROGRAM} -DNAME=STILL_PROGRAM -P
                               cmake/embed.cmake
                       WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                       DEPENDS src/bpf/still.bpf.c src/bpf/still.h src/vm/vm_offsets.h src/vm/vm_x64.h src/vm/vm_arm64.h
                               cmake/embed.cmake)
endif()
