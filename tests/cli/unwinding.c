/*
 * One C function up on arm64, by what a file says for exceptions (src/remote/unwind_arm64.c): a file that is made here, with the
 * entries of two functions that follow each other, and a stack whose words tell where they lie. What compilers write is
 * understood; what is odd, damaged or made to deceive is no frame, and changes no register. Each case is told on a line;
 * the exit status says whether all are as they should be.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/remote/cpu.h"
#include "../../src/remote/target_ops.h"

/* Where things lie: the file's headers are mapped apart from its code, as linkers have it. */
#define FILE_AT UINT64_C(0x7a12340000)
enum { FILE_SIZE = 0x4000, HEADERS_SIZE = 0x2000, TABLE = 0x200, FRAMES_MAX = 0x1000 };
enum { FIRST = 0x2100, FIRST_SIZE = 0x40, SECOND = FIRST + FIRST_SIZE, SECOND_SIZE = 0x20, STACK_SIZE = 0x2000 };
enum { SP_AT = 0x800, FP_AT = 0x900 };
#define CALLER UINT64_C(0x7a12342ff0)
#define WORD_AT UINT64_C(0x7a10000000) /* what the stack has at an offset: this, and the offset */

static unsigned char file[FILE_SIZE], stack[STACK_SIZE];
static size_t file_end;          /* what can be read of it */
static size_t frames_at = 0x400; /* where its entries lie */
static uint64_t stack_at;        /* mapped above all else: how wide addresses are is seen there */
static target *t;
static int failures;

static void check(const char *name, bool ok) {
    printf("%s - %s\n", ok ? "ok" : "not ok", name);
    fflush(stdout);
    failures += !ok;
}

/* ---- The process ---- */

static size_t read_part(uint64_t from, unsigned char *to, size_t len, uint64_t at, const unsigned char *bytes,
                        size_t size) {
    if (from < at || from - at >= size) return 0;
    size_t n = size - (size_t)(from - at) < len ? size - (size_t)(from - at) : len;
    memcpy(to, bytes + (from - at), n);
    return n;
}

static size_t made_read(target *made, uint64_t from, void *to, size_t len) {
    (void)made;
    size_t n = read_part(from, to, len, FILE_AT, file, file_end);
    return n > 0 ? n : read_part(from, to, len, stack_at, stack, sizeof stack);
}

static void made_close(target *made) {
    (void)made;
}

static const target_ops MADE = {.read = made_read, .close = made_close};

static void add_map(uint64_t start, uint64_t size, bool executable, const char *path) {
    const target_map m = {
        .start = start, .end = start + size, .readable = true, .executable = executable, .path = strdup(path)};
    if (m.path == NULL || !target_add_map(t, m)) abort();
}

static void map_all(uint64_t stack_address) {
    stack_at = stack_address;
    target_drop_maps(t);
    add_map(FILE_AT, HEADERS_SIZE, false, "/usr/lib/libmade.so");
    add_map(FILE_AT + HEADERS_SIZE, FILE_SIZE - HEADERS_SIZE, true, "/usr/lib/libmade.so");
    add_map(stack_at, STACK_SIZE, false, "[stack]");
}

/* ---- The file ---- */

typedef struct text {
    const unsigned char *bytes;
    size_t n;
} text;

#define TEXT(...)                                                                          \
    (text) {                                                                               \
        (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}) \
    }

/* Call frame instructions (DWARF 5, 7.24); those of the upper two bits have an operand in the others. */
enum { ADVANCE = 0x40, OFFSET = 0x80, RESTORE = 0xc0 };
enum { NOP, SET_LOC, ADVANCE1, ADVANCE2, ADVANCE4, OFFSET_EXT, RESTORE_EXT, UNDEFINED, SAME, REGISTER, REMEMBER };
enum { RESTORE_STATE = 0x0b, DEF_CFA, DEF_CFA_REG, DEF_CFA_OFFSET, DEF_CFA_EXPR, EXPRESSION, OFFSET_SF, DEF_CFA_SF };
enum { DEF_CFA_OFFSET_SF = 0x13, VAL_OFFSET, VAL_OFFSET_SF, VAL_EXPRESSION, SIGNS = 0x2d, ARGS_SIZE = 0x2e };
enum { X19 = 19, X20, X21, X22, FP = 29, LR = 30, SP = 31 };

/* What both functions have in common; entries otherwise than usual where a field is not zero. */
typedef struct made {
    text first;               /* the first function's program */
    const char *letters;      /* default: zR */
    text data;                /* of the letters; default: pointers are relative, of 4 bytes */
    unsigned version, lr;     /* default: 1, LR */
    uint32_t id, back, size;  /* of the common entry, of the way back to it, of the first function */
    uint32_t length, lengths; /* of the first function's entry, of the common one: less or more than there is */
} made;

static size_t written;
static size_t first_entry; /* where it lies */

static void put(uint64_t value, unsigned n) {
    if (written + n > FRAMES_MAX) abort();
    memcpy(file + frames_at + written, &value, n);
    written += n;
}

static void put_text(text b) {
    for (size_t i = 0; i < b.n; i++) put(b.bytes[i], 1);
}

static void end_entry(size_t at, uint32_t length) {
    uint32_t size = length != 0 ? length : (uint32_t)(written - at - 4);
    memcpy(file + frames_at + at, &size, sizeof size);
}

static void put_entry(unsigned place, uint32_t size, text program, uint32_t back, uint32_t length) {
    const size_t at = written;
    put(0, 4);
    put(back != 0 ? back : written, 4);
    put((uint32_t)(place - (frames_at + written)), 4);
    put(size, 4);
    put(0, 1);
    put_text(program);
    end_entry(at, length);
}

static void make_file(const made *m) {
    const text data = m->data.bytes != NULL ? m->data : TEXT(0x1b);
    const char *letters = m->letters != NULL ? m->letters : "zR";
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_phoff = sizeof head,
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = 2};
    const Elf64_Phdr segments[2] = {{.p_type = PT_LOAD}, {.p_type = PT_GNU_EH_FRAME, .p_vaddr = TABLE}};
    memset(file, 0, sizeof file);
    file_end = sizeof file;
    memcpy(file, &head, sizeof head);
    memcpy(file + sizeof head, segments, sizeof segments);
    written = 0;
    put(0, 4);
    put(m->id, 4);
    put(m->version != 0 ? m->version : 1, 1);
    put_text((text){(const unsigned char *)letters, strlen(letters) + 1});
    put(4, 1);    /* units of code */
    put(0x78, 1); /* units of data: -8 */
    put(m->lr != 0 ? m->lr : LR, 1);
    if (letters[0] == 'z') put(data.n, 1);
    put_text(data);
    put_text(TEXT(DEF_CFA, SP, 0));
    end_entry(0, m->lengths);
    first_entry = written;
    put_entry(FIRST, m->size != 0 ? m->size : FIRST_SIZE, m->first, m->back, m->length);
    const size_t second = written;
    put_entry(SECOND, SECOND_SIZE, TEXT(NOP), 0, 0);
    const unsigned char table[4] = {1, 0x1b, 0x03, 0x3b};
    const int32_t words[6] = {(int32_t)frames_at - (TABLE + 4),
                              2,
                              FIRST - TABLE,
                              (int32_t)(frames_at + first_entry) - TABLE,
                              SECOND - TABLE,
                              (int32_t)(frames_at + second) - TABLE};
    memcpy(file + TABLE, table, sizeof table);
    memcpy(file + TABLE + sizeof table, words, sizeof words);
    target_forget(t);
}

/* ---- A step ---- */

static const target_regs NONE = {0};
static target_regs regs;

static target_regs at_offset(unsigned offset) {
    return (target_regs){.ip = FILE_AT + offset,
                         .sp = stack_at + SP_AT,
                         .fp = stack_at + FP_AT,
                         .lr = CALLER,
                         .base = 19,
                         .kbase = 20,
                         .pc = 21,
                         .vm = 22};
}

/* From `offset` in the file, in `regs` then. What is no frame must leave them as they were. */
static bool up(unsigned offset, bool called) {
    const target_regs before = regs = at_offset(offset);
    target_forget(t);
    if (remote_unwind_arm64(t, &regs, called)) return true;
    if (memcmp(&before, &regs, sizeof regs) != 0) check("no frame, no change of registers", false);
    regs = NONE;
    return false;
}

static bool up_from_first(const made *m) {
    make_file(m);
    return up(FIRST + FIRST_SIZE / 2, false);
}

static bool is_frame(uint64_t sp, uint64_t ip) {
    return regs.sp == stack_at + sp && regs.ip == ip;
}

static uint64_t word(uint64_t offset) {
    return WORD_AT + offset;
}

/* A frame of 32 bytes that has x29, x30 and x19: as the first function's usual program leaves it. */
#define FRAME DEF_CFA_OFFSET, 32, OFFSET | FP, 4, OFFSET | LR, 3, OFFSET | X19, 2

static bool is_usual_frame(void) {
    return is_frame(SP_AT + 32, word(SP_AT + 8)) && regs.fp == word(SP_AT) && regs.base == word(SP_AT + 16) &&
           regs.kbase == 20 && regs.pc == 21 && regs.vm == 22;
}

static bool is_leaf(void) {
    return is_frame(SP_AT, CALLER) && regs.base == 19 && regs.fp == stack_at + FP_AT;
}

/* ---- What compilers write ---- */

static void usual(void) {
    const struct {
        const char *name;
        text program;
        bool (*is)(void);
    } programs[] = {
        {"a function without a frame: the register has the return address", TEXT(NOP), is_leaf},
        {"a frame", TEXT(FRAME), is_usual_frame},
        {"a frame that is made later", TEXT(ADVANCE | 9, FRAME), is_leaf},
        {"a frame that was made before", TEXT(ADVANCE | 8, FRAME), is_usual_frame},
        {"rows by one, two and four bytes",
         TEXT(ADVANCE1, 1, ADVANCE2, 1, 0, ADVANCE4, 1, 0, 0, 0, FRAME, ADVANCE4, 9, 0, 0, 0, NOP), is_usual_frame},
        {"a return in the middle",
         TEXT(FRAME, REMEMBER, ADVANCE | 2, RESTORE | LR, RESTORE | FP, RESTORE_EXT, X19, DEF_CFA_OFFSET, 0,
              ADVANCE | 2, RESTORE_STATE),
         is_usual_frame},
        {"a frame that is gone", TEXT(FRAME, ADVANCE | 2, RESTORE | LR, RESTORE | FP, SAME, X19, DEF_CFA_OFFSET, 0),
         is_leaf},
        {"offsets in their long forms",
         TEXT(DEF_CFA_SF, SP, 0x7c, OFFSET_EXT, FP, 4, OFFSET_SF, LR, 3, OFFSET_EXT, X19, 2), is_usual_frame},
        {"registers that nobody asks for",
         TEXT(FRAME, OFFSET_EXT, 0xc8, 0, 1, OFFSET_SF, 0xff, 0xff, 0x7f, 1, RESTORE_EXT, 0xc9, 0, SAME, 0xca, 0,
              ARGS_SIZE, 16),
         is_usual_frame},
        {"a return address that is signed in between", TEXT(ADVANCE | 1, SIGNS, ADVANCE | 1, FRAME), is_usual_frame},
    };
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
        check(programs[i].name, up_from_first(&(made){.first = programs[i].program}) && programs[i].is());

    check("a frame from x29",
          up_from_first(&(made){.first = TEXT(FRAME, DEF_CFA, FP, 16)}) && is_frame(FP_AT + 16, word(FP_AT - 8)));
    check("the same in two instructions",
          up_from_first(&(made){.first = TEXT(FRAME, DEF_CFA_REG, FP, DEF_CFA_OFFSET_SF, 0x7e)}) &&
              is_frame(FP_AT + 16, word(FP_AT - 8)));
    check("the interpreter's registers",
          up_from_first(&(made){.first = TEXT(FRAME, OFFSET | X20, 1, OFFSET | X21, 5, OFFSET | X22, 6)}) &&
              regs.kbase == word(SP_AT + 24) && regs.pc == word(SP_AT - 8) && regs.vm == word(SP_AT - 16));
    check("what handles exceptions is skipped",
          up_from_first(&(made){.first = TEXT(FRAME), .letters = "zPLR", .data = TEXT(0x9b, 1, 2, 3, 4, 0x1b, 0x1b)}) &&
              is_usual_frame());
    check("signed with the other key",
          up_from_first(&(made){.first = TEXT(FRAME), .letters = "zRB"}) && is_usual_frame());
    check("a return address in another form",
          up_from_first(&(made){.first = TEXT(FRAME), .version = 3}) && is_usual_frame());
}

/* A function whose last instruction calls what does not return: the return address is the next function's. */
static void callers(void) {
    make_file(&(made){.first = TEXT(FRAME)});
    check("what calls last is found by its call", up(SECOND, true) && is_usual_frame());
    check("... and what begins there by itself", up(SECOND, false) && is_leaf());
    check("what calls in its midst", up(FIRST + 8, true) && is_usual_frame());
    check("the last function, too, when it calls last", up(SECOND + SECOND_SIZE, true) && is_leaf());
    check("... and nothing is behind it", !up(SECOND + SECOND_SIZE, false));
    check("nothing is before the first", !up(FIRST, true) && !up(FIRST - 4, false) && up(FIRST, false));
    make_file(&(made){.first = TEXT(ADVANCE | 7, FRAME, ADVANCE | 1, DEF_CFA_OFFSET, 0, RESTORE | LR)});
    check("the row of the call, not of what follows", up(FIRST + 32, true) && is_frame(SP_AT + 32, word(SP_AT + 8)));
    check("... and of what stands there", up(FIRST + 32, false) && is_frame(SP_AT, CALLER));
}

/* Signatures lie above what the kernel gives to programs: 39, 48 or 52 bits, as it was built. */
static void signatures(void) {
    static const struct {
        const char *name;
        unsigned bits;
    } kernels[] = {{"39 bits", 39}, {"42 bits", 42}, {"48 bits", 48}, {"52 bits", 52}};
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        const uint64_t end = UINT64_C(1) << kernels[i].bits, signature = UINT64_C(0x7fffffffffffffff) & ~(end - 1);
        map_all(end - 0x10000);
        make_file(&(made){.first = TEXT(FRAME)});
        for (int other = 0; other < 2; other++) { /* all of its bits, and every other one */
            const uint64_t address = end - 0x8000, bits = other ? signature & UINT64_C(0x5555555555555555) : signature;
            const uint64_t kept = address | bits;
            memcpy(stack + SP_AT + 8, &kept, sizeof kept);
            check(kernels[i].name, up(FIRST + 4, false) && is_frame(SP_AT + 32, address));
            regs = at_offset(SECOND + 4);
            regs.lr = kept;
            check("... in the register", remote_unwind_arm64(t, &regs, false) && is_frame(SP_AT, address));
            /* An emulator's mappings on x86-64. */
            if (other == 0) add_map(UINT64_C(0xffffffffff600000), TARGET_PAGE, true, "[vsyscall]");
        }
        const uint64_t again = word(SP_AT + 8);
        memcpy(stack + SP_AT + 8, &again, sizeof again);
    }
    map_all(UINT64_C(0xfffff7f00000));
}

/* ---- What is odd, or made up ---- */

#define HUGE_NUMBER 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01

static void odd_programs(void) {
    const struct {
        const char *name;
        text program;
    } programs[] = {
        {"nothing has called it", TEXT(FRAME, UNDEFINED, LR)},
        {"the return address is in another register", TEXT(REGISTER, LR, 1)},
        {"an expression for the frame", TEXT(FRAME, DEF_CFA_EXPR, 1, 0x9c)},
        {"an expression for a register", TEXT(FRAME, EXPRESSION, LR, 1, 0x9c)},
        {"a register by an expression", TEXT(FRAME, VAL_EXPRESSION, LR, 1, 0x9c)},
        {"an expression that does not end", TEXT(FRAME, DEF_CFA_EXPR, HUGE_NUMBER)},
        {"a register that is a place", TEXT(FRAME, VAL_OFFSET, LR, 1)},
        {"a register that is another place", TEXT(FRAME, VAL_OFFSET_SF, LR, 1)},
        {"a row at an address", TEXT(SET_LOC, 0, 0, 0, 0, FRAME)},
        {"no such instruction", TEXT(0x3f)},
        {"no such instruction, either", TEXT(0x17)},
        {"a frame from x5", TEXT(FRAME, DEF_CFA_REG, 5)},
        {"a frame from x0, which is zero here", TEXT(FRAME, DEF_CFA, 0, 16)},
        {"a frame from a register above all", TEXT(FRAME, DEF_CFA_REG, HUGE_NUMBER)},
        {"a frame from register 2^32 + 31", TEXT(FRAME, DEF_CFA_REG, 0x9f, 0x80, 0x80, 0x80, 0x10)},
        {"a frame from register 2^64 + 31",
         TEXT(FRAME, DEF_CFA_REG, 0x9f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10)},
        {"a frame that ends below the stack", TEXT(FRAME, DEF_CFA_OFFSET_SF, 2)},
        {"a frame above all", TEXT(FRAME, DEF_CFA_OFFSET, HUGE_NUMBER)},
        {"a frame above all, in units",
         TEXT(FRAME, DEF_CFA_SF, SP, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00)},
        {"a frame that is not aligned", TEXT(FRAME, DEF_CFA_OFFSET, 40)},
        {"a frame that is not mapped", TEXT(FRAME, DEF_CFA_OFFSET, 0x80, 0x80, 0x80, 0x10)},
        {"a register that is not mapped", TEXT(FRAME, OFFSET_EXT, X19, 0x80, 0x80, 0x80, 0x10)},
        {"a register above all", TEXT(FRAME, OFFSET_EXT, LR, HUGE_NUMBER)},
        {"a register below all",
         TEXT(FRAME, OFFSET_SF, LR, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f)},
        {"a register of no number", TEXT(FRAME, OFFSET_EXT)},
        {"a number that does not end", TEXT(FRAME, DEF_CFA_OFFSET, 0x80, 0x80, 0x80)},
        {"an operand that is not there", TEXT(ADVANCE4, 0, 0)},
        {"a row restored that was not remembered", TEXT(FRAME, RESTORE_STATE)},
        {"rows remembered without end",
         TEXT(FRAME, REMEMBER, REMEMBER, REMEMBER, REMEMBER, REMEMBER, REMEMBER, REMEMBER, REMEMBER, REMEMBER)},
    };
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
        check(programs[i].name, !up_from_first(&(made){.first = programs[i].program}));

    unsigned char rows[3000];
    memset(rows, ADVANCE, sizeof rows); /* each by nothing */
    check("1900 rows", up_from_first(&(made){.first = {rows, 1900}}) && is_leaf());
    check("more rows than anybody writes", !up_from_first(&(made){.first = {rows, sizeof rows}}));
    for (size_t i = 0; i < 1900; i++) rows[i] = i % 2 == 0 ? REMEMBER : RESTORE_STATE;
    check("950 rows remembered and restored", up_from_first(&(made){.first = {rows, 1900}}) && is_leaf());
    static const uint64_t zero = 0;
    make_file(&(made){.first = TEXT(FRAME)});
    memcpy(stack + SP_AT + 8, &zero, sizeof zero);
    check("a return address of zero", !up(FIRST, false));
    const uint64_t signature = UINT64_C(0x55) << 56, again = word(SP_AT + 8);
    memcpy(stack + SP_AT + 8, &signature, sizeof signature);
    check("a return address of nothing but a signature", !up(FIRST, false));
    memcpy(stack + SP_AT + 8, &again, sizeof again);
    regs = at_offset(SECOND);
    regs.lr = regs.ip;
    check("a function that returns to itself for ever", !remote_unwind_arm64(t, &regs, false));
    regs.lr = 0;
    check("a register that was used up", !remote_unwind_arm64(t, &regs, false));
}

static void odd_entries(void) {
    const struct {
        const char *name;
        made made;
    } entries[] = {
        {"the return address is register 29", {.lr = FP}},
        {"the return address is register 31", {.lr = SP}},
        {"no letters", {.letters = ""}},
        {"letters of old", {.letters = "eh"}},
        {"a signal's frame", {.letters = "zRS"}},
        {"a letter that is not known", {.letters = "zQR"}},
        {"no letter for pointers", {.letters = "z"}},
        {"absolute pointers", {.data = TEXT(0x00)}},
        {"pointers of 8 bytes", {.data = TEXT(0x1c)}},
        {"pointers to pointers", {.data = TEXT(0x9b)}},
        {"letters without their data", {.letters = "zRPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP"}},
        {"a version that is not known", {.version = 4}},
        {"no common entry there", {.id = 1}},
        {"an entry that is its own common one", {.back = 4}},
        {"a common entry far off", {.back = UINT32_MAX}},
        {"an entry without an end", {.length = UINT32_MAX}},
        {"a common entry without an end", {.lengths = UINT32_MAX}},
        {"an entry longer than any", {.length = 2049}},
        {"a common entry longer than any", {.lengths = 2049}},
        {"an entry that is too short", {.length = 11}},
        {"a common entry that is too short", {.lengths = 7}},
        {"a function that ends before", {.size = FIRST_SIZE / 2}},
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        made m = entries[i].made;
        m.first = TEXT(FRAME);
        check(entries[i].name, !up_from_first(&m));
    }
}

/* Entries that end early: what is understood is a row of the program, or nothing. */
static void cut_entries(void) {
    const made whole = {.first = TEXT(ADVANCE | 1, FRAME, ADVANCE | 8, DEF_CFA_OFFSET, 64)};
    bool right = up_from_first(&whole) && is_usual_frame();
    uint32_t length, common;
    memcpy(&length, file + frames_at + first_entry, sizeof length);
    memcpy(&common, file + frames_at, sizeof common);
    unsigned frames = 0;
    for (uint32_t n = 1; n < length; n++) {
        made m = whole;
        m.length = n;
        if (up_from_first(&m)) {
            frames++;
            right = right && (regs.ip == CALLER || regs.ip == word(SP_AT + 8));
        }
    }
    check("an entry cut anywhere", right && frames > 0 && frames < length);
    right = true;
    for (uint32_t n = 1; n < common - 3; n++) {
        made m = whole;
        m.lengths = n;
        if (up_from_first(&m)) right = false;
    }
    check("a common entry cut before its program", right);
    right = true;
    for (uint32_t n = 4; n < first_entry + 4 + length; n++) { /* where a page ends, for less is never there */
        frames_at = TARGET_PAGE - n;
        make_file(&whole);
        right = right && up(FIRST + FIRST_SIZE / 2, false);
        file_end = TARGET_PAGE;
        right = right && !up(FIRST + FIRST_SIZE / 2, false);
    }
    frames_at = 0x400;
    check("a file cut anywhere", right);
}

static void odd_headers(void) {
    static const uint64_t huge = UINT64_MAX - 8, page = TARGET_PAGE;
    static const uint32_t all = UINT32_MAX, one = 1, none = 0;
    static const uint16_t many = UINT16_MAX, small = 8;
    static const unsigned char bits32 = ELFCLASS32, version = 2, pointer = 0x1c;
    static const int32_t far = INT32_MIN, middle = 0x7ffffff0;
    const size_t segment = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
    const struct {
        const char *name;
        size_t at;
        const void *bytes;
        size_t n;
    } headers[] = {
        {"a file without a head", EI_MAG1, &version, 1},
        {"a file of 32 bits", EI_CLASS, &bits32, 1},
        {"segments beyond all memory", offsetof(Elf64_Ehdr, e_phoff), &huge, sizeof huge},
        {"segments beyond the file", offsetof(Elf64_Ehdr, e_phoff), &(const uint64_t){FILE_SIZE}, sizeof huge},
        {"segments without number", offsetof(Elf64_Ehdr, e_phnum), &many, sizeof many},
        {"segments of another size", offsetof(Elf64_Ehdr, e_phentsize), &small, sizeof small},
        {"no segment of code", sizeof(Elf64_Ehdr), &none, sizeof none},
        {"no table", segment, &one, sizeof one},
        {"a table beyond all memory", segment + offsetof(Elf64_Phdr, p_vaddr), &huge, sizeof huge},
        {"a table that is none", segment + offsetof(Elf64_Phdr, p_vaddr), &page, sizeof page},
        {"a table of another version", TABLE, &version, 1},
        {"a table with other pointers", TABLE + 1, &pointer, 1},
        {"a table with another count", TABLE + 2, &pointer, 1},
        {"a table with other entries", TABLE + 3, &pointer, 1},
        {"a table without end", TABLE + 8, &all, sizeof all},
        {"an empty table", TABLE + 8, &none, sizeof none},
        {"an entry far below", TABLE + 16, &far, sizeof far},
        {"an entry far above", TABLE + 16, &middle, sizeof middle},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        make_file(&(made){.first = TEXT(FRAME)});
        memcpy(file + headers[i].at, headers[i].bytes, headers[i].n);
        check(headers[i].name, !up(FIRST + 4, false));
    }
    make_file(&(made){.first = TEXT(FRAME)});
    check("what is not mapped", !up(FILE_SIZE + 4, false) && !up(0, true));
    target_drop_maps(t);
    check("nothing is mapped", !up(FIRST + 4, false));
    map_all(stack_at);
}

/* ---- Anything ---- */

static uint64_t state = 1;
static unsigned chance(unsigned n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

static void change(void) {
    const size_t at = chance(8) == 0   ? chance(sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr))
                      : chance(4) == 0 ? TABLE + chance(28)
                                       : frames_at + chance((unsigned)written);
    switch (chance(4)) {
    case 0: file[at] ^= (unsigned char)(1U << chance(8)); break;
    case 1: file[at] = (unsigned char)chance(256); break;
    case 2: file[at] = 0xff; break;
    default:
        file[at] = (unsigned char)(chance(2) == 0 ? chance(0x30) : file[frames_at + chance((unsigned)written)]);
        break;
    }
}

static void anything(void) {
    enum { ROUNDS = 60000 };
    unsigned frames = 0;
    bool right = true;
    for (unsigned i = 0; i < ROUNDS; i++) {
        make_file(&(made){
            .first = TEXT(ADVANCE | 1, REMEMBER, FRAME, OFFSET | X20, 1, SIGNS, ADVANCE | 8, RESTORE_STATE, SAME, X21),
            .letters = i % 2 == 0 ? "zR" : "zPLR",
            .data = i % 2 == 0 ? TEXT(0x1b) : TEXT(0x9b, 1, 2, 3, 4, 0x1b, 0x1b)});
        for (unsigned n = 1 + chance(6); n > 0; n--) change();
        if (!up(FIRST + 4 * chance((FIRST_SIZE + SECOND_SIZE) / 4), chance(2) == 0)) continue;
        frames++;
        right = right && regs.sp >= stack_at + SP_AT && regs.sp % 16 == 0 && regs.ip != 0;
    }
    printf("# %u files, %u of them with a frame\n", ROUNDS, frames);
    check("files that are changed anywhere", right && frames > ROUNDS / 8 && frames < ROUNDS);
}

int main(void) {
    alarm(120);
    t = target_new(&MADE, 1);
    if (t == NULL) return 1;
    t->cpu = CPU_ARM64;
    for (uint64_t i = 0; i < STACK_SIZE; i += 8) {
        const uint64_t value = word(i);
        memcpy(stack + i, &value, sizeof value);
    }
    map_all(UINT64_C(0xfffff7f00000));
    usual();
    callers();
    signatures();
    odd_programs();
    odd_entries();
    cut_entries();
    odd_headers();
    anything();
    target_close(t);
    if (failures > 0) printf("%d checks failed\n", failures);
    return failures > 0;
}
