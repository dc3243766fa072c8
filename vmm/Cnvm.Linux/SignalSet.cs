using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>A set of signals in the C library's layout (sigset_t); the kernel's set is its first word.</summary>
[Abi("signal.h", "sigset_t")]
public unsafe struct SignalSet
{
    [AbiField("__val")]
    private fixed ulong _words[16];

    /// <summary>The kernel's view: bit n - 1 is signal n.</summary>
    public ulong Bits
    {
        readonly get => _words[0];
        set => _words[0] = value;
    }

    public static SignalSet Of(params ReadOnlySpan<int> signals)
    {
        SignalSet set = default;
        foreach (int signal in signals)
        {
            set.Bits |= 1UL << (signal - 1);
        }

        return set;
    }
}
