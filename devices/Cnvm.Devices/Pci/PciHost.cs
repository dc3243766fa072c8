using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Pci;

/// <summary>
/// The PCI side of the machine: segments, the configuration windows on the memory bus, and ports 0xcf8 to 0xcff for segment 0
/// (PCI Local Bus 3.0 §3.2.2.3.2). Functions may be attached and detached while vCPUs run.
/// </summary>
public sealed class PciHost : IIoDevice
{
    public const int MaxSegments = 96;

    /// <summary>CONFIG_ADDRESS; CONFIG_DATA follows at 0xcfc.</summary>
    public const ushort ConfigPort = 0xcf8;

    private const int ConfigPorts = 8;
    private const uint Enable = 1u << 31;

    // Orders configuration accesses of all functions and the changes of the memory bus that they cause.
    private readonly Lock _lock = new();
    private readonly PciSegment?[] _segments = new PciSegment?[MaxSegments];
    private uint _configAddress;

    /// <param name="memory">Gets the configuration windows and the regions of functions.</param>
    /// <param name="ports">Gets ports 0xcf8 to 0xcff when there is a segment 0; null: ECAM only.</param>
    /// <exception cref="PciTopologyException">A segment number is out of range or given twice.</exception>
    /// <exception cref="IoBusConflictException">A configuration window overlaps something.</exception>
    public PciHost(IoBus memory, IoBus? ports, IReadOnlyList<PciSegmentLayout> segments)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(segments);
        foreach (PciSegmentLayout layout in segments)
        {
            if (layout.Number is < 0 or >= MaxSegments || _segments[layout.Number] is not null)
            {
                throw new PciTopologyException($"PCI segment {layout.Number}: numbers are 0 to {MaxSegments - 1}, each once");
            }

            _segments[layout.Number] = new PciSegment(layout, memory);
        }

        foreach (PciSegment? segment in _segments)
        {
            if (segment is not null)
            {
                memory.Register(segment.Layout.EcamBase, PciSegment.EcamSize, segment, $"pci{segment.Layout.Number:x4} ecam");
            }
        }

        if (_segments[0] is not null)
        {
            ports?.Register(ConfigPort, ConfigPorts, this, "pci config ports");
        }
    }

    /// <summary>The segments that exist, by rising number.</summary>
    public IEnumerable<PciSegment> Segments => _segments.OfType<PciSegment>();

    /// <exception cref="PciTopologyException">There is no such segment.</exception>
    public PciSegment GetSegment(int number) =>
        (uint)number < MaxSegments && _segments[number] is { } segment
            ? segment
            : throw new PciTopologyException($"there is no PCI segment {number}");

    /// <summary>Gives a function a slot and initial addresses for its BARs. It answers configuration accesses from then on.</summary>
    /// <param name="slot">0 to 31; null: the lowest free one.</param>
    /// <exception cref="PciTopologyException">No such segment, slot taken, or no address space; nothing has changed.</exception>
    public PciAddress Attach(PciFunction function, int segment = 0, int? slot = null)
    {
        ArgumentNullException.ThrowIfNull(function);
        lock (_lock)
        {
            PciSegment target = GetSegment(segment);
            if (function.Address is { } already)
            {
                throw new PciTopologyException($"{function.Name} is at {already} already");
            }

            int chosen = slot ?? target.FreeSlot()
                ?? throw new PciTopologyException($"{function.Name}: all {PciSegment.SlotCount} slots of PCI segment {segment} are taken");
            if (chosen is < 0 or >= PciSegment.SlotCount)
            {
                throw new PciTopologyException($"{function.Name}: PCI slot {chosen} is not in 0 to {PciSegment.SlotCount - 1}");
            }

            if (target[chosen] is { } occupant)
            {
                throw new PciTopologyException(
                    $"{function.Name}: PCI slot {new PciAddress(segment, chosen)} is taken by {occupant.Name}");
            }

            AllocateBars(function, target);
            PciAddress address = new(segment, chosen);
            function.Join(target, address, _lock);
            target[chosen] = function;
            return address;
        }
    }

    /// <summary>Takes a function away; it answers nothing from then on. Stopping its work is the caller's part.</summary>
    public void Detach(PciFunction function)
    {
        ArgumentNullException.ThrowIfNull(function);
        lock (_lock)
        {
            if (function.Address is not { } address || GetSegment(address.Segment) is not { } segment || segment[address.Slot] != function)
            {
                throw new PciTopologyException($"{function.Name} is not attached here");
            }

            segment[address.Slot] = null;
            function.Leave();
            FreeBars(function);
            segment.RetryBlockedBars(except: function);
        }
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        if (offset < 4)
        {
            IoData.Set(data, Volatile.Read(ref _configAddress) >> (8 * (int)offset));
        }
        else if (TryTarget(offset, out int slot, out int function, out int register))
        {
            _segments[0]!.ReadConfig(slot, function, register, data);
        }
        else
        {
            data.Fill(0xff);
        }

        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        if (offset < 4)
        {
            // Linux probes for this mechanism with a byte write to 0xcfb, so parts of the latch are writable too.
            int shift = 8 * (int)offset;
            uint mask = (uint)((1ul << (8 * data.Length)) - 1) << shift;
            uint value = ((uint)IoData.Get(data) << shift) & mask;
            lock (_lock)
            {
                _configAddress = (_configAddress & ~mask) | value;
            }
        }
        else if (TryTarget(offset, out int slot, out int function, out int register))
        {
            _segments[0]!.WriteConfig(slot, function, register, data);
        }

        return IoResult.Ok;
    }

    /// <summary>Power-on state of the host and of every function attached.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _configAddress = 0;
        }

        foreach (PciSegment segment in Segments)
        {
            for (int slot = 0; slot < PciSegment.SlotCount; slot++)
            {
                segment[slot]?.Reset();
            }
        }
    }

    public PciHostState Save() => new(Volatile.Read(ref _configAddress));

    public void Restore(PciHostState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        lock (_lock)
        {
            _configAddress = state.ConfigAddress;
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

    private static void AllocateBars(PciFunction function, PciSegment segment)
    {
        foreach (PciBar? bar in function.Bars)
        {
            if (bar is null)
            {
                continue;
            }

            // Whole pages, so that no two devices share one and a hypervisor can trap each region by itself.
            ulong size = Math.Max(bar.Size, 4096);
            bar.Allocator = bar.Is64 && segment.Layout.Memory64.Size != 0 ? segment.Allocator64 : segment.Allocator32;
            bar.InitialBase = bar.Allocator.Allocate(size, size);
            if (bar.InitialBase is null)
            {
                FreeBars(function);
                throw new PciTopologyException(
                    $"{function.Name}: PCI segment {segment.Layout.Number} has no room for BAR {bar.Index} of 0x{bar.Size:x} bytes");
            }
        }
    }

    private static void FreeBars(PciFunction function)
    {
        foreach (PciBar? bar in function.Bars)
        {
            if (bar?.InitialBase is { } start)
            {
                bar.Allocator?.Free(start);
                bar.InitialBase = null;
            }
        }
    }

    /// <summary>CONFIG_ADDRESS: enable 31, bus 23:16, slot 15:11, function 10:8, register 7:2; only bus 0 exists.</summary>
    private bool TryTarget(ulong offset, out int slot, out int function, out int register)
    {
        uint address = Volatile.Read(ref _configAddress);
        slot = (int)(address >> 11) & 0x1f;
        function = (int)(address >> 8) & 7;
        register = (int)(address & 0xfc) | ((int)offset & 3);
        return (address & Enable) != 0 && (address & 0x7fff_0000) == 0;
    }
}
