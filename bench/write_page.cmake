# Turns the style and the script of reports into bytes inside the program.
set(text "#include \"bench/page.h\"\n\n")
foreach(part style script)
  file(READ ${${part}} content HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," content "${content}")
  string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" content "${content}")
  string(APPEND text "const char page_${part}[] = {\n${content} 0 };\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
