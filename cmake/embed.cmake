# Make a C header of a file: cmake -DFROM=file -DTO=header -DNAME=array -P embed.cmake. The array ends with a zero.
file(READ ${FROM} BYTES HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," BYTES "${BYTES}")
string(REGEX REPLACE "(0x0a,)" "\\1\n" BYTES "${BYTES}") # a line of the file, a line of the header
file(WRITE ${TO} "static const unsigned char ${NAME}[] = {\n${BYTES}0x00};\n")
