namespace Cnvm.Devices.Bus;

/// <summary>One registration on an <see cref="IoBus"/>: which device answers which addresses. Never changes; a move makes another.</summary>
public sealed class IoRange
{
    internal IoRange(ulong start, ulong size, IIoDevice device, string name)
    {
        Base = start;
        Last = start + (size - 1);
        Device = device;
        Name = name;
    }

    public ulong Base { get; }

    /// <summary>The last address inside the range, so that a range may end at the top of the address space.</summary>
    public ulong Last { get; }

    public ulong Size => Last - Base + 1;

    public IIoDevice Device { get; }

    public string Name { get; }

    public override string ToString() => $"{Name} [0x{Base:x}-0x{Last:x}]";
}
