namespace Cnvm.Devices.Interrupts;

/// <summary>Message addresses (SDM vol. 3 §11.11.1) and the wider destination that hypervisors offer without remapping.</summary>
internal static class MsiAddress
{
    public const ulong Base = 0xfee0_0000;
    public const ulong BaseMask = 0xfff0_0000;
    public const int DestinationShift = 12;
    public const ulong DestinationModeLogical = 1 << 2;
    public const ulong RedirectionHint = 1 << 3;

    // Destination bits 14:8 are in address bits 11:5 where the guest was told of KVM_FEATURE_MSI_EXT_DEST_ID
    // (Documentation/virt/kvm/x86/cpuid.rst), and in bits 63:40 toward the hypervisor.
    private const int ExtendedShift = 5;
    private const ulong ExtendedMask = 0x7f << ExtendedShift;
    private const int HighDestinationShift = 40;

    public static bool IsForApic(ulong address) => (address & BaseMask) == Base;

    /// <summary>Moves a guest's extended destination to where <see cref="Arch.MsiMessage"/> has it.</summary>
    public static ulong FromGuest(ulong address)
    {
        ulong extended = (address & ExtendedMask) >> ExtendedShift;
        return (address >> 32) != 0 || extended == 0
            ? address
            : (address & ~ExtendedMask) | (extended << HighDestinationShift);
    }

    /// <summary>Destination bits 14:8 at their place in a message.</summary>
    public static ulong HighDestination(ulong bits) => (bits & 0x7f) << HighDestinationShift;
}
