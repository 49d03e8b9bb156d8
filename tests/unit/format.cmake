# One test program a file kind; msgpack-c is the oracle of what is encoded by hand.
file(GLOB format_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/format_*.c)
foreach(source ${format_tests})
  get_filename_component(name ${source} NAME_WE)
  kiwi_test(${name} SOURCES ${source} LINK room_format PkgConfig::MSGPACK)
endforeach()
