namespace Cnvm.GuestAgent.Spec;

/// <summary>Names of capabilities(7) in the order of their numbers.</summary>
internal static class CapabilityNames
{
    /// <summary>CAP_MKNOD's bit.</summary>
    public const ulong MakeNodes = 1UL << 27;

    private static readonly string[] Names =
        ("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN "
        + "NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
        + "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
        + "PERFMON BPF CHECKPOINT_RESTORE").Split(' ');

    /// <summary>Capabilities as bits. Names that are not known are left out, as runc does: newer engines name newer ones.</summary>
    public static ulong Bits(IEnumerable<string> names)
    {
        ulong bits = 0;
        foreach (string name in names)
        {
            int number = Array.IndexOf(Names, name.StartsWith("CAP_", StringComparison.OrdinalIgnoreCase) ? name[4..].ToUpperInvariant() : name.ToUpperInvariant());
            bits |= number < 0 ? 0 : 1UL << number;
        }

        return bits;
    }
}
