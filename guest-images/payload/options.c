/* The command line, from PVH's start info or from Linux's boot parameters. */
#include "payload.h"

/* struct hvm_start_info (Xen's PVH boot protocol) */
#define START_INFO_MAGIC 0x336ec578
#define START_INFO_CMDLINE 24

/* struct boot_params (Documentation/arch/x86/zero-page.rst) */
#define BOOT_PARAMS_EXT_CMDLINE 0xc8
#define BOOT_PARAMS_CMDLINE 0x228

static const char *line = "";

void find_options(void)
{
    u64 address = 0;

    if (start_info && MMIO32(start_info) == START_INFO_MAGIC)
        address = MMIO64(start_info + START_INFO_CMDLINE);
    else if (boot_params)
        address = (u64)MMIO32(boot_params + BOOT_PARAMS_EXT_CMDLINE) << 32 | MMIO32(boot_params + BOOT_PARAMS_CMDLINE);
    if (address)
        line = (const char *)address;
}

static const char *find(const char *name)
{
    const char *at = line;

    while (*at) {
        const char *word = at, *n = name;

        while (*n && *word == *n)
            word++, n++;
        if (!*n && (*word == '=' || *word == ' ' || !*word))
            return word;
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
    }
    return 0;
}

int has_option(const char *name) { return find(name) != 0; }

const char *option_text(const char *name)
{
    const char *at = find(name);

    return at && *at == '=' ? at + 1 : 0;
}

u64 parse_number(const char **text)
{
    const char *at = *text;
    u64 value = 0, base = 10;

    if (at[0] == '0' && (at[1] | 32) == 'x')
        base = 16, at += 2;
    for (;; at++) {
        u64 digit = *at >= '0' && *at <= '9' ? (u64)(*at - '0') : (*at | 32) >= 'a' && (*at | 32) <= 'f' ? (u64)((*at | 32) - 'a' + 10) : base;

        if (digit >= base)
            break;
        value = value * base + digit;
    }
    *text = at;
    return value;
}

u64 option(const char *name, u64 fallback)
{
    const char *at = option_text(name);

    return at ? parse_number(&at) : fallback;
}

int text_is(const char *text, const char *word)
{
    if (!text)
        return 0;
    while (*word && *text == *word)
        text++, word++;
    return !*word && (!*text || *text == ' ' || *text == ':');
}
