# version_world.c is what the others share.
file(GLOB version_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/version_*.c)
list(REMOVE_ITEM version_tests ${CMAKE_CURRENT_LIST_DIR}/version_world.c)
foreach(source ${version_tests})
  get_filename_component(name ${source} NAME_WE)
  kiwi_test(${name} SOURCES ${source} ${CMAKE_CURRENT_LIST_DIR}/version_world.c LINK room_version)
endforeach()
