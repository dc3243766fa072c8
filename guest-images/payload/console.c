/* Text output to a debug port or a 16550, one byte an exit, without waiting: both take bytes at once in a virtual machine. */
#include "payload.h"

static u16 console = 0x3f8;

void use_console(u16 port) { console = port; }

void put_char(char c) { out8(console, (u8)c); }

void put_text(const char *text)
{
    while (*text)
        put_char(*text++);
}

void put_number(u64 value)
{
    char digits[20];
    int n = 0;

    do
        digits[n++] = '0' + value % 10;
    while (value /= 10);
    while (n)
        put_char(digits[--n]);
}

void put_hex(u64 value)
{
    put_text("0x");
    for (int shift = 60; shift >= 0; shift -= 4)
        if (value >> shift || !shift)
            put_char("0123456789abcdef"[value >> shift & 15]);
}

void report(const char *name, u64 value)
{
    put_text(name);
    put_char('=');
    put_number(value);
    put_char(' ');
}
