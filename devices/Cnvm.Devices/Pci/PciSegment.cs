using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Pci;

/// <summary>
/// One segment group: bus 0 with 32 slots, and its configuration window (ECAM, PCI Express base spec §7.2.2) as a device on the
/// memory bus. Configuration reads and writes: any thread.
/// </summary>
public sealed class PciSegment : IIoDevice
{
    public const int SlotCount = 32;

    /// <summary>Bytes of the configuration window: 32 slots of 8 functions of 4 KiB.</summary>
    public const ulong EcamSize = 1 << 20;

    private readonly PciFunction?[] _slots = new PciFunction?[SlotCount];

    internal PciSegment(PciSegmentLayout layout, IoBus memory)
    {
        Layout = layout;
        Memory = memory;
        Allocator32 = new PciBarAllocator(layout.Memory32);
        Allocator64 = new PciBarAllocator(layout.Memory64);
    }

    public PciSegmentLayout Layout { get; }

    public PciBarAllocator Allocator32 { get; }

    public PciBarAllocator Allocator64 { get; }

    internal IoBus Memory { get; }

    /// <summary>The function in a slot; null if it is empty.</summary>
    public PciFunction? this[int slot]
    {
        get => Volatile.Read(ref _slots[slot]);
        internal set => Volatile.Write(ref _slots[slot], value);
    }

    /// <summary>A slot that is free, the lowest first; null if none is.</summary>
    /// <param name="reserved">Slots that are not for whoever asks.</param>
    public int? FreeSlot(IReadOnlySet<PciAddress>? reserved = null)
    {
        for (int slot = 0; slot < SlotCount; slot++)
        {
            if (this[slot] is null && reserved?.Contains(new PciAddress(Layout.Number, slot)) is not true)
            {
                return slot;
            }
        }

        return null;
    }

    /// <summary>One configuration read; an absent function reads as ones, which is how a guest finds that it is absent.</summary>
    public void ReadConfig(int slot, int function, int offset, Span<byte> data)
    {
        if (function == 0 && this[slot] is { } present)
        {
            present.ReadConfig(offset, data);
        }
        else
        {
            data.Fill(0xff);
        }
    }

    public void WriteConfig(int slot, int function, int offset, ReadOnlySpan<byte> data)
    {
        if (function == 0 && this[slot] is { } present)
        {
            present.WriteConfig(offset, data);
        }
    }

    /// <summary>ECAM: slot in bits 19:15, function in 14:12, register in 11:0.</summary>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        ReadConfig((int)(offset >> 15) & 0x1f, (int)(offset >> 12) & 7, (int)offset & 0xfff, data);
        return IoResult.Ok;
    }

    /// <inheritdoc cref="Read"/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        WriteConfig((int)(offset >> 15) & 0x1f, (int)(offset >> 12) & 7, (int)offset & 0xfff, data);
        return IoResult.Ok;
    }

    internal bool IsInWindow(ulong start, ulong size) =>
        Layout.Memory32.Contains(start, size) || Layout.Memory64.Contains(start, size);

    /// <summary>The host's lock is held.</summary>
    internal void RetryBlockedBars(PciFunction except)
    {
        foreach (PciFunction? function in _slots)
        {
            if (function is { HasBlockedBar: true } && function != except)
            {
                function.RetryBlockedBars();
            }
        }
    }

    private static IoResult Check(ulong offset, int length)
    {
        if (length > 4)
        {
            return IoResult.InvalidSize;
        }

        return (int)(offset & 3) + length > 4 ? IoResult.Unaligned : IoResult.Ok;
    }
}
