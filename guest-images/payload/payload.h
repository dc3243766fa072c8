/* The payload's parts. Everything here runs at privilege level 3 with all ports and all memory open to it. */
#ifndef PAYLOAD_H
#define PAYLOAD_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* ports.c, in line: */
static inline void out8(u16 port, u8 value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline void out16(u16 port, u16 value) { asm volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
static inline void out32(u16 port, u32 value) { asm volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static inline u32 in32(u16 port) { u32 value; asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port)); return value; }
static inline u64 cycles(void) { u32 low, high; asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory"); return (u64)high << 32 | low; }
static inline void barrier(void) { asm volatile("" : : : "memory"); }
static inline void fence(void) { asm volatile("lock addl $0, (%%rsp)" : : : "memory"); }

#define MMIO8(address) (*(volatile u8 *)(u64)(address))
#define MMIO16(address) (*(volatile u16 *)(u64)(address))
#define MMIO32(address) (*(volatile u32 *)(u64)(address))
#define MMIO64(address) (*(volatile u64 *)(u64)(address))

/* entry.S: what UD2 asks of privilege level 0 */
#define SUPERVISOR_XSETBV 1
#define SUPERVISOR_STI 2
extern volatile u64 start_info, boot_params, interrupt_count;
extern volatile u64 exception_vector, exception_error, exception_rip, exception_cr2;
extern u8 exception_stubs[], interrupt_stub[];
extern u64 idt[512], pml4[512];

/* console.c */
void put_char(char c);
void put_text(const char *text);
void put_number(u64 value);
void put_hex(u64 value);
/* "name=value " */
void report(const char *name, u64 value);
void use_console(u16 port);

/* options.c */
void find_options(void);
/* Value of "name=NUMBER" (decimal, or hexadecimal with 0x) on the command line; fallback if it is not there. */
u64 option(const char *name, u64 fallback);
/* Whether the word, or word=..., stands on the command line. */
int has_option(const char *name);
/* Text after "name=", up to a blank; 0 if it is not there. */
const char *option_text(const char *name);
u64 parse_number(const char **text);
int text_is(const char *text, const char *word);

/* machine.c */
void set_up_interrupts(void);
void end_machine(void) __attribute__((noreturn));
/* Makes a physical range above 4 GiB accessible. */
void map_range(u64 address, u64 length);

/* modes */
void run_exits(void);
void run_mmio(void);
void run_dirty(void);
void run_interrupts(void);
void run_vectors(void);
void run_block(void);

#endif
