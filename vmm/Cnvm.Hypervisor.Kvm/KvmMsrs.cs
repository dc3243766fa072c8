using Cnvm.Hypervisor.State;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>Which model-specific registers this host's KVM saves and sets.</summary>
internal static unsafe class KvmMsrs
{
    // KVM_GET_MSR_INDEX_LIST knows a few hundred at most.
    private const int MaxListed = 4096;

    private const uint DebugControl = 0x1d9;

    /// <summary>They are read and written as any other, but kernels do not list them (SDM vol. 3 §12.11).</summary>
    public static IReadOnlyList<uint> MemoryTypeRanges { get; } =
    [
        0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x20A, 0x20B, 0x20C, 0x20D, 0x20E, 0x20F,
        0x250, 0x258, 0x259, 0x268, 0x269, 0x26A, 0x26B, 0x26C, 0x26D, 0x26E, 0x26F, MsrIndex.MtrrDefType,
    ];

    /// <summary>KVM_GET_MSR_INDEX_LIST, as the kernel gives it.</summary>
    /// <param name="fd">The device.</param>
    public static uint[] Listed(int fd)
    {
        var buffer = new uint[1 + MaxListed];
        buffer[0] = MaxListed;

        // SAFETY: the kernel writes at most as many indices as the header offers.
        fixed (uint* p = buffer)
        {
            KvmIoctl.Call(fd, KvmRequest.KVM_GET_MSR_INDEX_LIST, (nint)p);
        }

        return buffer[1..(int)(1 + buffer[0])];
    }

    /// <summary>What a restored vCPU takes: the list, and what KVM sets without listing it.</summary>
    /// <param name="fd">The device.</param>
    public static MsrSet Settable(int fd) => new(
        [.. Listed(fd), .. MemoryTypeRanges, DebugControl, MsrIndex.ApicBase, MsrIndex.Efer, MsrIndex.FsBase, MsrIndex.GsBase]);

    /// <summary>Part of another element of the state; KVM's clock registers have an older name each, for the same value.</summary>
    public static bool StandsElsewhere(uint index) => index is MsrIndex.ApicBase or MsrIndex.Efer or MsrIndex.FsBase or MsrIndex.GsBase
        or MsrIndex.KvmWallClockOld or MsrIndex.KvmSystemTimeOld;
}
