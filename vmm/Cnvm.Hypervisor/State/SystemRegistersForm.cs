using Cnvm.Arch.Registers;

namespace Cnvm.Hypervisor.State;

/// <summary>
/// One form for what CPUs and hypervisors keep differently in the hidden parts of segment registers, so that states compare: the
/// accessed and busy bits are set, granularity follows from the limit, and of an unusable segment only what still counts is kept.
/// </summary>
public static class SystemRegistersForm
{
    private const uint AttributeBits = 0x70ff;
    private const uint NonSystem = 0x10;
    private const uint Granularity = 0x8000;
    private const uint Accessed = 1;
    private const uint Busy = 2;
    private const uint DplBits = 0x60;
    private const uint ByteLimit = 0xf_ffff;

    public static SystemRegisters Normalize(SystemRegisters system) => system with
    {
        Cs = Normalize(system.Cs),
        Ds = Normalize(system.Ds),
        Es = Normalize(system.Es),
        // 64-bit code uses these bases whatever the selector.
        Fs = Normalize(system.Fs, keepBase: true),
        Gs = Normalize(system.Gs, keepBase: true),
        // The DPL of SS is the CPL, null selector or not.
        Ss = Normalize(system.Ss, keepDpl: true),
        Tr = Normalize(system.Tr, implied: Busy),
        Ldt = Normalize(system.Ldt),
    };

    private static SegmentRegister Normalize(SegmentRegister s, bool keepBase = false, bool keepDpl = false, uint implied = 0)
    {
        if (s.IsUnusable || !s.Present)
        {
            return new SegmentRegister
            {
                Selector = s.Selector,
                Base = keepBase ? s.Base : 0,
                Attributes = SegmentRegister.Unusable | (keepDpl ? s.Attributes & DplBits : 0),
            };
        }

        return s with
        {
            Attributes = (s.Attributes & AttributeBits) | implied
                | ((s.Attributes & NonSystem) != 0 ? Accessed : 0)
                | (s.Limit > ByteLimit ? Granularity : 0),
        };
    }
}
