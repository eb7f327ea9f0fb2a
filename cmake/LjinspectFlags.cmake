# Compiler and linker flags of our own targets; nothing here reaches those who use the library.

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()
# Optimised, with symbols, and with assert() at work unless the build type is Release.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

# Sanitizers go into everything that is built here, tests and examples included.
if(LJINSPECT_SANITIZE)
    string(REPLACE ";" "," LJINSPECT_SANITIZE_LIST "${LJINSPECT_SANITIZE}")
    add_compile_options(-fsanitize=${LJINSPECT_SANITIZE_LIST} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${LJINSPECT_SANITIZE_LIST})
    if("undefined" IN_LIST LJINSPECT_SANITIZE)
        add_compile_options(-fno-sanitize-recover=undefined)
        add_link_options(-fno-sanitize-recover=undefined)
    endif()
endif()

# Coverage, which fuzzers go by, in all that they may link.
if(LJINSPECT_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

function(ljinspect_flags target)
    set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
    # Empty, as the sources that define it for themselves do: the same definition twice is none too many.
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE=)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wconversion -Wshadow
                                             -Wstrict-prototypes -fstack-protector-strong>)
    if(LJINSPECT_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    # It needs an optimising compiler, and the sanitizers check more by themselves. Debian and others set it already.
    if(NOT LJINSPECT_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
        target_compile_options(${target} PRIVATE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    endif()
endfunction()
