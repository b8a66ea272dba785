# pailfs_room(NAME SOURCES ... USES ...): one room of the architecture as one target, which sees only
# the rooms it may look at. Headers are included by their path from the top ("db/db.h"); a room's
# include directory is a folder of links to itself and to the rooms it uses, so an include that
# crosses the arrows of ARCHITECTURE.md does not compile.
function(pailfs_room name)
    cmake_parse_arguments(R "" "" "SOURCES;USES;LIBS" ${ARGN})
    set(view ${CMAKE_BINARY_DIR}/view/${name})
    file(MAKE_DIRECTORY ${view})
    foreach(seen ${name} ${R_USES})
        if(EXISTS ${CMAKE_SOURCE_DIR}/${seen})
            file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${seen} ${view}/${seen} SYMBOLIC)
        endif()
    endforeach()
    add_library(${name} STATIC ${R_SOURCES})
    target_include_directories(${name} PRIVATE ${view})
    target_link_libraries(${name} PRIVATE pailfs_warnings PUBLIC ${R_LIBS})
    foreach(used ${R_USES})
        target_link_libraries(${name} PUBLIC ${used})
    endforeach()
endfunction()
