#[[
FindLuaJIT: LuaJIT's headers and its shared library, for programs that embed it.

    LuaJIT::LuaJIT        imported target, unless a target of that name exists already: a host that has its own LuaJIT
                          defines it before find_package()
    LuaJIT_FOUND
    LuaJIT_VERSION        "2.1.0", as luajit.h says
    LuaJIT_INCLUDE_DIR    the directory with lua.h and luajit.h
    LuaJIT_LIBRARY        the library
]]

if(TARGET LuaJIT::LuaJIT)
    set(LuaJIT_FOUND TRUE)
    return()
endif()

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(PC_LuaJIT QUIET luajit)
endif()

find_path(LuaJIT_INCLUDE_DIR luajit.h
          HINTS ${PC_LuaJIT_INCLUDEDIR} ${PC_LuaJIT_INCLUDE_DIRS}
          PATH_SUFFIXES luajit-2.1 luajit-2.0 luajit)
find_library(LuaJIT_LIBRARY NAMES luajit-5.1 luajit HINTS ${PC_LuaJIT_LIBDIR} ${PC_LuaJIT_LIBRARY_DIRS})

if(LuaJIT_INCLUDE_DIR)
    file(STRINGS ${LuaJIT_INCLUDE_DIR}/luajit.h LuaJIT_VERSION REGEX "^#define[ \t]+LUAJIT_VERSION[ \t]+\"")
    string(REGEX REPLACE ".*\"LuaJIT ([0-9]+(\\.[0-9]+)*).*" "\\1" LuaJIT_VERSION "${LuaJIT_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LuaJIT REQUIRED_VARS LuaJIT_LIBRARY LuaJIT_INCLUDE_DIR VERSION_VAR LuaJIT_VERSION)
mark_as_advanced(LuaJIT_INCLUDE_DIR LuaJIT_LIBRARY)

if(LuaJIT_FOUND)
    add_library(LuaJIT::LuaJIT UNKNOWN IMPORTED)
    set_target_properties(LuaJIT::LuaJIT PROPERTIES IMPORTED_LOCATION ${LuaJIT_LIBRARY}
                                                    INTERFACE_INCLUDE_DIRECTORIES ${LuaJIT_INCLUDE_DIR})
endif()
