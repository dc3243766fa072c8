using Cnvm.Arch.Acpi.Aml;
using static Cnvm.Arch.Acpi.Aml.AmlBuilder;

namespace Cnvm.Arch.Acpi;

/// <summary>
/// The VMClock device (UAPI.13, "Discovery via ACPI"): a page that tells the guest when its counter has been disrupted, and the event that
/// says that the page has changed.
/// </summary>
public static class ClockPageDevice
{
    /// <summary>Bytes of the page; whole, so that guests can map it to their programs.</summary>
    public const int PageBytes = 0x1000;

    /// <summary>Bit of the generic event device's register.</summary>
    public const uint ChangedEvent = 1u << 5;

    // The specification's notification code.
    private const uint Changed = 0x80;

    /// <summary>The object for <c>\_SB</c>.</summary>
    /// <param name="address">Where the page lies: a multiple of <see cref="PageBytes"/>, nowhere that the guest is told is RAM.</param>
    public static AmlTerm Object(ulong address) => Device(
        "VCLK",
        Name("_HID", Text("AMZNC10C")),
        Name("_CID", Text("VMCLOCK")),
        Name("_DDN", Text("VMCLOCK")),
        Name("_CRS", ResourceTemplate(AmlResource.CacheableReadOnly64(address, address + PageBytes - 1))));

    /// <summary>What the guest does when <see cref="ChangedEvent"/> is set.</summary>
    public static GedEvent Event { get; } = new(ChangedEvent, Notify(Path(@"\_SB.VCLK"), Changed));
}
