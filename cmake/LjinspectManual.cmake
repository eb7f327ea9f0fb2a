# Manual pages from where things are documented (docs/manual/pages.lua), made with any Lua that this machine has; and the target
# `manual`, the same and the guides as HTML, with mandoc and lowdown.

find_program(LJINSPECT_LUA NAMES luajit lua lua5.4 lua5.3 lua5.2 lua5.1)
mark_as_advanced(LJINSPECT_LUA)

set(MANUAL_FROM ${PROJECT_SOURCE_DIR}/docs/manual)
set(MANUAL_PAGES ${PROJECT_BINARY_DIR}/man)
file(GLOB_RECURSE MANUAL_SOURCES CONFIGURE_DEPENDS ${MANUAL_FROM}/*.lua ${PROJECT_SOURCE_DIR}/editors/lua/*.lua)
list(APPEND MANUAL_SOURCES ${PROJECT_SOURCE_DIR}/include/ljinspect.h ${PROJECT_SOURCE_DIR}/docs/messages.md
     ${PROJECT_SOURCE_DIR}/docs/ljinspect.1)

if(NOT LJINSPECT_LUA)
    message(WARNING "No Lua was found to make manual pages with: ljinspect(3), ljinspect-lua(3) and ljinspect-messages(7) are "
                    "neither made nor installed. LJINSPECT_MANUAL=OFF says that this is meant.")
    return()
endif()

add_custom_command(OUTPUT ${MANUAL_PAGES}/made
                   COMMAND ${CMAKE_COMMAND} -E rm -rf ${MANUAL_PAGES}
                   COMMAND ${CMAKE_COMMAND} -E make_directory ${MANUAL_PAGES}/man3 ${MANUAL_PAGES}/man7
                   COMMAND ${LJINSPECT_LUA} ${MANUAL_FROM}/pages.lua ${PROJECT_SOURCE_DIR} ${MANUAL_PAGES}
                   COMMAND ${CMAKE_COMMAND} -E touch ${MANUAL_PAGES}/made
                   DEPENDS ${MANUAL_SOURCES} VERBATIM)
add_custom_target(man ALL DEPENDS ${MANUAL_PAGES}/made)

install(DIRECTORY ${MANUAL_PAGES}/man3 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT ljinspect_development
        PATTERN ljinspect-lua.3 EXCLUDE)
if(LJINSPECT_MODULE)
    install(FILES ${MANUAL_PAGES}/man3/ljinspect-lua.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3
            COMPONENT ljinspect_module)
    install(FILES ${MANUAL_PAGES}/man7/ljinspect-messages.7 DESTINATION ${CMAKE_INSTALL_MANDIR}/man7
            COMPONENT ljinspect_module)
endif()

find_program(LJINSPECT_MANDOC mandoc)
find_program(LJINSPECT_LOWDOWN lowdown)
mark_as_advanced(LJINSPECT_MANDOC LJINSPECT_LOWDOWN)
if(LJINSPECT_MANDOC AND LJINSPECT_LOWDOWN)
    add_custom_target(manual
                      COMMAND ${CMAKE_COMMAND} -E rm -rf ${PROJECT_BINARY_DIR}/manual
                      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/manual
                      COMMAND ${LJINSPECT_LUA} ${MANUAL_FROM}/html.lua ${PROJECT_SOURCE_DIR} ${MANUAL_PAGES}
                              ${PROJECT_BINARY_DIR}/manual
                      COMMAND ${CMAKE_COMMAND} -E echo "The manual: ${PROJECT_BINARY_DIR}/manual/index.html"
                      DEPENDS ${MANUAL_PAGES}/made VERBATIM)
    add_dependencies(manual man)
else()
    add_custom_target(manual
                      COMMAND ${CMAKE_COMMAND} -E echo "The manual as HTML takes mandoc and lowdown (Debian: mandoc, lowdown)"
                      COMMAND ${CMAKE_COMMAND} -E false VERBATIM)
endif()
