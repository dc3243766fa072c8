using System.Globalization;

namespace Cnvm.Devices.Pci;

/// <summary>Where a function is. Bus and function number are always 0: every segment has one bus of 32 slots.</summary>
public readonly record struct PciAddress(int Segment, int Slot)
{
    /// <summary>The form the field writes: 0000:00:06.0.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Segment:x4}:00:{Slot:x2}.0");
}
