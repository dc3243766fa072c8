using System.Buffers.Binary;
using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Pci;

/// <content>Base address registers and where their regions answer (PCI Local Bus 3.0 §6.2.5).</content>
public abstract partial class PciFunction
{
    /// <summary>True when the guest decodes a region at an address where something else answers.</summary>
    internal bool HasBlockedBar { get; private set; }

    internal ReadOnlySpan<PciBar?> Bars => _bars;

    /// <summary>Adds a region, from the constructor of a subclass.</summary>
    /// <param name="index">0 to 5; a 64-bit BAR also takes the next one.</param>
    /// <param name="size">A power of two of at least 16 bytes.</param>
    /// <param name="handler">Answers accesses; offsets count from the region's base.</param>
    /// <exception cref="ArgumentException">The register is taken, or the size is not one that a BAR can have.</exception>
    protected void AddBar(int index, ulong size, PciBarKind kind, IIoDevice handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        bool is64 = kind != PciBarKind.Memory32;
        int last = is64 ? index + 1 : index;
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(last, PciConfigSpace.BarCount, nameof(index));
        if (!ulong.IsPow2(size) || size < 16 || (!is64 && size > 1u << 31))
        {
            throw new ArgumentException($"0x{size:x} bytes is not a size that BAR {index} can have", nameof(size));
        }

        if (_bars[index] is not null || (is64 && _bars[last] is not null) || (index > 0 && _bars[index - 1] is { Is64: true }))
        {
            throw new ArgumentException($"BAR {index} is taken", nameof(index));
        }

        _bars[index] = new PciBar(index, size, kind, handler);

        uint flags = kind switch
        {
            PciBarKind.Memory64 => PciConfigSpace.BarMemory64,
            PciBarKind.Memory64Prefetchable => PciConfigSpace.BarMemory64 | PciConfigSpace.BarPrefetchable,
            _ => 0,
        };
        int register = PciConfigSpace.Bar0 + (4 * index);
        BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(register), flags);

        // Sizing (§6.2.5.1): the bits below the size read as zero whatever is written.
        ulong mask = ~(size - 1);
        BinaryPrimitives.WriteUInt32LittleEndian(_writeMask.AsSpan(register), (uint)mask & ~PciConfigSpace.BarMemoryFlags);
        if (is64)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_writeMask.AsSpan(register + 4), (uint)(mask >> 32));
        }
    }

    /// <summary>Takes the place that the host found; the bases that it chose become the reset values.</summary>
    internal void Join(PciSegment segment, PciAddress address, Lock configLock)
    {
        foreach (PciBar? bar in _bars)
        {
            if (bar?.InitialBase is { } initial)
            {
                WriteBarBase(bar, initial);
            }
        }

        _resetConfig = [.. _config];
        _configLock = configLock;
        _segment = segment;
        Address = address;
    }

    /// <summary>Stops answering. The host's lock is held.</summary>
    internal void Leave()
    {
        foreach (PciBar? bar in _bars)
        {
            if (bar is not null)
            {
                Unmap(bar);
                bar.IsBlocked = false;
            }
        }

        HasBlockedBar = false;
        _segment = null;
        Address = null;
    }

    /// <summary>Tries again to map what another region kept from being mapped. The host's lock is held.</summary>
    internal void RetryBlockedBars() => MapDecodedBars();

    private PciBar Bar(int index) =>
        _bars[index] ?? throw new ArgumentOutOfRangeException(nameof(index), index, $"{Name} has no such BAR");

    private ulong ReadBarBase(PciBar bar)
    {
        int register = PciConfigSpace.Bar0 + (4 * bar.Index);
        ulong value = BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(register)) & ~PciConfigSpace.BarMemoryFlags;
        return bar.Is64 ? value | ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(register + 4)) << 32) : value;
    }

    private void WriteBarBase(PciBar bar, ulong start)
    {
        Span<byte> register = _config.AsSpan(PciConfigSpace.Bar0 + (4 * bar.Index));
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(register) & PciConfigSpace.BarMemoryFlags;
        BinaryPrimitives.WriteUInt32LittleEndian(register, (uint)start | flags);
        if (bar.Is64)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(register[4..], (uint)(start >> 32));
        }
    }

    /// <summary>
    /// Brings the memory bus in line with the command register and the BARs. Whatever a guest writes there, a region answers only
    /// inside its segment's windows and where nothing else does; otherwise it answers nowhere.
    /// </summary>
    private void UpdateMappings()
    {
        if (_segment is null)
        {
            return;
        }

        bool isDecoding = (_config[PciConfigSpace.Command] & PciConfigSpace.CommandMemory) != 0;
        bool hasFreed = false;
        foreach (PciBar? bar in _bars)
        {
            if (bar?.Mapping is { } mapping && (!isDecoding || mapping.Base != ReadBarBase(bar)))
            {
                Unmap(bar);
                hasFreed = true;
            }
        }

        MapDecodedBars();
        if (hasFreed)
        {
            _segment.RetryBlockedBars(except: this);
        }
    }

    private void MapDecodedBars()
    {
        HasBlockedBar = false;
        if (_segment is null)
        {
            return;
        }

        bool isDecoding = (_config[PciConfigSpace.Command] & PciConfigSpace.CommandMemory) != 0;
        foreach (PciBar? bar in _bars)
        {
            if (bar is null || bar.Mapping is not null)
            {
                continue;
            }

            ulong start = ReadBarBase(bar);
            bool wasBlocked = bar.IsBlocked;
            bar.IsBlocked = false;
            if (!isDecoding || !_segment.IsInWindow(start, bar.Size))
            {
                continue;
            }

            if (_segment.Memory.TryRegister(start, bar.Size, bar.Handler, Name, out IoRange? range))
            {
                bar.Mapping = range;
                OnBarMapped(bar.Index, start);
                continue;
            }

            bar.IsBlocked = true;
            HasBlockedBar = true;
            if (!wasBlocked && _barLimit.TryTake(out long suppressed))
            {
                PciLog.BarBlocked(_logger, Name, bar.Index, start, suppressed);
            }
        }
    }

    private void Unmap(PciBar bar)
    {
        if (bar.Mapping is { } mapping)
        {
            _segment?.Memory.Remove(mapping);
            bar.Mapping = null;
            OnBarMapped(bar.Index, null);
        }
    }
}
